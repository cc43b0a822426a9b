"""This file decides how a stored table of positions fits a clip of other frames or size.

N positions of a grid (t, h, w); D the width of a token.
"""

import torch.nn.functional as F
from torch import Tensor

from everest.selection import Grid


def stretched(table: Tensor, grid: Grid, wanted: Grid) -> Tensor:
    """(N, D) of `grid` -> (N', D) of `wanted`: trilinear between the centres of tokens."""
    cube = table.unflatten(0, grid).permute(3, 0, 1, 2)[None]  # (1, D, t, h, w)
    out = F.interpolate(cube.float(), wanted, mode="trilinear", align_corners=False)
    return out[0].permute(1, 2, 3, 0).flatten(0, 2).to(table.dtype)
