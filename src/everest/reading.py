"""This file decides how one request becomes one clip's pixels: read, crop, resize, flip.

It runs in the reading processes, so it imports no torch. Shapes: (T, H, W, 3) uint8.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from everest import crops, keys
from everest.cache import FrameCache
from everest.crops import Box, Crop, Sides

Fit = Literal["crop", "pad"]


@dataclass(frozen=True)
class Framing:
    """How a frame becomes the model's size; part of every request."""

    size: Sides  # height, width of the model's input
    fit: Fit = "crop"  # "pad" letterboxes: the whole frame, black beside it
    short_side: int | None = None  # pixels: scale the video to this before cropping
    crop: Crop = "center"
    crop_shift: int = 0  # pixels, for crop "shift"
    flip: float = 0.0  # share of clips mirrored left to right
    smallest_area: float = 0.08  # for crop "area"


@dataclass(frozen=True)
class Request:
    path: str
    indices: tuple[int, ...]  # frames of the file
    key: int
    framing: Framing
    number: int = 0  # of `count` crops along the longer side, in evaluation
    count: int = 1


class ClipReader:
    """Turns requests into pixels; what the reading processes run."""

    def __init__(self, cache: FrameCache) -> None:
        self.cache = cache

    def __call__(self, request: Request, alive: Callable[[], None]) -> np.ndarray:
        """-> (T, H, W, 3) uint8; raises VideoError naming the file."""
        framing = request.framing
        frames = self.cache.read(
            request.path, request.indices, short_side=framing.short_side, alive=alive
        )
        if framing.fit == "pad":
            clip = padded(frames, framing.size)
        else:
            clip = resized(frames, box_of(request, frames.shape[1:3]), framing.size)
        if framing.flip and keys.uniform(request.key, "flip") < framing.flip:
            clip = clip[:, :, ::-1]
        return np.ascontiguousarray(clip)


def box_of(request: Request, frame: Sides) -> Box:
    framing = request.framing
    match framing.crop:
        case "multiscale":
            return crops.multiscale(frame, framing.size, request.key)
        case "area":
            return crops.area(frame, framing.size, request.key, framing.smallest_area)
        case "shift":
            return crops.shift(frame, framing.size, request.key, framing.crop_shift)
        case "center":
            choose = crops.still if framing.short_side else crops.center
            return choose(frame, framing.size, request.number, request.count)


def resized(frames: np.ndarray, box: Box, size: Sides) -> np.ndarray:
    """The box of every frame at the wanted size, bilinear with antialiasing."""
    left, top, width, height = box
    if (height, width) == size and left == int(left) and top == int(top):
        return frames[:, int(top) : int(top) + size[0], int(left) : int(left) + size[1]]
    edges = (left, top, min(left + width, frames.shape[2]), min(top + height, frames.shape[1]))
    out = np.empty((len(frames), *size, frames.shape[3]), np.uint8)
    for number, frame in enumerate(frames):
        part = Image.fromarray(frame).resize(
            (size[1], size[0]), Image.Resampling.BILINEAR, box=edges
        )
        out[number] = np.asarray(part)
    return out


def padded(frames: np.ndarray, size: Sides) -> np.ndarray:
    """The whole frame inside the wanted size, black beside it."""
    height, width = frames.shape[1:3]
    scale = min(size[0] / height, size[1] / width)
    inside = (max(round(height * scale), 1), max(round(width * scale), 1))
    out = np.zeros((len(frames), *size, frames.shape[3]), np.uint8)
    top, left = (size[0] - inside[0]) // 2, (size[1] - inside[1]) // 2
    out[:, top : top + inside[0], left : left + inside[1]] = resized(
        frames, Box(0, 0, width, height), inside
    )
    return out
