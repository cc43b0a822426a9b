"""This file decides what is believed of what a weights file says beside its tensors."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

Sides = tuple[int, int]


@dataclass(frozen=True)
class Beside:
    """What a file or its folder says of its model; None where it says nothing."""

    frames: int | None = None
    size: Sides | None = None  # pixels: height, width
    stride: float | None = None  # source frames
    heads: int | None = None
    decoder_heads: int | None = None
    classes: tuple[str, ...] | None = None  # names, in the order of the logits
    mean: tuple[float, ...] | None = None  # of pixels in 0..1
    std: tuple[float, ...] | None = None
    lightning: bool = False  # whether Lightning wrote it
    notes: tuple[str, ...] = ()


def beside_of(content: object) -> Beside:
    """What a checkpoint's other entries tell: the arguments its training was called with."""
    if not isinstance(content, Mapping):
        return Beside()
    found = content.get("args")
    said = vars(found) if isinstance(found, argparse.Namespace) else {}
    side = whole(said.get("input_size"))
    stride = whole(said.get("sampling_rate"))
    return Beside(
        frames=whole(said.get("num_frames")),
        size=(side, side) if side else None,
        stride=float(stride) if stride else None,
        lightning="pytorch-lightning_version" in content,
    )


def whole(value: object) -> int | None:
    """A number of frames or pixels, where it is one."""
    usable = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 10_000
    return int(value) if usable and isinstance(value, int) else None
