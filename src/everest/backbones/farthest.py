"""This file decides which patches are sampled: each next one is farthest from those chosen so far.

B sets of P points of F numbers; K of them are chosen. Source: BACKBONES.md 7.
"""

import math

import torch
from torch import Tensor


def coordinates(frames: int, rows: int, columns: int, patch: int, std: float) -> Tensor:
    """(frames, rows, columns, 3) float32: time, row and column of each patch, centred.

    They span what pixels of this standard deviation span along a patch's side, so that neither
    the place nor the look of a patch decides alone.
    """
    along = math.sqrt(patch) / std
    across = math.sqrt(patch / 2) / std
    axes = [
        torch.linspace(-span / 2, span / 2, count)
        for span, count in ((along, frames), (across, rows), (across, columns))
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=3)


@torch.no_grad()
def farthest(points: Tensor, start: Tensor, count: int, rivals: Tensor | None = None) -> Tensor:
    """Points (B, P, F), the first choice (B,) -> (B, K) int64, in the order of choice.

    Greedy: the next is the point whose nearest chosen point is farthest away, the first of equals.
    With `rivals` (P,), points of equal number exclude each other: one of each number is chosen at
    most. Raises ValueError where fewer than `count` can be chosen.
    """
    B, P, _ = points.shape
    group = torch.arange(P, device=points.device) if rivals is None else rivals
    possible = P if rivals is None else int(rivals.unique().numel())
    if not 1 <= count <= possible:
        raise ValueError(f"{count} patches to sample of {possible}: give 1 to {possible}")
    # One set at a time: a product of many may round otherwise, and a clip's choice must not
    # depend on its batch.
    apart = torch.stack([torch.cdist(each, each) for each in points.float()])  # (B, P, P)
    sets = torch.arange(B, device=points.device)
    nearest = torch.full((B, P), torch.inf, device=points.device)
    newest = start
    chosen = [newest]
    for _ in range(count - 1):
        nearest = torch.minimum(nearest, apart[sets, newest])
        nearest = nearest.masked_fill(group == group[newest][:, None], -1.0)
        newest = nearest.argmax(dim=1)
        chosen.append(newest)
    return torch.stack(chosen, dim=1)
