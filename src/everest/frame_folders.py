"""This file decides when a folder of pictures is a video, and which picture is which frame."""

import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

RATE = 25.0  # frames a second, where nothing says otherwise
FEWEST = 2  # pictures that make a folder a video where no list names it
PICTURE = re.compile(r"(.*?)(\d+)\.(?:jpg|jpeg|png)$", re.IGNORECASE | re.DOTALL)
FLOW = re.compile(r"(flow_?)?[xy]_?$", re.IGNORECASE)  # optical flow beside the pictures
BESIDE = frozenset({"thumbs.db", "desktop.ini", "n_frames"})  # what else lies in such folders


class NotFrames(ValueError):
    """A folder that is no video; the message says why, without the path."""


@dataclass(frozen=True)
class Frames:
    """The pictures of a folder in the order of their numbers."""

    names: tuple[str, ...]
    numbers: tuple[int, ...]  # as written in the names, ascending

    @property
    def gaps(self) -> int:
        """Numbers left out between the first picture and the last."""
        return self.numbers[-1] - self.numbers[0] + 1 - len(self.numbers)


@dataclass(frozen=True)
class FolderState:
    """What tells one state of a folder from another."""

    files: int  # pictures
    size: int  # bytes, of all pictures
    mtime_ns: int  # the newest, of the pictures and the folder


def frames_among(names: Iterable[str]) -> Frames:
    """The frames among the names of a folder; raises NotFrames.

    A name ends in its number: `img_00001.jpg`, `000001.png`, `frame-1.jpeg`. Pictures of optical
    flow beside them, other files and hidden ones are passed over.
    """
    groups: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        found = PICTURE.match(name)
        if found is not None and name[0] != ".":
            groups.setdefault(found[1], []).append((int(found[2]), name))
    if not groups:
        raise NotFrames("a folder without numbered pictures (img_00001.jpg, 000001.png, ...)")
    shown = [prefix for prefix in groups if not FLOW.match(prefix)]
    if not shown:
        raise NotFrames("a folder of optical flow, without the pictures it was made of")
    if len(shown) > 1:
        kinds = ", ".join(f"{prefix}N" for prefix in sorted(shown)[:3])
        raise NotFrames(f"a folder with pictures of several sequences ({kinds})")
    ordered = sorted(groups[shown[0]])
    twice = next((i for i in range(1, len(ordered)) if ordered[i][0] == ordered[i - 1][0]), None)
    if twice is not None:
        both = f"{ordered[twice - 1][1]}, {ordered[twice][1]}"
        raise NotFrames(f"a folder that holds frame {ordered[twice][0]} twice ({both})")
    return Frames(tuple(name for _, name in ordered), tuple(number for number, _ in ordered))


def is_video_folder(names: Iterable[str]) -> bool:
    """Whether a folder that no list names is a video: numbered pictures and nothing else."""
    plain = [name for name in names if not name.startswith(".") and name.lower() not in BESIDE]
    if len(plain) < FEWEST or not all(map(PICTURE.match, plain)):
        return False
    try:
        return len(frames_among(plain).names) >= FEWEST
    except NotFrames:
        return False


def frames_of(path: str) -> Frames:
    """The frames of a folder; raises NotFrames, or OSError where it cannot be listed."""
    return _remembered(path, os.stat(path).st_mtime_ns)


@lru_cache(maxsize=16)  # the clips of one video are read one after the other
def _remembered(path: str, mtime_ns: int) -> Frames:
    return frames_among(os.listdir(path))


def state_of(path: str) -> FolderState:
    """The state of a folder of frames; raises NotFrames, or OSError."""
    size, newest = 0, os.stat(path).st_mtime_ns
    names = frames_of(path).names
    for name in names:
        try:
            found = os.stat(f"{path}/{name}")
        except OSError:  # a link to nothing: whoever reads that picture says so
            continue
        size += found.st_size
        newest = max(newest, found.st_mtime_ns)
    return FolderState(len(names), size, newest)


def seconds_at(frame: int, rate: float) -> float:
    """The time at which a frame begins, such that int(time * rate) is the frame again."""
    seconds = frame / rate
    while int(seconds * rate) < frame:
        seconds = math.nextafter(seconds, math.inf)
    return seconds
