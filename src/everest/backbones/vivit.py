"""This file decides ViViT's factorised encoder: one transformer within steps, one over the steps.

B clips; t time steps; h, w the grid of a step, n = h*w; D width. Source: BACKBONES.md 4.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everest.backbones.patches import PatchEmbed, grid_of, normalised
from everest.blocks import EPS, NORM, Block, start_linear
from everest.clips import Clips
from everest.selection import Grid, Look, Selection


@dataclass(frozen=True)
class ViViTConfig:
    width: int = 1024
    depth: int = 24  # blocks within a step
    temporal_depth: int = 24  # blocks over the steps
    heads: int = 16
    frames: int = 32  # that the table of times is of
    size: tuple[int, int] = (224, 224)  # pixels that the table of places is of
    patch: int = 16  # pixels
    tubelet: int = 2  # frames
    channels: int = 3
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)  # of pixels in 0..1
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    @property
    def grid(self) -> Grid:
        """What its tables are of; raises ValueError for sizes that leave a remainder."""
        return grid_of(self.frames, *self.size, self.tubelet, self.patch)


SIZES = {  # the K400 table's row reads 128 frames; released are weights of 32
    "vivit-fe-b": ViViTConfig(width=768, depth=12, temporal_depth=4, heads=12),
    "vivit-fe-l": ViViTConfig(frames=128),
}


def zoomed(table: Tensor, grid: tuple[int, int], wanted: tuple[int, int]) -> Tensor:
    """(1 + a*b, D) -> (1 + a'*b', D): linear between the first and the last, which stay where they
    are; the class token's row stays as it is."""
    if grid == wanted:
        return table
    stored = table[1:].T.unflatten(1, grid)[None]  # (1, D, a, b)
    fitted = F.interpolate(stored, wanted, mode="bilinear", align_corners=True)
    return torch.cat((table[:1], fitted[0].flatten(1).T))


class Encoder(nn.Module):
    """A transformer over rows that answers with its class token."""

    def __init__(self, width: int, depth: int, heads: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid[0] * grid[1], width))
        # Its authors' framework approximates GELU unless told otherwise.
        self.blocks = nn.ModuleList(Block(width, heads, gelu="tanh") for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.apply(start_linear)
        nn.init.normal_(self.pos_embed, std=0.02)

    def forward(self, rows: Tensor, grid: tuple[int, int], key: Tensor) -> Tensor:
        """(B, a*b, D) of a grid (a, b), keys (B,) -> (B, D)."""
        first = self.cls_token.expand(rows.shape[0], -1, -1)
        rows = torch.cat((first, rows), dim=1) + zoomed(self.pos_embed[0], self.grid, grid)
        for block in self.blocks:
            rows = block(rows, key)
        return self.norm(rows)[:, 0]

    def cost(self, rows: int) -> dict[str, float]:
        """Multiply-adds for so many rows, the class token aside."""
        D, depth, read = self.norm.weight.shape[0], len(self.blocks), 1 + rows
        return {
            "linear": depth * 12 * read * D**2,
            "attention": depth * 2 * read**2 * D,
            "norm": NORM * D * (2 * depth + 1) * read,
        }


class ViViT(nn.Module):
    """Each time step becomes a vector, and these become one: a Reader.

    Reads other sizes and numbers of frames than its config's: times are stretched linearly as its
    authors do when they start from other weights, places by the same rule. Views are averaged
    before the softmax.
    """

    average: Literal["softmax", "logits"] = "logits"

    def __init__(self, config: ViViTConfig) -> None:
        super().__init__()
        self.config = config
        self.features = config.width
        t, h, w = config.grid
        self.patch_embed = PatchEmbed(config.width, config.channels, config.patch, config.tubelet)
        self.spatial = Encoder(config.width, config.depth, config.heads, (h, w))
        self.temporal = Encoder(config.width, config.temporal_depth, config.heads, (t, 1))

    def look(self, clips: Clips) -> None:
        """None: it cannot read a part of the tokens."""

    def forward(self, clips: Clips, look: Look | None, selection: Selection | None) -> Tensor:
        """-> (B, D): the class token of the encoder over the steps."""
        cut = self.patch_embed.cut(normalised(clips.video, self.config.mean, self.config.std))
        B, t, h, w, _ = cut.shape
        tokens = self.patch_embed(cut).flatten(2, 3).flatten(0, 1)  # (B*t, n, D)
        steps = self.spatial(tokens, (h, w), clips.key.repeat_interleave(t)).unflatten(0, (B, t))
        return self.temporal(steps, (t, 1), clips.key)

    def cost(self, frames: int, height: int, width: int) -> dict[str, float]:
        """Multiply-adds of one view by part, as METHOD.md 3.1 counts, without the classifier."""
        config = self.config
        t, h, w = grid_of(frames, height, width, config.tubelet, config.patch)
        area = config.channels * config.tubelet * config.patch**2
        within, over = self.spatial.cost(h * w), self.temporal.cost(t)
        parts = {part: t * within[part] + over[part] for part in within}
        return {"embed": t * h * w * area * config.width, **parts}
