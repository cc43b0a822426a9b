"""This file decides how every pixel moves from one frame to the next, and what of it is the camera.

Pictures are (H, W) uint8, grey; displacements are pixels, to the right and downward.
"""

import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np

CORNERS = 400  # at most, that tell of the camera
APART = 1 / 30  # of the shorter side, from one corner to the next
OFF = 1.0  # pixels that a corner may be off and still agree with the camera's motion
FEWEST = 12  # corners, for a motion of eight numbers
AGREEING = 0.3  # share of the corners; with fewer the picture does not move as one plane


class MissingOpenCV(ValueError):
    """The optional package that finds flow is not there; the message says how to get it."""


@dataclass(frozen=True)
class Motion:
    """From one frame to the next."""

    flow: np.ndarray  # (H, W, 2) float32
    camera: np.ndarray  # (3, 3) float64: the homography of a still scene; the identity: none


class DenseFlow:
    """Finds the motion between two pictures: dense inverse search, and with `compensate` the
    homography that most corners follow."""

    def __init__(self, compensate: bool) -> None:
        """Raises MissingOpenCV where OpenCV is not installed."""
        require_opencv()
        import cv2

        cv2.setNumThreads(1)  # processes share the work, a video each
        self.compensate = compensate
        self.search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def __call__(self, before: np.ndarray, after: np.ndarray) -> Motion:
        flow = self.search.calc(before, after, None)
        return Motion(flow, camera_of(before, flow) if self.compensate else np.eye(3))


def require_opencv() -> None:
    if importlib.util.find_spec("cv2") is None:
        raise MissingOpenCV(
            "motion is found by OpenCV, which is not installed: pip install 'everest-video[motion]'"
        )


def camera_of(before: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """(3, 3): where the camera's motion takes a point; the identity where corners do not agree."""
    import cv2

    apart = max(min(before.shape) * APART, 3)
    found = cv2.goodFeaturesToTrack(before, CORNERS, 0.01, apart)
    if found is None or len(found) < FEWEST:
        return np.eye(3)
    corners = found[:, 0].astype(np.float64)  # (K, 2): x, y
    columns, rows = corners.astype(np.intp).T
    moved = corners + flow[rows, columns]
    camera, agrees = cv2.findHomography(corners, moved, cv2.RANSAC, OFF)
    if camera is None or agrees.mean() < AGREEING:
        return np.eye(3)
    return camera
