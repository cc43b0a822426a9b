"""This file decides the trajectory targets: how points moved over the next frames (MME).

B clips; M masked tokens; t, h, w the token grid; N = t*h*w; 8 numbers of a point: its displacement
to the right over 4 source frames, one after the other, then the same downward.
"""

import torch
from torch import Tensor, nn

from everest.clips import Clips
from everest.selection import Look, take
from everest.targets.mlp import mlp_head

KEY = "trajectory"  # of Clips.extra: (B, t, 8, POINTS*h, POINTS*w)
POINTS = 2  # a side of a token
NUMBERS = 8  # a point: 2 coordinates x 4 steps
REACH = 20  # pixels a source frame: the largest displacement
EPS = 1e-6


class Trajectories:
    """Predicts the shape of motion at a tubelet's first frame, beside what its points share.

    The displacements of a token's 2x2 points less their mean, over their unbiased standard
    deviation (METHOD.md 2.2). A lost point is NaN, and takes no part in mean and deviation.
    """

    name = "trajectory"
    dim = NUMBERS * POINTS**2

    def __init__(self, tubelet: int, patch: int) -> None:
        self.tubelet = tubelet
        self.patch = patch

    @torch.no_grad()
    def __call__(self, clips: Clips, look: Look, positions: Tensor) -> Tensor:
        """(B, M) -> (B, M, 32) float32, ordered (coordinate, step, row and column of points).

        Raises ValueError for clips without maps, and for maps of another grid of tokens.
        """
        t, h, w = look.grid
        if KEY not in clips.extra:
            raise ValueError(
                f"the target trajectory reads maps that these clips do not carry: give Clips.extra "
                f"a {KEY!r}, or run with --trajectories DIR"
            )
        maps = clips.extra[KEY]
        if maps.shape[1:] != (t, NUMBERS, POINTS * h, POINTS * w):
            raise ValueError(
                f"trajectories {tuple(maps.shape[1:])}: a grid of {t}x{h}x{w} tokens needs "
                f"{(t, NUMBERS, POINTS * h, POINTS * w)}; give the loader the model's sizes"
            )
        moved = take(points_of(maps), positions).float()  # (B, M, 8, 2, 2)
        return shape_of(moved).flatten(2)

    def possible(self, clips: Clips) -> bool:
        return KEY in clips.extra

    def frozen(self) -> list[nn.Module]:
        return []

    def head(self, width: int) -> nn.Module:
        return mlp_head(width, self.dim, nn.Tanh())

    def constant(self, wanted: Tensor) -> Tensor:
        """No motion against the other points."""
        return torch.zeros_like(wanted)

    def loss(self, predicted: Tensor, wanted: Tensor) -> Tensor:
        """(B, M, 32) twice -> (B,): the squared error of what is not lost, over all M tokens."""
        error = torch.where(wanted.isnan(), 0.0, predicted.float() - wanted)
        return error.square().sum(dim=(1, 2)) / wanted.shape[1]


def points_of(maps: Tensor) -> Tensor:
    """(B, t, K, POINTS*h, POINTS*w) -> (B, N, K, POINTS, POINTS): the points of each token."""
    cut = maps.unflatten(4, (-1, POINTS)).unflatten(3, (-1, POINTS))
    return cut.permute(0, 1, 3, 5, 2, 4, 6).flatten(1, 3)


def shape_of(moved: Tensor) -> Tensor:
    """(..., 2, 2) pixels -> the same, normalised over the points that are not lost (NaN)."""
    points = moved.flatten(-2) / REACH
    known = ~points.isnan()
    count = known.sum(dim=-1, keepdim=True)
    mean = points.nansum(dim=-1, keepdim=True) / count
    off = points - mean
    variance = off.square().nansum(dim=-1, keepdim=True) / (count - 1).clamp_min(1)
    return (off / (variance.sqrt() + EPS)).view(moved.shape)
