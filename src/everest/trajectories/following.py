"""This file decides how points are followed from frame to frame.

Y, X the grid of points, one every SPACING pixels; a trajectory is (2, LENGTH): x and y of each
step, in whole pixels. Slower motion than half a pixel a frame is none: the target divides by the
spread of neighbouring points, and would make noise as large as motion.
"""

from collections.abc import Sequence

import numpy as np

from everest.crops import Sides
from everest.trajectories.flow import Motion

SPACING = 8  # pixels from one point to the next; METHOD.md 2.2
OFFSET = 4  # pixels to the first
LENGTH = 4  # steps, from one source frame to the next
REACH = 20  # pixels: the largest displacement that is told
LOST = -128  # where a trajectory left the frame, or the video ended


def points_in(side: int) -> int:
    """How many points a side of so many pixels has."""
    return len(range(OFFSET, side, SPACING))


def lost_map(frame: Sides) -> np.ndarray:
    """(2, LENGTH, Y, X) int8 where no point could be followed."""
    return np.full((2, LENGTH, points_in(frame[0]), points_in(frame[1])), LOST, np.int8)


def follow(motions: Sequence[Motion]) -> np.ndarray:
    """LENGTH motions of consecutive frames -> (2, LENGTH, Y, X) int8, from the first of them on.

    A point follows what it shows; told is how it moved beside the camera.
    """
    import cv2

    height, width = motions[0].flow.shape[:2]
    told = lost_map((height, width))
    rows, columns = np.meshgrid(
        np.arange(OFFSET, height, SPACING, dtype=np.float32),
        np.arange(OFFSET, width, SPACING, dtype=np.float32),
        indexing="ij",
    )
    at = np.stack((columns, rows))  # (2, Y, X): x, y
    stays = np.ones(rows.shape, bool)
    last = np.array([width - 1, height - 1], np.float32)[:, None, None]
    steps = []
    for motion in motions:
        flow = cv2.remap(
            motion.flow, at[0], at[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        ).transpose(2, 0, 1)
        steps.append(flow - camera_flow(motion.camera, at))
        at = at + flow
        stays &= ((at >= 0) & (at <= last)).all(axis=0)
    moved = np.rint(np.stack(steps, axis=1)).clip(-REACH, REACH)
    np.copyto(told, moved, casting="unsafe", where=stays)
    return told


def camera_flow(camera: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(3, 3), points (2, Y, X) -> (2, Y, X) float32: how the camera moves what stands there."""
    straight = np.einsum("ij,jyx->iyx", camera[:, :2], at) + camera[:, 2, None, None]
    return (straight[:2] / straight[2] - at).astype(np.float32)
