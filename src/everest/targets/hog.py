"""This file decides the HOG targets: how edges are oriented, in cells of 8 pixels (MME).

B clips; M masked tokens; C channels; t, h, w the token grid; R rows of tokens, over all clips;
S cells a side of a token. A gradient's angle p counts bins: 0..9 is half a turn.
"""

import math

import torch
from torch import Tensor, nn

from everest.clips import Clips
from everest.selection import Look, take
from everest.targets import without_lost
from everest.targets.mlp import mlp_head
from everest.targets.pixels import SquaredError

BINS = 9
CELL = 8  # pixels a side
# Rows of tokens histogrammed at once, in pixels: few enough for a processor's cache.
AT_ONCE = {"cpu": 1 << 17}
AT_MOST = 1 << 24


class Hog:
    """Predicts histograms of oriented gradients of each tubelet's second frame.

    The formula is that of MME without its random bias (METHOD.md 2.2): Sobel gradients of the
    normalised frame, a channel alone; each pixel's magnitude is dealt to the two nearest of nine
    bins of half a turn, and averaged over cells of 8x8 pixels.
    """

    name = "hog"

    def __init__(
        self,
        tubelet: int,
        patch: int,
        channels: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        """Raises ValueError for a patch that is not made of whole cells, and for channels whose
        mean or standard deviation is not told."""
        if patch % CELL:
            raise ValueError(
                f"--targets hog with --patch {patch}: histograms are of cells of {CELL}x{CELL} "
                f"pixels; give a --patch that is a multiple of {CELL}"
            )
        if not len(mean) == len(std) == channels:
            raise ValueError(
                f"mean {mean} and std {std} of pixels: give {channels} numbers, one a channel"
            )
        self.tubelet = tubelet
        self.patch = patch
        self.std = std  # the mean plays no part: a gradient is the same wherever zero is
        self.dim = self.numbers(patch, channels)

    @staticmethod
    def numbers(patch: int, channels: int) -> int:
        """Of a token: a bin a channel and cell."""
        return BINS * channels * (patch // CELL) ** 2

    @torch.no_grad()
    def __call__(self, clips: Clips, look: Look, positions: Tensor) -> Tensor:
        """(B, M) -> (B, M, dim) float32, ordered (channel, bin, row of cells, column of cells)."""
        # Whole frames come from the loader with the channel last.
        frames = clips.video.permute(0, 2, 3, 4, 1)[:, min(1, self.tubelet - 1) :: self.tubelet]
        across, down = (
            take(tokens_of(part, self.patch), positions).flatten(0, 1) for part in sobel(frames)
        )
        scale = torch.tensor([1 / (255 * std) for std in self.std], device=across.device)
        at_once = max(AT_ONCE.get(across.device.type, AT_MOST) // across[0].numel(), 1)
        parts = [
            histograms(x, y, frames.shape[4])
            for x, y in zip(across.split(at_once), down.split(at_once), strict=True)
        ]
        found = torch.cat(parts) * scale[:, None, None, None]
        return layout(found).unflatten(0, positions.shape)

    def possible(self, clips: Clips) -> bool:
        return True

    def frozen(self) -> list[nn.Module]:
        return []

    def head(self, width: int) -> nn.Module:
        return mlp_head(width, self.dim, nn.Sigmoid())

    def constant(self, wanted: Tensor) -> Tensor:
        """The mean histogram of the batch."""
        return wanted.nanmean(dim=(0, 1), keepdim=True).expand_as(wanted)

    def loss(self, predicted: Tensor, wanted: Tensor) -> Tensor:
        """(B, M, dim) twice -> (B,): the squared error of a token, over the tokens of a clip."""
        predicted, wanted, factor = without_lost(predicted, wanted)
        return SquaredError.apply(predicted, wanted) * (self.dim * factor)


def sobel(frames: Tensor) -> tuple[Tensor, Tensor]:
    """(B, t, H, W, C) uint8 -> two (B, t, H, W, C) int16: how grey levels fall to the right, and
    downward; the frame's edges are repeated."""
    B, t, H, W, C = frames.shape
    wide = torch.empty(B, t, H + 2, W + 2, C, dtype=torch.int16, device=frames.device)
    wide[:, :, 1:-1, 1:-1] = frames
    wide[:, :, 0, 1:-1], wide[:, :, -1, 1:-1] = frames[:, :, 0], frames[:, :, -1]
    wide[:, :, :, 0], wide[:, :, :, -1] = wide[:, :, :, 1], wide[:, :, :, -2]
    smooth = (wide[:, :, :-2] + wide[:, :, 2:]).add_(wide[:, :, 1:-1], alpha=2)
    across = smooth[:, :, :, :-2] - smooth[:, :, :, 2:]
    smooth = (wide[:, :, :, :-2] + wide[:, :, :, 2:]).add_(wide[:, :, :, 1:-1], alpha=2)
    return across, smooth[:, :, :-2] - smooth[:, :, 2:]


def tokens_of(values: Tensor, patch: int) -> Tensor:
    """(B, t, H, W, C) -> (B, t*h*w, patch, patch*C)."""
    B, t, H, W, C = values.shape
    cut = values.reshape(B, t, H // patch, patch, W // patch, patch * C).transpose(3, 4)
    return cut.reshape(B, -1, patch, patch * C)


def histograms(across: Tensor, down: Tensor, channels: int) -> Tensor:
    """(R, patch, patch*C) twice, int16 -> (R, C, BINS, S, S) float32: mean votes of a cell."""
    # Opposite directions are one orientation: all are turned downward, and a level one is 0.
    angle = torch.atan2(down.abs().float(), (down.sign() * across).float())
    angle.mul_(BINS / math.pi)  # 0 .. BINS
    x, y = across.float(), down.float()
    size = x.mul_(x).addcmul_(y, y).sqrt_()
    # A pixel of angle p fills the steps between bins up to p, and its votes are what one step lacks
    # of the one before. So sums are enough: no pixel is scattered, and the order of the sums is
    # always the same.
    filled = [rows_of(size)]
    reached = angle.mul_(size)
    for _ in range(BINS):
        filled.append(rows_of(torch.minimum(reached, size)))
        reached = reached.sub_(size).clamp_(min=0)
    filled.append(torch.zeros_like(filled[0]))
    votes = -torch.stack(filled, dim=1).diff(dim=1)  # (R, bins 0 .. BINS, S, patch*C)
    votes[:, 0] += votes[:, BINS]  # half a turn is the orientation 0 again
    cells = votes[:, :BINS].unflatten(3, (-1, CELL, channels)).sum(dim=4)  # (R, BINS, S, S, C)
    return cells.permute(0, 4, 1, 2, 3) / CELL**2


def rows_of(values: Tensor) -> Tensor:
    """(R, patch, patch*C) -> (R, S, patch*C): sums over the rows of pixels of a cell."""
    return values.unflatten(1, (-1, CELL)).sum(dim=2)


def layout(found: Tensor) -> Tensor:
    """(R, C, BINS, S, S) -> (R, dim): the order of MME's heads."""
    return found.flatten(1)
