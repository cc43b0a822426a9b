"""This file decides how a backbone's tables of positions fit a clip of other size or frames.

t, h, w the token grid; D the width of a token. A table of places has the class token's row first.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def stretched_places(
    table: Tensor,
    grid: tuple[int, int],
    wanted: tuple[int, int],
    mode: Literal["nearest", "bicubic"],
) -> Tensor:
    """(1 + h*w, D) -> (1 + h'*w', D) over rows and columns; the class token's row stays."""
    if grid == wanted:
        return table
    stored = table[1:].T.unflatten(1, grid)[None]  # (1, D, h, w)
    return torch.cat((table[:1], F.interpolate(stored, wanted, mode=mode)[0].flatten(1).T))


def stretched_times(table: Tensor, steps: int, mode: Literal["nearest", "linear"]) -> Tensor:
    """(t, D) -> (t', D)."""
    if len(table) == steps:
        return table
    return F.interpolate(table.T[None], steps, mode=mode)[0].T
