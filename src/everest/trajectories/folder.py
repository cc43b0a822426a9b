"""This file decides what a folder of trajectories holds, and how it is filled: a file a video."""

import errno
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from everest.trajectories.files import (
    SETTINGS,
    Settings,
    TrajectoriesError,
    place_of,
    read_settings,
)
from everest.trajectories.work import Done, Task, VideoTrajectories
from everest.workers import Failure, Workers

DEADLINE = 30.0  # seconds without a new frame
SMALLEST = 32  # pixels; less has no grid of points worth the name
ROOM = 1 << 20  # bytes; with less the disk is full
ABANDONED = 3600.0  # seconds after which an unfinished file belongs to nobody


@dataclass(frozen=True)
class Outcome:
    """What a run computed."""

    done: int  # videos
    before: int  # videos that were finished already, or stand twice in the source
    bad: dict[str, str]  # path -> reason
    frames: int  # computed
    seconds: float  # of video, computed
    bytes: int  # written


def open_folder(folder: Path, settings: Settings) -> None:
    """Makes the folder, or goes on with one of the same settings.

    Raises TrajectoriesError for a folder with other things in it, or with other settings.
    """
    if settings.short_side < SMALLEST:
        raise TrajectoriesError(
            f"--short-side {settings.short_side}: give at least {SMALLEST} pixels"
        )
    path = folder / SETTINGS
    if path.exists():
        before = asdict(read_settings(folder))
        differing = [
            f"{name} was {before[name]} and is {value}"
            for name, value in asdict(settings).items()
            if before[name] != value
        ]
        if differing:
            raise TrajectoriesError(
                f"--out {folder}: was begun with other settings ({', '.join(differing)}); give "
                f"the same, or another --out"
            )
        for part in folder.glob(".*.part"):
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink(missing_ok=True)
        return
    if folder.exists() and not folder.is_dir():
        raise TrajectoriesError(f"--out {folder}: is a file; give a folder")
    if folder.exists() and any(folder.iterdir()):
        raise TrajectoriesError(
            f"--out {folder}: holds other things; give a new folder, or one that everest "
            f"trajectories wrote"
        )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(settings), indent=1) + "\n")


def processes(workers: int | Literal["auto"]) -> int:
    """How many processes share the videos; raises ValueError for less than none."""
    if workers == "auto":
        if sys.platform == "linux":
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if workers < 0:
        raise ValueError(
            f"--workers {workers}: give the number of processes; 0 works in the main one"
        )
    return workers


def compute(
    videos: Sequence[str],
    folder: Path,
    settings: Settings,
    *,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Computes what the folder does not have yet. No video raises: `bad` says what is wrong with
    it. Raises OSError when the disk is full."""
    bad: dict[str, str] = {}
    todo: dict[Path, str] = {}
    before = 0
    for path in videos:
        try:
            place = place_of(path, folder)
        except OSError as error:
            bad[path] = error.strerror or str(error)
            continue
        if place in todo or place.exists():
            before += 1
        else:
            todo[place] = path
    tell = progress or (lambda done, total: None)
    tell(before + len(bad), len(videos))
    finished: list[Done] = []
    tasks = [Task(path, place) for place, path in todo.items()]
    with Workers(
        VideoTrajectories(settings), count=min(workers, len(tasks)), deadline=DEADLINE
    ) as pool:
        for task, result in zip(tasks, pool.map(tasks), strict=True):
            if isinstance(result, Failure):
                if shutil.disk_usage(folder).free < ROOM:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
                bad[task.video] = result.reason.removeprefix(task.video).lstrip(": ")
            else:
                finished.append(result)
            tell(before + len(bad) + len(finished), len(videos))
    return Outcome(
        len(finished),
        before,
        bad,
        sum(done.frames for done in finished),
        sum(done.seconds for done in finished),
        sum(done.bytes for done in finished),
    )
