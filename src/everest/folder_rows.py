"""This file decides which part of a folder of frames a row means, and how rows are told."""

import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from everest.entries import Entry, counted, shown
from everest.frame_folders import NotFrames, frames_of, seconds_at


@dataclass(frozen=True)
class Held:
    """What is remembered of a folder; 0 frames where `bad` says why it is no video."""

    frames: int = 0
    first: int = 0  # number in the name of the first picture
    gaps: int = 0  # numbers left out
    bad: str | None = None


@dataclass(frozen=True)
class Part:
    """What a row says of a folder of frames; all of it where it says nothing."""

    begin: int = 0  # frames before the part; or, by number, the number of its first picture
    count: int | None = None  # frames
    by_number: bool = False


class FolderRows:
    """The folders of frames of one list, each looked at once, and what is to be said of them."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.held: dict[str, Held] = {}
        self.short: list[tuple[int, int, int]] = []  # (line, frames named, frames there)

    def look(self, path: str) -> Held:
        """What a folder holds."""
        held = self.held.get(path)
        if held is None:
            try:
                frames = frames_of(path)
                held = Held(len(frames.names), frames.numbers[0], frames.gaps)
            except NotFrames as error:
                held = Held(bad=str(error))
            except OSError as error:
                held = Held(bad=error.strerror or str(error))
            self.held[path] = held
        return held

    def fill(self, entry: Entry, rate: float, part: Part) -> None:
        """Gives the entry of a folder its rate, and its span where the row names a part."""
        held = self.look(entry.path)
        entry.fps = rate
        if held.bad is not None:
            entry.bad = held.bad
            return
        begin = part.begin
        if part.by_number:
            begin = bisect_left(frames_of(entry.path).numbers, part.begin)
        if begin >= held.frames:
            entry.bad = f"holds {counted(held.frames, 'frame')}, of which none is in this part"
            return
        end = held.frames if part.count is None else begin + part.count
        if end > held.frames:
            self.short.append((entry.line, end, held.frames))
        if begin > 0:
            entry.start = seconds_at(begin, rate)
        if end < held.frames:
            entry.end = seconds_at(end, rate)

    def entry(self, path: str, rate: float) -> Entry:
        """The entry of a file, or of a folder of frames."""
        entry = Entry(path, source=self.source)
        if os.path.isdir(path):
            self.fill(entry, rate, Part())
        return entry

    def told(self) -> list[str]:
        """Sentences for the console about the folders of the list."""
        name = shown(self.source)
        told = []
        if self.short:
            line, named, there = self.short[0]
            rows = counted(len(self.short), "row names", "rows name")
            told.append(
                f"{name}: {rows} more frames than the folder holds (line {line}: {named:,}, it"
                f" holds {there:,}); what is there is read"
            )
        gapped = [(path, held) for path, held in self.held.items() if held.gaps]
        if gapped:
            path, held = gapped[0]
            folders = counted(len(gapped), "folder of frames lacks", "folders of frames lack")
            told.append(
                f"{name}: {folders} numbers in between ({shown(path)}: {held.gaps:,} of"
                f" {held.gaps + held.frames:,}); what is there is read in its order"
            )
        return told


def tell_rates(entries: Iterable[Entry]) -> list[str]:
    """The sentence about the rates that folders of frames are read at, if there are any."""
    rates = Counter({entry.path: entry.fps for entry in entries if entry.fps}.values())
    if not rates:
        return []
    folders = counted(rates.total(), "folder of frames is", "folders of frames are")
    each = ", ".join(f"{rate:g}" for rate in sorted(rates))
    return [
        f"{folders} read at {each} frames a second; a column fps of a list, or --frame-rate, says"
        " otherwise"
    ]


def first_rows(entries: Sequence[Entry]) -> list[str]:
    """What the first three rows of a list turned out to be."""
    told = []
    for entry in entries[:3]:
        parts = [shown(entry.path)]
        if entry.start is not None or entry.end is not None:
            end = "its end" if entry.end is None else f"{entry.end:g} s"
            parts.append(f"from {entry.start or 0:g} s to {end}")
        named = [shown(label) for label in entry.labels if label]
        parts += [f"is '{', '.join(named)}'"] if named else []
        told.append(f"{shown(entry.source)}: line {entry.line}: {' '.join(parts)}")
    return told
