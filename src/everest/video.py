"""This file decides which packets of a video are decoded to get the frames that are wanted.

A folder is read as frames that are pictures (stills.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from everest import stills
from everest.decoder import Source, VideoError
from everest.packets import Table, VideoInfo, memory, read_table
from everest.pictures import Converter

__all__ = ["VideoError", "VideoInfo", "nothing", "probe", "read", "scan", "stream"]

SEEK_FROM = 32  # frames; decoding so few from the start costs less than learning where to seek
SEEK_OVER = 8  # frames; passing over fewer costs less than a seek
# Decoders that were seen to leave out frames no other frame needs, the others unchanged.
LEAVING_OUT = ("h264", "hevc")


class _Missed(Exception):
    """A wanted frame did not come out where its timestamp promised."""


def nothing() -> None:
    """Does nothing: what is called at every frame unless told otherwise."""


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Reads headers, packets and one frame (which tells size and rotation).

    Raises VideoError if the file is no video, or its first frame cannot be decoded.
    """
    if os.path.isdir(path):
        return stills.probe(path)
    with Source(path) as source:
        return read_table(source, nothing).info


def scan(path: str | os.PathLike[str], alive: Callable[[], None] = nothing) -> VideoInfo:
    """Decodes every frame once and calls `alive` at each.

    Raises VideoError if the file is no video or one of its frames cannot be decoded.
    """
    if os.path.isdir(path):
        return stills.scan(path, alive)
    with Source(path) as source:
        table = read_table(source, alive)
        frames = 0
        for _ in source.decode_all():
            frames += 1
            alive()
        if frames == 0:
            raise VideoError(f"{source.path}: no frame can be decoded")
        if frames == table.info.frames:
            return table.info
        info = replace(table.info, frames=frames, fps=frames / table.info.seconds)
        # Packets promised another number of frames: from now on frames are counted.
        memory.put(source.key, replace(table, info=info, steady=False))
        return info


def read(
    path: str | os.PathLike[str],
    indices: Sequence[int] | np.ndarray,
    *,
    short_side: int | None = None,
    alive: Callable[[], None] = nothing,
) -> np.ndarray:
    """Reads chosen frames -> (len(indices), H, W, 3) uint8, RGB, upright.

    Index i is the i-th frame shown; beyond the last frame it means the last one. Indices may repeat
    and come in any order. With `short_side` (pixels) pictures are scaled, never stretched. `alive`
    is called at every frame decoded. A file whose pictures change size gives the size of the first.
    Raises VideoError if no frame, or a frame on the way to the last wanted, can be decoded.
    """
    places = np.asarray(indices, dtype=np.int64)
    if places.ndim != 1 or places.size == 0 or places.min() < 0:
        raise ValueError(f"{path}: indices {indices}: must be one or more numbers, none negative")
    if os.path.isdir(path):
        return stills.read(path, places, short_side=short_side, alive=alive)
    wanted, slots = np.unique(places, return_inverse=True)
    pictures = None
    met = 0
    with Source(path) as source:
        converter = Converter(source.path, short_side)
        for _, frame in _chosen(source, wanted, alive):
            picture = converter(frame)
            if pictures is None:
                pictures = np.empty((len(wanted), *picture.shape), np.uint8)
            pictures[met] = picture
            met += 1
    assert pictures is not None
    pictures[met:] = pictures[met - 1]  # beyond the end, the last frame
    ascending = len(wanted) == len(places) and bool((np.diff(places) > 0).all())
    return pictures if ascending else pictures[slots]


def stream(
    path: str | os.PathLike[str],
    *,
    short_side: int | None = None,
    start: float = 0.0,
    end: float | None = None,
) -> Iterator[tuple[float, np.ndarray]]:
    """Yields (seconds, picture (H, W, 3) uint8) of the frames with start <= seconds < end.

    Seconds count from the first frame. One frame is kept in memory at a time.
    Raises VideoError as `read` does.
    """
    if os.path.isdir(path):
        yield from stills.stream(path, short_side=short_side, start=start, end=end)
        return
    with Source(path) as source:
        table = read_table(source, nothing)
        if table.steady:
            seconds = (table.shown - table.shown[0]) * float(source.stream.time_base)
        else:
            seconds = np.arange(table.info.frames) / table.info.fps
        wanted = np.flatnonzero((seconds >= start) & (seconds < (np.inf if end is None else end)))
        converter = Converter(source.path, short_side)
        for place, (index, frame) in zip(wanted, _chosen(source, wanted, nothing), strict=False):
            if index == place:
                yield float(seconds[index]), converter(frame)


def _chosen(
    source: Source, wanted: np.ndarray, alive: Callable[[], None]
) -> Iterator[tuple[int, Any]]:
    """Yields (index, frame) for ascending indices.

    A file that ends before them ends with its last frame, under the index that frame has.
    """
    if wanted.size == 0:
        return
    met = 0
    if wanted[-1] >= SEEK_FROM or memory.get(source.key) is not None:
        table = read_table(source, alive)
        if table.steady:
            inside = np.unique(np.minimum(wanted, len(table.shown) - 1))
            try:
                for index, frame in _found(source, table, inside, alive):
                    yield index, frame
                    met += 1
                return
            except _Missed:
                pass
    index, frame = -1, None
    for index, frame in enumerate(source.decode_all()):
        alive()
        if index == wanted[met]:
            yield index, frame
            met += 1
            if met == len(wanted):
                return
    if frame is None:
        raise VideoError(f"{source.path}: no frame can be decoded")
    yield index, frame


def _found(
    source: Source, table: Table, indices: np.ndarray, alive: Callable[[], None]
) -> Iterator[tuple[int, Any]]:
    """Yields (index, frame) for ascending indices, found by timestamp; seeks over what can be."""
    times = table.shown[indices]
    wanted = set(times.tolist())
    needed = np.searchsorted(table.keys, times, side="right") - 1  # the key frame before each
    context = source.stream.codec_context
    leaves_out = context.codec.name in LEAVING_OUT
    met = 0
    back = 0  # key frames to start earlier: some containers do not land where they are told
    while met < len(times):
        began, key = met, max(0, needed[met] - back)
        landed = key == 0
        for packet in source.packets(None if landed else int(table.seeks[key])):
            if not landed:
                if packet.pts is None or packet.pts > times[met]:
                    break
                if not packet.is_keyframe:
                    continue
                landed = True
            if leaves_out:
                context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
            for frame in source.decode(packet):
                alive()
                if frame.pts is None or frame.pts > times[met]:
                    raise _Missed
                if frame.pts == times[met]:
                    yield int(indices[met]), frame
                    met += 1
                    if met == len(times):
                        return
            if met > began and needed[met] > needed[met - 1]:
                ahead = np.searchsorted(table.shown, table.keys[needed[met]]) - indices[met - 1]
                if ahead > SEEK_OVER:
                    break
        if met == began:
            if back:
                raise _Missed
            back = 1
