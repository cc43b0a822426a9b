"""This package decides what a masked autoencoder predicts."""

from typing import Protocol

import torch
from torch import Tensor, nn

from everest.clips import Clips
from everest.selection import Look


class Target(Protocol):
    """What is predicted at masked tokens. Not a module: a frozen teacher is in no state_dict."""

    name: str
    dim: int  # numbers a token

    def __call__(self, clips: Clips, look: Look, positions: Tensor) -> Tensor:
        """(B, M) -> (B, M, dim), only these tokens, no gradient; NaN where there is nothing."""
        ...

    def possible(self, clips: Clips) -> bool:
        """Whether it can be made of these clips, with what is at hand."""
        ...

    def frozen(self) -> list[nn.Module]: ...
    def head(self, width: int) -> nn.Module: ...
    def constant(self, wanted: Tensor) -> Tensor:
        """(B, M, dim) -> (B, M, dim): what one would predict who sees nothing of the clip."""
        ...

    def loss(self, predicted: Tensor, wanted: Tensor) -> Tensor:
        """-> (B,), one a clip; a token that is wanted nowhere (NaN) counts nothing."""
        ...


def without_lost(predicted: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, M, dim) twice -> both with 0 at tokens that are wanted nowhere (NaN), and (B,) the factor
    that makes a mean over all M tokens one over the others."""
    lost = wanted.isnan().any(dim=2, keepdim=True)
    counted = (~lost).sum(dim=(1, 2)).clamp_min(1)
    zero = torch.zeros((), dtype=wanted.dtype, device=wanted.device)
    return (
        torch.where(lost, zero.to(predicted.dtype), predicted),
        torch.where(lost, zero, wanted),
        wanted.shape[1] / counted,
    )
