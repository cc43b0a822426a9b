"""This file decides the heads of MME's targets: two layers, and how far their outputs reach."""

from torch import nn

HIDDEN = 512  # METHOD.md 2.2


def mlp_head(width: int, dim: int, reach: nn.Module) -> nn.Sequential:
    """(..., width) -> (..., dim); `reach` is the function that bounds the outputs."""
    return nn.Sequential(nn.Linear(width, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, dim), reach)
