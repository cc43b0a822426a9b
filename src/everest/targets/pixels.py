"""This file decides the pixel targets: the clip's own grey levels, normalised a token and channel.

B clips; M masked tokens; C channels; P numbers of a patch, ordered (frame, row, column, channel) as
patches and the outputs of the released heads are.
"""

from typing import Any

import torch
from torch import Tensor, nn

from everest.clips import Clips
from everest.selection import Look, take
from everest.targets import without_lost

EPS = 255e-6  # beside the standard deviation, in grey levels: 1e-6 of pixels in 0..1; METHOD.md 1.2


class SquaredError(torch.autograd.Function):
    """Mean squared error a clip in few passes over memory: the difference is all that is kept."""

    @staticmethod
    def forward(context: Any, predicted: Tensor, wanted: Tensor) -> Tensor:
        difference = wanted.neg().add_(predicted)
        context.save_for_backward(difference)
        context.dtype = predicted.dtype
        flat = difference.flatten(1)
        return torch.linalg.vector_norm(flat, dim=1).square() / flat.shape[1]

    @staticmethod
    def backward(context: Any, *gradients: Any) -> tuple[Tensor, None]:
        (difference,) = context.saved_tensors
        factor = gradients[0].view(-1, 1, 1) * (2 / difference[0].numel())
        return (difference * factor).to(context.dtype), None


class Pixels:
    """Predicts the patch, normalised by its own mean and unbiased standard deviation a channel."""

    name = "pixels"

    def __init__(
        self,
        tubelet: int,
        patch: int,
        channels: int,
        normalize: bool = True,
        partial: bool = False,  # some decoded tokens are nothing to predict: their targets are NaN
    ) -> None:
        self.patch = patch
        self.channels = channels
        self.dim = tubelet * patch * patch * channels
        self.normalize = normalize
        self.partial = partial

    @torch.no_grad()
    def __call__(self, clips: Clips, look: Look, positions: Tensor) -> Tensor:
        """(B, M) -> (B, M, P) float32."""
        values = take(look.patches.flatten(1, 3), positions).float()
        if not self.normalize:
            return values.div_(255)
        B, M, _ = values.shape
        count = self.dim // self.channels  # numbers a channel
        # Rows of pixels are the longest runs in which the channels take turns in a fixed way.
        rows = values.view(B, M, -1, self.patch * self.channels)

        def total(row: Tensor) -> Tensor:
            """Sums over rows -> sums a channel, in the places of a row."""
            channel = row.unflatten(2, (self.patch, self.channels)).sum(dim=2)
            return channel.repeat(1, 1, self.patch)[:, :, None]

        rows.sub_(total(rows.sum(dim=2)).div_(count))
        spread = total(rows.square().sum(dim=2)).div_(count - 1).sqrt_()
        rows.div_(spread.add_(EPS))
        return values

    def possible(self, clips: Clips) -> bool:
        return True

    def frozen(self) -> list[nn.Module]:
        return []

    def head(self, width: int) -> nn.Module:
        return nn.Linear(width, self.dim)

    def constant(self, wanted: Tensor) -> Tensor:
        """Grey: 0 once normalised."""
        return torch.zeros_like(wanted)

    def loss(self, predicted: Tensor, wanted: Tensor) -> Tensor:
        """(B, M, P) twice -> (B,): the mean squared error of a clip."""
        if not self.partial:
            return SquaredError.apply(predicted, wanted)
        predicted, wanted, factor = without_lost(predicted, wanted)
        return SquaredError.apply(predicted, wanted) * factor
