"""This file decides which decoded frames are kept on disk, so that the next epoch reads no video.

Frames are scaled before they are kept and by the same step as without a cache: the pixels are equal
bit for bit. Safe with several processes: a file is written beside and renamed.
"""

import math
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import numpy as np

from everest import video
from everest.frame_folders import FolderState, NotFrames, state_of

LARGEST = 256 << 20  # bytes of one video's frames; longer ones are read from their file each time


def nothing() -> None:
    pass


def picked(kept: Path, indices: Sequence[int]) -> np.ndarray | None:
    """The wanted frames of a file, the last one for indices past its end; None where there is no
    file, or a damaged one. Reads them: a mapped file brings each page by a fault of its own."""
    try:
        with kept.open("rb", buffering=0) as file:
            if np.lib.format.read_magic(file) != (1, 0):
                return None
            shape, _, kind = np.lib.format.read_array_header_1_0(file)
            if kind != np.uint8 or len(shape) != 4:
                return None
            begin, size = file.tell(), math.prod(shape[1:])
            wanted = np.empty((len(indices), *shape[1:]), np.uint8)
            places = np.minimum(indices, shape[0] - 1)
            # Neighbours are read together.
            for run in np.split(np.arange(len(places)), np.flatnonzero(np.diff(places) != 1) + 1):
                file.seek(begin + int(places[run[0]]) * size)
                if file.readinto(wanted[run[0] : run[-1] + 1].data) != len(run) * size:
                    return None
            return wanted
    except (OSError, ValueError, EOFError):
        return None


class FrameCache:
    """Reads frames of videos, through a folder of decoded ones if it has one."""

    def __init__(self, folder: str | None = None, limit_bytes: int = 20 << 30) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.used: int | None = None  # bytes in the folder: counted once, then added to

    def read(
        self,
        path: str,
        indices: Sequence[int],
        *,
        short_side: int | None = None,
        alive: Callable[[], None] = nothing,
    ) -> np.ndarray:
        """-> (T, H, W, 3) uint8; raises VideoError."""
        if self.folder is None:
            return video.read(path, indices, short_side=short_side, alive=alive)
        kept = self.place(path, short_side)
        found = picked(kept, indices)
        if found is not None:
            return found
        frames = self.decode(path, short_side, alive)
        if frames is None:
            return video.read(path, indices, short_side=short_side, alive=alive)
        self.keep(frames, kept)
        return frames[np.minimum(indices, len(frames) - 1)]

    def place(self, path: str, short_side: int | None) -> Path:
        """The file of a video's frames: named by its path, size, time of change and scale."""
        try:
            state = state_of(path) if os.path.isdir(path) else os.stat(path)
        except (OSError, NotFrames) as error:
            raise video.VideoError(f"{path}: {getattr(error, 'strerror', error)}") from error
        if isinstance(state, FolderState):
            stamp = f"{state.size}\0{state.mtime_ns}\0{state.files}"
        else:
            stamp = f"{state.st_size}\0{state.st_mtime_ns}"
        name = f"{os.path.abspath(path)}\0{stamp}\0{short_side}"
        digest = blake2b(name.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
        assert self.folder is not None
        return Path(self.folder) / digest[:2] / f"{digest}.npy"

    def decode(
        self, path: str, short_side: int | None, alive: Callable[[], None]
    ) -> np.ndarray | None:
        """All frames of a video, or None where they would be too many to keep."""
        facts = video.probe(path)
        scale = short_side / min(facts.width, facts.height) if short_side else 1.0
        expected = facts.frames * facts.width * facts.height * 3 * scale**2
        if self.used is None:
            self.used = self.count()
        if not 0 < expected <= LARGEST or self.used + expected > self.limit_bytes:
            return None
        return video.read(path, range(facts.frames), short_side=short_side, alive=alive)

    def count(self) -> int:
        assert self.folder is not None
        return sum(file.stat().st_size for file in Path(self.folder).glob("*/*.npy"))

    def keep(self, frames: np.ndarray, place: Path) -> None:
        """Writes the frames; where the disk has no room, the run goes on without."""
        temporary = None
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=place.parent, suffix=".part")
            with os.fdopen(descriptor, "wb") as file:
                np.save(file, frames)
            os.replace(temporary, place)
            self.used = (self.used or 0) + frames.nbytes
        except OSError:
            if temporary is not None:
                with suppress(OSError):
                    os.unlink(temporary)
            self.used = self.limit_bytes  # no other video is decoded whole in vain
