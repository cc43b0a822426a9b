"""This file decides the pixel targets: the clip's own grey levels, normalised a token and channel.

B clips; M masked tokens; P = C * S numbers of a patch, S of one channel, ordered (channel, frame,
row, column) as patches are; the released heads order their outputs (frame, row, column, channel).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everest.clips import Clips
from everest.selection import Look, take

EPS = 255e-6  # beside the standard deviation, in grey levels: 1e-6 of pixels in 0..1; METHOD.md 1.2


class PixelHead(nn.Linear):
    """A linear layer in the released order of outputs, that gives them in the order of patches."""

    def __init__(self, width: int, dim: int, channels: int) -> None:
        super().__init__(width, dim)
        self.channels = channels

    def forward(self, rows: Tensor) -> Tensor:
        """(B, M, E) -> (B, M, P)."""

        # The weight is small beside predictions and targets: it is what moves.
        def patch_order(values: Tensor) -> Tensor:
            return values.unflatten(0, (-1, self.channels)).transpose(0, 1).flatten(0, 1)

        return F.linear(rows, patch_order(self.weight), patch_order(self.bias))


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

    def __init__(self, tubelet: int, patch: int, channels: int, normalize: bool = True) -> None:
        self.channels = channels
        self.dim = channels * tubelet * patch * patch
        self.normalize = normalize

    @torch.no_grad()
    def __call__(self, clips: Clips, look: Look, positions: Tensor) -> Tensor:
        """(B, M) -> (B, M, P) float32."""
        patches = take(look.patches.flatten(1, 3), positions).unflatten(2, (self.channels, -1))
        values = patches.float()  # (B, M, C, S)
        if not self.normalize:
            return values.div_(255).flatten(2)
        values.sub_(values.mean(dim=3, keepdim=True))
        spread = torch.linalg.vector_norm(values, dim=3, keepdim=True)
        values.div_(spread / (values.shape[3] - 1) ** 0.5 + EPS)
        return values.flatten(2)

    def frozen(self) -> list[nn.Module]:
        return []

    def head(self, width: int) -> nn.Module:
        return PixelHead(width, self.dim, self.channels)

    def loss(self, predicted: Tensor, wanted: Tensor) -> Tensor:
        """(B, M, P) twice -> (B,): the mean squared error of a clip."""
        return SquaredError.apply(predicted, wanted)
