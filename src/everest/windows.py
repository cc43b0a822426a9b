"""This file decides which stretches of a video get a vector or a prediction of their own."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from everest.frame_folders import RATE
from everest.index import Row, read_index

VIEWS = 5  # clips averaged over a whole file, where it is long enough


def seconds_of(text: str | float | None, name: str) -> float | None:
    """2s, 500ms, 1.5 -> seconds; raises ValueError."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(ms|s|min)?\s*", str(text))
    seconds = 0.0
    if found:
        seconds = float(found[1]) * {"ms": 1e-3, "s": 1.0, "min": 60.0}[found[2] or "s"]
    if seconds <= 0:
        raise ValueError(f"--{name} {text}: give a length of time above 0, such as 2s or 500ms")
    return seconds


def windows(row: Row, window: float | None, hop: float | None) -> list[Row]:
    """The row itself, or its windows of `window` seconds every `hop` (a window where not given).

    The last window that starts inside the video is kept if at least half of it is.
    """
    if window is None or row.bad or not row.fps:
        return [row]
    begun = row.start or 0.0
    ends = row.frames / row.fps if row.end is None else min(row.end, row.frames / row.fps)
    hop = hop or window
    found: list[Row] = []
    number = 0
    while True:
        start = begun + number * hop
        number += 1
        if start >= ends or (found and start + window / 2 > ends):
            return found
        found.append(replace(row, start=start, end=min(start + window, ends)))


def span_seconds(row: Row) -> tuple[float, float]:
    """(start, end) of a row in seconds."""
    length = row.frames / row.fps if row.fps else 0.0
    return row.start or 0.0, length if row.end is None else row.end


def rows_of(
    videos: str | Sequence[str],
    window: str | float | None,
    hop: str | float | None,
    frame_rate: float = RATE,
) -> list[Row]:
    """Rows of files, folders or lists, in windows where asked; `frame_rate`, frames a second, is
    that of folders of frames."""
    length, step = seconds_of(window, "window"), seconds_of(hop, "hop")
    if step is not None and length is None:
        raise ValueError("--hop without --window: give both, such as --window 2s --hop 1s")
    sources = [videos] if isinstance(videos, (str, Path)) else list(videos)
    index = read_index([str(source) for source in sources], labelled=False, frame_rate=frame_rate)
    return [part for row in index.rows for part in windows(row, length, step)]
