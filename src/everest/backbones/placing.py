"""This file decides how the patches of a clip get their positions in a backbone with a class token.

B clips; t, n time steps and patches of a step; D width.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from everest.backbones.patches import PatchEmbed, normalised
from everest.selection import Grid


class PlacedConfig(Protocol):
    @property
    def mean(self) -> Sequence[float]: ...
    @property
    def std(self) -> Sequence[float]: ...
    @property
    def grid(self) -> Grid: ...


class Placed(Protocol):
    """A backbone with a table of places, whose first row is the class token's, and one of times."""

    features: int
    patch_embed: PatchEmbed
    cls_token: nn.Parameter  # (1, 1, D)

    @property
    def config(self) -> PlacedConfig: ...
    def places(self, rows: int, columns: int) -> Tensor: ...  # (1 + rows*columns, D)
    def times(self, steps: int) -> Tensor: ...  # (steps, D)
    def encode(self, first: Tensor, patches: Tensor, key: Tensor) -> Tensor: ...


def read(model: Placed, video: Tensor, key: Tensor) -> Tensor:
    """(B, C, T, H, W) uint8 -> (B, features): all patches, each with its place and its time.

    Raises ValueError for sizes that leave a remainder.
    """
    patches = model.patch_embed.cut(normalised(video, model.config.mean, model.config.std))
    B, t, h, w, _ = patches.shape
    places = model.places(h, w)
    tokens = model.patch_embed(patches).flatten(2, 3) + places[1:] + model.times(t)[:, None]
    first = (model.cls_token[0] + places[:1]).expand(B, -1)
    return model.encode(first, tokens, key)
