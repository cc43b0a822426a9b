"""This package decides what a masked autoencoder predicts."""

from typing import Protocol

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

    def frozen(self) -> list[nn.Module]: ...
    def head(self, width: int) -> nn.Module: ...
    def loss(self, predicted: Tensor, wanted: Tensor) -> Tensor:
        """-> (B,), one a clip."""
        ...
