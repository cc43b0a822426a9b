"""This file decides when each frame of a video is shown, from its packets alone."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from everest.decoder import Source, VideoError
from everest.pictures import display_matrix, is_sideways

MAX_SECONDS = 1e7  # four months
MAX_FPS = 1e5
TIMES_KEPT = 4_000_000  # timestamps remembered over all files, 32 MB
FILES_KEPT = 8192


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video without keeping its pictures."""

    path: str  # absolute
    frames: int  # packets that are shown; after scan, frames that decode
    fps: float  # frames a second, on average
    seconds: float
    width: int  # pixels, upright
    height: int  # pixels, upright
    rotation: int  # degrees counter-clockwise that make a stored picture upright: -180, -90, 0, 90
    codec: str
    container: str


@dataclass(frozen=True)
class Table:
    """What the packets of a file say of its frames."""

    info: VideoInfo
    shown: np.ndarray  # (frames,) int64 timestamps, ascending
    keys: np.ndarray  # (key frames,) int64 timestamps, ascending
    seeks: np.ndarray  # (key frames,) int64: where to seek to land on each
    steady: bool  # a frame can be found by its timestamp


class Memory:
    """The tables of the files read last."""

    def __init__(self) -> None:
        self.tables: OrderedDict[tuple[str, int, int], Table] = OrderedDict()
        self.times = 0

    def get(self, key: tuple[str, int, int]) -> Table | None:
        if key in self.tables:
            self.tables.move_to_end(key)
        return self.tables.get(key)

    def put(self, key: tuple[str, int, int], table: Table) -> None:
        known = self.tables.pop(key, None)
        self.times += len(table.shown) - (0 if known is None else len(known.shown))
        self.tables[key] = table
        while len(self.tables) > 1 and (len(self.tables) > FILES_KEPT or self.times > TIMES_KEPT):
            _, oldest = self.tables.popitem(last=False)
            self.times -= len(oldest.shown)


memory = Memory()


def read_table(source: Source, alive: Callable[[], None]) -> Table:
    """Passes over the packets of a file and decodes the first; remembered while it is unchanged."""
    known = memory.get(source.key)
    if known is not None:
        return known
    first, shown, keys, dated, length = None, array("q"), [], True, 0
    for packet in source.packets():
        alive()
        if first is None:
            first = next(iter(source.decode(packet)), None)
        if packet.size and not packet.is_discard:  # size 0: the end; discard: edited out
            dated = dated and packet.pts is not None
            shown.append(len(shown) if packet.pts is None else packet.pts)
            length = packet.duration or length
            if packet.is_keyframe:
                keys.append((shown[-1], shown[-1] if packet.dts is None else packet.dts))
    if first is None:
        raise VideoError(f"{source.path}: no frame can be decoded")
    table = _sorted(source, first, np.array(shown, np.int64), sorted(keys), dated, length)
    memory.put(source.key, table)
    return table


def _sorted(
    source: Source,
    first: Any,
    shown: np.ndarray,
    keys: Sequence[tuple[int, int]],
    dated: bool,
    length: int,  # of the last frame, in units of time; 0 where it is not told
) -> Table:
    """Puts what the packets said in order, and doubts it."""
    stream, container = source.stream, source.container.format.name
    codec = stream.codec_context
    shown = np.sort(shown)
    # Frames that lack what they refer to may stand at the start of a file cut out of another.
    if dated and first.pts is not None and first.pts in shown:
        shown = shown[shown >= first.pts]
    # AVI dates frames by the order of decoding, which B-frames are not shown in; an MPEG programme
    # stream dates some frames only, and after a seek others than before.
    guessed = container == "mpeg" or (container == "avi" and codec.has_b_frames)
    ascending = bool((np.diff(shown) > 0).all())
    steady = dated and not guessed and ascending and len(shown) > 0 and first.pts == shown[0]
    frames = max(1, len(shown))
    seconds = frames / float(stream.average_rate or stream.guessed_rate or 25)
    if dated and (frames > 1 or length):
        span = int(shown[-1] - shown[0])
        span += length or round(span / (frames - 1))
        seconds = span * float(stream.time_base) if span > 0 else seconds
    fps = frames / seconds
    if seconds > MAX_SECONDS or fps > MAX_FPS:
        raise VideoError(
            f"{source.path}: claims {seconds:.3g} s with {fps:.3g} frames a second; more than "
            f"{MAX_SECONDS:.0g} s or {MAX_FPS:.0g} frames a second is not believed"
        )
    sideways = is_sideways(display_matrix(first))
    info = VideoInfo(
        path=source.path,
        frames=frames,
        fps=fps,
        seconds=seconds,
        width=first.height if sideways else first.width,
        height=first.width if sideways else first.height,
        rotation=(round(first.rotation / 90) * 90 + 180) % 360 - 180,
        codec=codec.codec.name,
        container=container,
    )
    # Matroska is indexed by the time of showing, all others by the time of decoding.
    times, decoded = np.array(keys, np.int64).reshape(-1, 2).T
    seeks = times if container == "matroska,webm" else decoded
    return Table(info, shown, times, seeks, steady)
