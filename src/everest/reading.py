"""This file decides how one request becomes one clip, or several of one decode: read, change the
frames, crop, resize, flip, change the clip.

It runs in the reading processes, so it imports no torch. Shapes: (T, H, W, 3) uint8.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from PIL import Image

from everest import crops, keys
from everest.augment.clip import Changes
from everest.cache import FrameCache
from everest.crops import Box, Crop, Sides
from everest.trajectories.riding import Wanted, clip_trajectories

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
    changes: Changes | None = None  # of the pixels, in training


@dataclass(frozen=True)
class Request:
    path: str
    indices: tuple[int, ...]  # frames of the file
    key: int
    framing: Framing
    number: int = 0  # of `count` crops along the longer side, in evaluation
    count: int = 1
    trajectories: Wanted | None = None  # what the clip carries beside its pixels
    further: tuple[int, ...] = ()  # keys of more clips of the same decode


@dataclass(frozen=True)
class Clip:
    """One clip as it was read."""

    pixels: np.ndarray  # (T, H, W, 3) uint8
    extra: dict[str, np.ndarray] = field(default_factory=dict)  # of Clips.extra, without B
    further: tuple["Clip", ...] = ()  # more clips of the same decode


class ClipReader:
    """Turns requests into clips; what the reading processes run."""

    def __init__(self, cache: FrameCache) -> None:
        self.cache = cache

    def __call__(self, request: Request, alive: Callable[[], None]) -> Clip:
        """Raises VideoError, or TrajectoriesError, naming the file."""
        framing = request.framing
        frames = self.cache.read(
            request.path, request.indices, short_side=framing.short_side, alive=alive
        )
        clip = self.clip_of(request, frames)
        if not request.further:
            return clip
        more = (self.clip_of(replace(request, key=key), frames) for key in request.further)
        return replace(clip, further=tuple(more))

    def clip_of(self, request: Request, frames: np.ndarray) -> Clip:
        """Frames as they were read -> the clip that the request's key makes of them."""
        framing, changes = request.framing, request.framing.changes
        height, width = frames.shape[1:3]
        if changes is not None:
            frames = changes.of_frames(frames, request.key)
        if framing.fit == "pad":
            clip = padded(frames, framing.size)
            box = box_of_padded((height, width), framing.size)
        else:
            box = box_of(request, (height, width))
            clip = resized(frames, box, framing.size)
            box = inside(box, (height, width))
        mirrored = framing.flip > 0 and keys.uniform(request.key, "flip") < framing.flip
        if mirrored:
            clip = clip[:, :, ::-1]
        if changes is not None:
            clip = changes.of_clip(clip, request.key)
        extra = {}
        if request.trajectories is not None:
            shown = Box(box.left / width, box.top / height, box.width / width, box.height / height)
            extra["trajectory"] = clip_trajectories(
                request.path, request.indices, request.trajectories, shown, mirrored
            )
        return Clip(np.ascontiguousarray(clip), extra)


def box_of(request: Request, frame: Sides) -> Box:
    framing = request.framing
    match framing.crop:
        case "multiscale":
            return crops.multiscale(frame, framing.size, request.key)
        case "area":
            return crops.area(frame, framing.size, request.key, framing.smallest_area)
        case "scale":
            return crops.scale(frame, framing.size, request.key)
        case "shift":
            return crops.shift(frame, framing.size, request.key, framing.crop_shift)
        case "center":
            choose = crops.still if framing.short_side else crops.center
            return choose(frame, framing.size, request.number, request.count)


def inside(box: Box, frame: Sides) -> Box:
    """The part of a box that lies in the frame."""
    width = min(box.left + box.width, frame[1]) - box.left
    return Box(box.left, box.top, width, min(box.top + box.height, frame[0]) - box.top)


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
    top, left, (high, wide) = place_in((height, width), size)
    out = np.zeros((len(frames), *size, frames.shape[3]), np.uint8)
    out[:, top : top + high, left : left + wide] = resized(
        frames, Box(0, 0, width, height), (high, wide)
    )
    return out


def place_in(frame: Sides, size: Sides) -> tuple[int, int, Sides]:
    """Where the whole frame stands in a padded clip: top, left, and its size there."""
    scale = min(size[0] / frame[0], size[1] / frame[1])
    high, wide = max(round(frame[0] * scale), 1), max(round(frame[1] * scale), 1)
    return (size[0] - high) // 2, (size[1] - wide) // 2, (high, wide)


def box_of_padded(frame: Sides, size: Sides) -> Box:
    """The box that a padded clip shows, which is larger than the frame."""
    top, left, (high, wide) = place_in(frame, size)
    down, across = frame[0] / high, frame[1] / wide  # pixels of the frame, for one of the clip
    return Box(-left * across, -top * down, size[1] * across, size[0] * down)
