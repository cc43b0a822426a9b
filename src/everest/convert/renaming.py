"""This file decides how names of theirs become names of ours, and back: a table and its inverse.

A table maps beginnings of names; `{i}` in one stands for a block's number, and the longest that
fits wins. `NAME[1/3]` on our side is the second of three pieces that are joined along their rows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from everest.config import SelectConfig
from everest.vit import IMAGENET_MEAN, IMAGENET_STD, PositionKind

PIECES = 3  # queries, keys and values are the only tensors that others keep apart
EVERY = SelectConfig("all")
PIECE = re.compile(rf"(?P<whole>.*)\[(?P<number>\d)/{PIECES}\]$")


@dataclass(frozen=True)
class Family:
    """Files with the same names: whose they are, and what the names mean here."""

    name: str
    kind: Literal["autoencoder", "classifier"]
    beginnings: Mapping[str, str]  # theirs -> ours
    marks: tuple[str, ...]  # names that together only this family has
    aside: Mapping[str, str] = field(default_factory=dict)  # theirs without a place here -> why
    positions: PositionKind = "sinusoid"  # where the file stores none
    settled: bool = True  # whether name and layout tell the positions
    select: SelectConfig = EVERY  # how its method reads
    targets: tuple[tuple[str, ...], ...] = ()  # of each decoder
    mean: tuple[float, ...] = IMAGENET_MEAN  # of pixels in 0..1, as its code has them
    std: tuple[float, ...] = IMAGENET_STD
    note: str = ""  # what a user should know of it

    def ours(self, name: str) -> str | None:
        """Our name of a parameter of theirs; None where the table knows none."""
        return renamed(name, self.beginnings)

    def theirs(self, name: str) -> str | None:
        return renamed(name, {ours: theirs for theirs, ours in self.beginnings.items()})

    def why_aside(self, name: str) -> str | None:
        """Why a parameter of theirs is not read; None where it should be."""
        fitting = [begin for begin in self.aside if beginning(begin).match(name)]
        return self.aside[max(fitting, key=len)] if fitting else None


def beginning(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(r"\{i\}", r"(?P<i>\d+)"))


def renamed(name: str, beginnings: Mapping[str, str]) -> str | None:
    for begin in sorted(beginnings, key=len, reverse=True):
        match = beginning(begin).match(name)
        if match:
            number = match.groupdict().get("i", "")
            return beginnings[begin].replace("{i}", number) + name[match.end() :]
    return None


def to_ours(tensors: Mapping[str, Tensor], family: Family) -> tuple[dict[str, Tensor], list[str]]:
    """(tensors under our names, names that the table does not know); pieces are joined.

    What the family puts aside is in neither.
    """
    kept: dict[str, Tensor] = {}
    unknown = []
    pieces: dict[str, dict[int, tuple[str, Tensor]]] = {}
    for name, tensor in tensors.items():
        if family.why_aside(name) is not None:
            continue
        ours = family.ours(name)
        piece = PIECE.match(ours) if ours is not None else None
        if ours is None:
            unknown.append(name)
        elif piece:
            pieces.setdefault(piece["whole"], {})[int(piece["number"])] = (name, tensor)
        else:
            kept[ours] = tensor
    for whole, parts in pieces.items():
        if len(parts) == PIECES:
            kept[whole] = torch.cat([parts[number][1] for number in range(PIECES)])
        else:  # the whole is missing, and what there is of it has no place
            unknown += [name for name, _ in parts.values()]
    return kept, unknown


def to_theirs(tensors: Mapping[str, Tensor], family: Family) -> dict[str, Tensor]:
    """The inverse of `to_ours`; raises ValueError for a parameter their layout has no place for."""
    out = {}
    for name, tensor in tensors.items():
        theirs = family.theirs(name)
        if theirs is not None:
            out[theirs] = tensor
            continue
        for number, piece in enumerate(tensor.chunk(PIECES) if tensor.ndim else ()):
            theirs = family.theirs(f"{name}[{number}/{PIECES}]")
            if theirs is None:
                break
            out[theirs] = piece.contiguous()
        if theirs is None:
            raise ValueError(f"{name} has no place in a {family.name} file")
    return out
