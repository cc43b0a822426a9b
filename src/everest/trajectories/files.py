"""This file decides how the trajectories of a video are kept: one .npz file, without pickle.

F frames of the video; Y, X the grid of points. Frames are kept in parts, so that a clip of a long
video reads little. It runs in the reading processes, so it imports no torch and no OpenCV.
"""

import errno
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from everest.frame_folders import NotFrames, frames_of
from everest.trajectories.following import LENGTH, LOST, OFFSET, SPACING

FORMAT = 1
SETTINGS = "trajectories.json"  # of a folder
ABOUT = "about.json"  # of a file
PART = 32  # frames
ENDS = 16 << 10  # bytes at both ends of a video that tell it from others
LARGEST = 128 << 20  # bytes of a part, unpacked: one of 4K video has 80 million
LARGEST_ABOUT = 1 << 16  # bytes
LONGEST_NAME = 100  # bytes of a video's name that stand in its file's


class TrajectoriesError(ValueError):
    """A folder or file of trajectories that cannot be used; the message names it."""


@dataclass(frozen=True)
class Settings:
    """How trajectories were computed: the same for all of a folder."""

    short_side: int  # pixels that videos were scaled to
    compensate: bool  # the camera's motion was taken away
    format: int = FORMAT
    length: int = LENGTH
    spacing: int = SPACING
    offset: int = OFFSET


@dataclass(frozen=True)
class About:
    """What a file says of itself."""

    video: str  # its name, for people
    frames: int
    height: int  # pixels that the trajectories were computed at
    width: int
    settings: Settings


def place_of(video: str | os.PathLike[str], folder: str | Path) -> Path:
    """The file of a video's trajectories: told by the video's name, length and first and last
    bytes, so that it is found when videos or trajectories were moved. Raises OSError."""
    path = os.path.abspath(video)
    told = blake2b(digest_size=8)
    if os.path.isdir(path):
        try:
            names = frames_of(path).names
        except NotFrames as error:
            raise OSError(errno.EISDIR, str(error), path) from error
        told.update(str(len(names)).encode())
        for name in (names[0], names[-1]):
            told.update(Path(path, name).read_bytes())
    else:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            told.update(str(size).encode())
            told.update(file.read(ENDS))
            file.seek(max(size - ENDS, 0))
            told.update(file.read(ENDS))
    name = os.fsdecode(os.fsencode(os.path.basename(path))[:LONGEST_NAME])
    return Path(folder) / f"{name}.{told.hexdigest()}.npz"


def read_settings(folder: str | Path) -> Settings:
    """How a folder's trajectories were computed; raises TrajectoriesError."""
    path = Path(folder) / SETTINGS
    try:
        return settings_of(json.loads(path.read_text()), path)
    except FileNotFoundError as error:
        raise TrajectoriesError(
            f"{folder}: no folder of trajectories (there is no {SETTINGS} in it); give the --out "
            f"of everest trajectories"
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise TrajectoriesError(f"{path}: cannot be read ({error})") from error


def settings_of(content: Any, path: Path) -> Settings:
    """Settings as JSON has them; raises TrajectoriesError for those of another version."""
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise TrajectoriesError(
            f"{path}: trajectories of format {found}, and this version reads {FORMAT}; compute "
            f"them anew with everest trajectories, into another folder"
        )
    try:
        return Settings(**content)
    except TypeError as error:
        raise TrajectoriesError(f"{path}: not settings of trajectories ({error})") from error


class Writer:
    """Writes the file of a video frame by frame; it stands there as a whole or not at all."""

    def __init__(self, place: Path) -> None:
        self.place = place
        # Two processes may meet a video that stands twice in a source.
        self.beside = place.with_name(f".{place.name}.{os.getpid()}.part")
        self.zip = zipfile.ZipFile(self.beside, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self.parts = 0
        self.waiting: list[np.ndarray] = []

    def add(self, told: np.ndarray) -> None:
        """The next frame's (2, LENGTH, Y, X) int8."""
        self.waiting.append(told)
        if len(self.waiting) == PART:
            self.flush()

    def flush(self) -> None:
        if self.waiting:
            # The zip's own default date: the same trajectories are the same bytes.
            with self.zip.open(zipped(part_name(self.parts)), "w") as file:
                np.lib.format.write_array(file, np.stack(self.waiting), allow_pickle=False)
            self.parts += 1
            self.waiting = []

    def finish(self, about: About) -> None:
        self.flush()
        self.zip.writestr(zipped(ABOUT), json.dumps(asdict(about)))
        self.zip.close()
        os.replace(self.beside, self.place)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.zip.close()
        self.beside.unlink(missing_ok=True)


def part_name(number: int) -> str:
    return f"{number:06}.npy"


def zipped(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.compress_type = zipfile.ZIP_DEFLATED
    return member


def read_trajectories(path: Path, frames: Sequence[int]) -> tuple[About, np.ndarray]:
    """What a file says of itself, and (len(frames), 2, LENGTH, Y, X) int8; LOST for frames after
    its last. Raises FileNotFoundError, and TrajectoriesError for a file that is damaged."""
    try:
        with zipfile.ZipFile(path) as file:
            for member in file.infolist():
                if member.file_size > (LARGEST_ABOUT if member.filename == ABOUT else LARGEST):
                    raise ValueError(f"{member.filename} claims {member.file_size:,} bytes")
            content = json.loads(file.read(ABOUT))
            settings = settings_of(content.pop("settings"), path)
            about = About(**content, settings=settings)
            parts: dict[int, np.ndarray] = {}
            for number in sorted({frame // PART for frame in frames if frame < about.frames}):
                with file.open(part_name(number)) as part:
                    parts[number] = np.lib.format.read_array(part, allow_pickle=False)
            if not parts:
                with file.open(part_name(0)) as part:
                    parts[-1] = np.lib.format.read_array(part, allow_pickle=False)
            some = next(iter(parts.values()))
            told = np.full((len(frames), *some.shape[1:]), LOST, np.int8)
            for slot, frame in enumerate(frames):
                if frame < about.frames:
                    told[slot] = parts[frame // PART][frame % PART]
            return about, told
    except (zipfile.BadZipFile, zlib.error, KeyError, IndexError, TypeError, EOFError) as error:
        raise damaged(path, error) from error
    except ValueError as error:
        if isinstance(error, TrajectoriesError):
            raise
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> TrajectoriesError:
    return TrajectoriesError(
        f"{path}: damaged ({error or type(error).__name__}); delete it and run everest "
        f"trajectories again"
    )
