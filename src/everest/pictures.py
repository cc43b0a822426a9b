"""This file decides how a decoded frame becomes an upright RGB picture (swscale)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from everest.decoder import MAX_PIXELS, VideoError, in_words

# Pixel formats that swscale makes RGB in one exact step, if the height is even.
ONE_STEP = ("yuv420p", "yuvj420p")
UPRIGHT = (1, 0, 0, 0, 1, 0, 0, 0, 1)


class Converter:
    """Makes frames of one file RGB pictures of one size, that of the first frame given.

    With `short_side` (pixels) they are scaled so that the shorter side has that length.
    """

    def __init__(self, path: str, short_side: int | None) -> None:
        self.path = path
        self.short_side = short_side
        self._size = (0, 0)  # width, height before turning
        self._matrix: Sequence[int] = ()
        self._reformatter = VideoReformatter()
        self._graph: Any = None
        self._graph_takes: tuple[int, int, str] | None = None

    def __call__(self, frame: Any) -> np.ndarray:
        """A frame -> (H, W, 3) uint8, a view of memory of its own; raises VideoError."""
        try:
            if not self._matrix:
                self._size = scaled_size(self.path, (frame.width, frame.height), self.short_side)
                self._matrix = display_matrix(frame)
            rgb = self._rgb(frame)
            width, height = self._size
            rows = np.frombuffer(rgb.planes[0], np.uint8).reshape(height, -1)
            return _upright(rows[:, : 3 * width].reshape(height, width, 3), self._matrix)
        except VideoError:
            raise
        except Exception as error:
            message = f"{self.path}: a frame cannot be made RGB: {in_words(error)}"
            raise VideoError(message) from error

    def _rgb(self, frame: Any) -> Any:
        scaled = self._size != (frame.width, frame.height)
        if scaled or (frame.format.name in ONE_STEP and frame.height % 2 == 0):
            return self._reformatter.reformat(
                frame,
                *self._size,
                "rgb24",
                interpolation=Interpolation.BILINEAR,
                dst_color_range=ColorRange.JPEG,
                threads=1,
            )
        # Elsewhere chroma is interpolated. A filter graph places its samples as the ffmpeg program
        # does; the reformatter, which is faster, shifts them by half a pixel in some formats.
        takes = (frame.width, frame.height, frame.format.name)
        if takes != self._graph_takes:
            self._graph, self._graph_takes = av.filter.Graph(), takes
            self._graph.threads = 1
            source = self._graph.add_buffer(
                width=takes[0], height=takes[1], format=frame.format, time_base=frame.time_base
            )
            convert, sink = self._graph.add("format", "rgb24"), self._graph.add("buffersink")
            source.link_to(convert)
            convert.link_to(sink)
            self._graph.configure()
        self._graph.push(frame)
        return self._graph.pull()


def scaled_size(path: str, size: tuple[int, int], short_side: int | None) -> tuple[int, int]:
    """(width, height) with the shorter side as wanted, the shape kept; raises VideoError."""
    if short_side is None:
        return size
    scale = short_side / min(size)
    width, height = (max(1, round(side * scale)) for side in size)
    if width * height > MAX_PIXELS:
        raise VideoError(
            f"{path}: {size[0]}x{size[1]}, scaled to a shorter side of {short_side}, is "
            f"{width}x{height}, more than {MAX_PIXELS:,} pixels"
        )
    return width, height


def display_matrix(frame: Any) -> Sequence[int]:
    """The 3x3 matrix, row by row, that maps a stored picture to how it is to be shown."""
    stored = frame.side_data.get(SideData.DISPLAYMATRIX)
    return UPRIGHT if stored is None else np.frombuffer(stored, np.int32).tolist()


def is_sideways(matrix: Sequence[int]) -> bool:
    """Whether showing a picture swaps its height and its width."""
    return abs(matrix[0]) + abs(matrix[4]) < abs(matrix[1]) + abs(matrix[3])


def _upright(picture: np.ndarray, matrix: Sequence[int]) -> np.ndarray:
    """(H, W, 3) turned and mirrored, by the nearest multiple of 90 degrees."""
    across, down = matrix[0], matrix[4]
    if is_sideways(matrix):
        picture = picture.swapaxes(0, 1)
        across, down = matrix[3], matrix[1]
    return picture[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
