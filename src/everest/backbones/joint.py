"""This file decides the joint video transformer: a class token and all patches read each other.

B clips; t, n time steps and patches of a step; D width. Parameter names are those of an image
transformer but for the biases of attention (`blocks.py`). Source: BACKBONES.md 1 (Motionformer's
joint row) and 7.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from everest.backbones.patches import PatchEmbed, grid_of
from everest.backbones.placing import read
from everest.backbones.stretching import stretched_places, stretched_times
from everest.blocks import EPS, NORM, Block, start_truncated
from everest.clips import Clips
from everest.frames import spread
from everest.selection import Grid, Look, Selection


@dataclass(frozen=True)
class JointConfig:
    width: int = 768
    depth: int = 12
    heads: int = 12
    frames: int = 16  # that the table of times is of
    size: tuple[int, int] = (224, 224)  # pixels that the table of places is of
    patch: int = 16  # pixels
    tubelet: int | None = 2  # frames of a patch; None: 1, with an image model's embedding
    channels: int = 3
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)  # of pixels in 0..1
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    drop_path: float = 0.0  # rate of the last block, rises linearly from 0

    @property
    def grid(self) -> Grid:
        """What its tables are of; raises ValueError for sizes that leave a remainder."""
        return grid_of(self.frames, *self.size, self.tubelet or 1, self.patch)


class JointTransformer(nn.Module):
    """Plain attention over a class token and all tubelets: a Reader.

    Reads other sizes and numbers of frames than its config's, its tables stretched to them as
    Motionformer's are.
    """

    average: Literal["softmax", "logits"] = "logits"

    def __init__(self, config: JointConfig) -> None:
        super().__init__()
        self.config = config
        self.features = config.width
        steps, rows, columns = config.grid
        self.patch_embed = PatchEmbed(config.width, config.channels, config.patch, config.tubelet)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + rows * columns, config.width))
        self.time_embed = nn.Parameter(torch.zeros(1, steps, config.width))
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, rate, str(number))
            for number, rate in enumerate(spread(0.0, config.drop_path, config.depth))
        )
        self.norm = nn.LayerNorm(config.width, eps=EPS)
        self.apply(start_truncated)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def look(self, clips: Clips) -> None:
        """None: it cannot read a part of the tokens."""

    def places(self, rows: int, columns: int) -> Tensor:
        """(1 + rows*columns, D): the class token's position and each place's."""
        grid = self.config.grid[1:]
        return stretched_places(self.pos_embed[0], grid, (rows, columns), "bicubic")

    def times(self, steps: int) -> Tensor:
        """(steps, D): the position of each time step."""
        return stretched_times(self.time_embed[0], steps, "linear")

    def encode(self, first: Tensor, patches: Tensor, key: Tensor) -> Tensor:
        """Class token (B, D), patches (B, t, n, D), both with their positions -> (B, D)."""
        rows = torch.cat((first[:, None], patches.flatten(1, 2)), dim=1)
        for block in self.blocks:
            rows = block(rows, key)
        return self.norm(rows[:, 0])

    def forward(self, clips: Clips, look: Look | None, selection: Selection | None) -> Tensor:
        """-> (B, D): the class token after the last norm."""
        return read(self, clips.video, clips.key)

    def cost(self, frames: int, height: int, width: int) -> dict[str, float]:
        """Multiply-adds of one view by part, as METHOD.md 3.1 counts, without the classifier."""
        config, D = self.config, self.config.width
        t, h, w = grid_of(frames, height, width, config.tubelet or 1, config.patch)
        area = config.channels * (config.tubelet or 1) * config.patch**2
        rows = 1 + t * h * w
        return {
            "embed": t * h * w * area * D,
            "linear": config.depth * 12 * rows * D**2,
            "attention": config.depth * 2 * rows**2 * D,
            "norm": NORM * D * (config.depth * 2 + 1) * rows,
        }
