"""This file decides the fixed tables that tell a token where it stands."""

import torch
from torch import Tensor


def sinusoid(count: int, width: int) -> Tensor:
    """(count, width) float32: sine and cosine interleaved over the flat index t*h*w + ...

    Source: METHOD.md 2.1, the released VideoMAE and EVEREST models (not stored in their files).
    """
    place = torch.arange(count, dtype=torch.float64)[:, None]
    channel = torch.arange(width, dtype=torch.float64)
    angle = place / 10000.0 ** (2 * (channel // 2) / width)
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos()).float()
