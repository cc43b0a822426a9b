"""This file decides how a backbone's stored positions fit a model of other size or frames.

h, w rows and columns of patches; t time steps; D the width of a token.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from everest.backbones.stretching import stretched_places, stretched_times
from everest.convert.backbones import square
from everest.convert.infer import depth_of
from everest.selection import Grid


class Gridded(Protocol):
    @property
    def grid(self) -> Grid: ...


@dataclass(frozen=True)
class Tables:
    """Where a model has its tables of places (1, 1 + h*w, D) and times (1, t, D), and their rule.

    By `nearest` places are those nearest in the flat index, as TimeSformer's authors load files:
    not what the model does with a clip of another size than its tables'. By `smooth` they are
    bicubic over rows and columns, and times linear.
    """

    part: str  # of the model, with a point
    times: str
    rule: Literal["nearest", "smooth"]

    def fitted(
        self, tensors: Mapping[str, Tensor], config: Gridded, wanted: Gridded
    ) -> dict[str, Tensor]:
        """Our tensors with tables for the wanted config; one that is not there is passed over."""
        out = dict(tensors)
        places, times = f"{self.part}pos_embed", f"{self.part}{self.times}"
        if places in out and config.grid[1:] != wanted.grid[1:]:
            out[places] = self.places(out[places], config.grid[1:], wanted.grid[1:])
        if times in out:
            mode: Literal["nearest", "linear"] = "nearest" if self.rule == "nearest" else "linear"
            out[times] = stretched_times(out[times][0], wanted.grid[0], mode)[None]
        return out

    def places(self, table: Tensor, grid: tuple[int, int], wanted: tuple[int, int]) -> Tensor:
        if self.rule == "smooth":
            return stretched_places(table[0], grid, wanted, "bicubic")[None]
        fitted = F.interpolate(table[:, 1:].mT, wanted[0] * wanted[1], mode="nearest")
        return torch.cat((table[:, :1], fitted.mT), dim=1)

    def sizes(self, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        """What our tensors tell of a config, by the names of its fields.

        Raises KeyError for a tensor that is missing, WeightsError for a table of no square.
        """
        weight = tensors[f"{self.part}patch_embed.proj.weight"]
        width, channels, *tubelet, patch, _ = weight.shape
        side = patch * square(tensors[f"{self.part}pos_embed"].shape[1] - 1, "pos_embed")
        return {
            "width": width,
            "depth": depth_of(dict(tensors), f"{self.part}blocks."),
            "frames": tensors[f"{self.part}{self.times}"].shape[1] * math.prod(tubelet),
            "size": (side, side),
            "patch": patch,
            "channels": channels,
        }
