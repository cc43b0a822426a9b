"""This file decides TimeSformer: attention along time and attention within a frame, one by one.

B clips; t, n frames and patches of a frame; D width. Parameter names are those of the released
files but for the biases of attention (`blocks.py`). Source: BACKBONES.md 2.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from everest.backbones.patches import PatchEmbed, grid_of
from everest.backbones.placing import read
from everest.backbones.stretching import stretched_places, stretched_times
from everest.blocks import EPS, NORM, Attention, Mlp, skip_path, start_truncated
from everest.clips import Clips
from everest.frames import spread
from everest.selection import Grid, Look, Selection


@dataclass(frozen=True)
class TimeSformerConfig:
    width: int = 768
    depth: int = 12
    heads: int = 12
    frames: int = 8  # that the table of times is of
    size: tuple[int, int] = (224, 224)  # pixels that the table of places is of
    patch: int = 16  # pixels
    channels: int = 3
    mean: tuple[float, ...] = (0.45, 0.45, 0.45)  # of pixels in 0..1
    std: tuple[float, ...] = (0.225, 0.225, 0.225)
    drop_path: float = 0.0  # rate of the last block, rises linearly from 0; published 0.1

    @property
    def grid(self) -> Grid:
        """What its tables are of; raises ValueError for sizes that leave a remainder."""
        return grid_of(self.frames, *self.size, 1, self.patch)


# As published: high resolution and long clips beside the model of the K400 table.
SIZES = {
    "timesformer": TimeSformerConfig(),
    "timesformer-hr": TimeSformerConfig(frames=16, size=(448, 448)),
    "timesformer-l": TimeSformerConfig(frames=96),
}


class DividedBlock(nn.Module):
    """Attention of each place along time, attention within each frame, then the MLP."""

    def __init__(self, width: int, heads: int, drop_path: float, name: str) -> None:
        super().__init__()
        self.temporal_norm1 = nn.LayerNorm(width, eps=EPS)
        self.temporal_attn = Attention(width, heads)
        self.temporal_fc = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = Mlp(width)
        self.drop_path = drop_path
        self.name = name  # of its draws

    def path(self, branch: Tensor, key: Tensor, which: str) -> Tensor:
        rate = self.drop_path if self.training else 0.0
        return skip_path(branch, key, f"path.{self.name}.{which}", rate)

    def forward(self, first: Tensor, patches: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) and (B, t, n, D) -> the same: the class token stands apart from the patches."""
        B, t, n, _ = patches.shape
        along = self.temporal_norm1(patches.transpose(1, 2)).flatten(0, 1)  # (B*n, t, D)
        along = self.path(self.temporal_attn(along).unflatten(0, (B, n)), key, "time")
        patches = patches + self.temporal_fc(along).transpose(1, 2)
        # The class token joins each frame as it came into the block; its answers are averaged.
        frames = torch.cat((first[:, None, None].expand(-1, t, 1, -1), patches), dim=2)
        within = self.attn(self.norm1(frames).flatten(0, 1)).unflatten(0, (B, t))
        within = self.path(within, key, "space")
        first = first + within[:, :, 0].mean(dim=1)
        patches = patches + within[:, :, 1:]
        rows = torch.cat((first[:, None], patches.flatten(1, 2)), dim=1)  # (B, 1 + t*n, D)
        rows = rows + self.path(self.mlp(self.norm2(rows)), key, "mlp")
        return rows[:, 0], rows[:, 1:].unflatten(1, (t, n))


class TimeSformer(nn.Module):
    """Divided space-time attention over all patches of single frames: a Reader.

    Reads other sizes and numbers of frames than its config's, its tables stretched to them by
    nearest neighbours. Its authors' paper averages views after the softmax, their code before it.
    """

    average: Literal["softmax", "logits"] = "softmax"

    def __init__(self, config: TimeSformerConfig) -> None:
        super().__init__()
        self.config = config
        self.features = config.width
        frames, rows, columns = config.grid
        self.patch_embed = PatchEmbed(config.width, config.channels, config.patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + rows * columns, config.width))
        self.time_embed = nn.Parameter(torch.zeros(1, frames, config.width))
        self.blocks = nn.ModuleList(
            DividedBlock(config.width, config.heads, rate, str(number))
            for number, rate in enumerate(spread(0.0, config.drop_path, config.depth))
        )
        self.norm = nn.LayerNorm(config.width, eps=EPS)
        self.apply(start_truncated)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for block in self.blocks:
            assert isinstance(block, DividedBlock)
            nn.init.zeros_(block.temporal_fc.weight)  # an image model's outputs at first

    def look(self, clips: Clips) -> None:
        """None: it cannot read a part of the tokens."""

    def places(self, rows: int, columns: int) -> Tensor:
        """(1 + rows*columns, D): the class token's position and each place's."""
        grid = self.config.grid[1:]
        return stretched_places(self.pos_embed[0], grid, (rows, columns), "nearest")

    def times(self, frames: int) -> Tensor:
        """(frames, D): the position of each frame."""
        return stretched_times(self.time_embed[0], frames, "nearest")

    def encode(self, first: Tensor, patches: Tensor, key: Tensor) -> Tensor:
        """Class token (B, D), patches (B, t, n, D), both with their positions -> (B, D)."""
        for block in self.blocks:
            first, patches = block(first, patches, key)
        return self.norm(first)

    def forward(self, clips: Clips, look: Look | None, selection: Selection | None) -> Tensor:
        """-> (B, D): the class token after the last norm."""
        return read(self, clips.video, clips.key)

    def cost(self, frames: int, height: int, width: int) -> dict[str, float]:
        """Multiply-adds of one view by part, as METHOD.md 3.1 counts, without the classifier."""
        config, D = self.config, self.config.width
        t, h, w = grid_of(frames, height, width, 1, config.patch)
        n = h * w
        rows = t * (1 + n)  # of attention within frames
        linear = (4 + 1) * t * n + 4 * rows + 8 * (1 + t * n)
        products = 2 * t * n * t + 2 * rows * (1 + n)
        norms = t * n + rows + (1 + t * n)
        return {
            "embed": t * n * config.channels * config.patch**2 * D,
            "linear": config.depth * linear * D**2,
            "attention": config.depth * products * D,
            "norm": NORM * D * (config.depth * norms + 1 + t * n),
        }
