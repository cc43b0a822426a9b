"""This file decides the computed tables that tell a token where it stands.

Positions count the flattened (t, h, w) grid of a clip; D is the width of a token.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from everest.selection import Grid, size_of

Computed = Literal["sinusoid", "sincos3d"]


def sinusoid(count: int, width: int) -> Tensor:
    """(count, width) float32: sine and cosine interleaved over the flat index t*h*w + ...

    Source: METHOD.md 2.1, the released VideoMAE and EVEREST models (not stored in their files).
    """
    place = torch.arange(count, dtype=torch.float64)[:, None]
    channel = torch.arange(width, dtype=torch.float64)
    angle = place / 10000.0 ** (2 * (channel // 2) / width)
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos()).float()


def sincos3d(grid: Grid, width: int) -> Tensor:
    """(t*h*w, width) float32: a quarter of the width for time, then column and row of the frame,
    each its sines and then its cosines.

    Source: METHOD.md 2.3, MVD's student and decoders. Raises ValueError for a width that is not a
    multiple of 16.
    """
    if width % 16:
        raise ValueError(
            f"3-D sin-cos positions need a width that is a multiple of 16, not {width}: give "
            f"another --model or --decoder-width, or --positions sinusoid"
        )

    def along(count: int, channels: int) -> Tensor:
        scale = 10000.0 ** (torch.arange(channels // 2, dtype=torch.float64) / (channels / 2))
        angle = torch.arange(count, dtype=torch.float64)[:, None] / scale
        return torch.cat((angle.sin(), angle.cos()), dim=1)

    t, h, w = grid
    time, side = width // 4, 3 * width // 8
    parts = (
        along(t, time)[:, None, None].expand(t, h, w, time),
        along(w, side)[None, None].expand(t, h, w, side),
        along(h, side)[None, :, None].expand(t, h, w, side),
    )
    return torch.cat(parts, dim=3).flatten(0, 2).float()


class Positions(nn.Module):
    """A computed table, made for the grid of the clip at hand; in no weight file."""

    table: Tensor

    def __init__(self, kind: Computed, width: int) -> None:
        super().__init__()
        self.kind = kind
        self.width = width
        self.grid: Grid | None = None  # that the table is of
        self.register_buffer("table", torch.zeros(0, width), persistent=False)
        if kind == "sincos3d":
            sincos3d((1, 1, 1), width)

    def forward(self, positions: Tensor, grid: Grid) -> Tensor:
        """(B, K) positions -> (B, K, D)."""
        if self.grid != grid:
            if self.kind == "sincos3d":
                self.table = sincos3d(grid, self.width).to(positions.device)
            elif len(self.table) < size_of(grid):  # its rows do not depend on the grid
                self.table = sinusoid(size_of(grid), self.width).to(positions.device)
            self.grid = grid
        return self.table[positions]
