"""This file decides which part of a video's trajectories a clip gets, as its frames are cropped.

It runs in the reading processes, so it imports no torch. S time steps of a clip; Y, X the grid of
points of the video, y, x that of the clip's tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from everest.crops import Box, Sides
from everest.trajectories.files import place_of, read_trajectories
from everest.trajectories.following import LENGTH, LOST, SPACING

NUMBERS = 2 * LENGTH  # a point
KNOWN = 0.5  # share of a point's weight that must come from points that are not lost


@dataclass(frozen=True)
class Wanted:
    """The trajectories that clips carry; part of every request."""

    folder: str  # that everest trajectories wrote
    tubelet: int  # frames of a time step: the first of them counts
    points: Sides  # of a clip's tokens: y, x


def lost_clip(steps: int, points: Sides) -> np.ndarray:
    """(steps, NUMBERS, y, x) float16, all NaN."""
    return np.full((steps, NUMBERS, *points), np.nan, np.float16)


def clip_trajectories(
    path: str, indices: Sequence[int], wanted: Wanted, shown: Box, mirrored: bool
) -> np.ndarray:
    """(S, NUMBERS, y, x) float16 pixels a source frame; NaN where lost, and for a video that has no
    file. `shown`: the clip's box in fractions of the frame. Raises TrajectoriesError."""
    first = indices[:: wanted.tubelet]
    try:
        about, told = read_trajectories(place_of(path, wanted.folder), first)
    except FileNotFoundError:
        return lost_clip(len(first), wanted.points)
    maps = fitted(told, (about.height, about.width), shown, wanted.points)
    if mirrored:
        maps = maps[..., ::-1].copy()
        maps[:, :LENGTH] *= -1
    return maps


def fitted(told: np.ndarray, frame: Sides, shown: Box, points: Sides) -> np.ndarray:
    """(S, 2, LENGTH, Y, X) int8 of a frame of pixels -> (S, NUMBERS, y, x) float16.

    Bilinear over the points that are not lost. Displacements stay what they are in the frame,
    however much of it is shown (METHOD.md 2.2).
    """
    known = told[:, 0, 0] != LOST  # (S, Y, X): a trajectory is lost as a whole
    moved = np.where(known[:, None, None], told, 0).astype(np.float32)
    down = weights_along(told.shape[3], frame[0], shown.top, shown.height, points[0])
    across = weights_along(told.shape[4], frame[1], shown.left, shown.width, points[1])
    share = (down @ known.astype(np.float32) @ across.T)[:, None]
    sums = down @ moved.reshape(len(told), NUMBERS, *told.shape[3:]) @ across.T
    with np.errstate(invalid="ignore", divide="ignore"):
        maps = np.where(share >= KNOWN, sums / share, np.nan)
    # Half precision also takes away what rounding put between points that moved alike, which the
    # target would divide by.
    return maps.astype(np.float16)


def weights_along(count: int, side: int, start: float, length: float, points: int) -> np.ndarray:
    """(points, count) float32: how much each point of the video counts for each of the clip, along
    one side of the frame; none does outside it."""
    places = start + length * (np.arange(points) + 0.5) / points  # fractions of the frame
    on_map = (places * side / SPACING - 0.5).clip(0, count - 1)
    low = np.minimum(on_map.astype(np.intp), max(count - 2, 0))
    high = np.minimum(low + 1, count - 1)
    weights = np.zeros((points, count), np.float32)
    number = np.arange(points)
    weights[number, low] += 1 - (on_map - low)
    weights[number, high] += on_map - low
    weights[(places < 0) | (places > 1)] = 0
    return weights
