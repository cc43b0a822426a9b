"""This file decides how many files are looked at, by their headers or frame by frame."""

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from everest.entries import MISSING
from everest.facts import Facts, Memory, Stamp
from everest.frame_folders import NotFrames, state_of

FEW = 64  # files; starting processes for fewer headers takes longer than reading them
DEADLINE = 30.0  # seconds without a new frame


@dataclass(frozen=True, slots=True)
class Looked:
    """Facts of files by path, and how many of them were known before."""

    facts: dict[str, Facts]
    known: int
    trouble: str | None  # why nothing could be remembered
    remembered: str  # the file of remembered facts


def look_at(
    paths: Iterable[str],
    *,
    scan: bool,
    workers: int | None = None,
    again: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Looked:
    """Probes (headers and packets), or scans (decodes every frame of), each file once.

    What is remembered of an unchanged file is not looked at again, unless `again`. `workers` None
    chooses; 0 stays in this process, where nothing stops a file that hangs. `progress` is called
    with files done and files in all. No file raises: `Facts.bad` says what is wrong with it.
    """
    from everest.workers import Failure, Workers

    facts: dict[str, Facts] = {}
    stamps: dict[str, Stamp] = {}
    paths = list(dict.fromkeys(paths))
    for path in paths:
        stamp, bad = _stamp(path)
        if stamp is None:
            facts[path] = Facts(bad=bad, passing=True)
        else:
            stamps[path] = stamp
    with Memory() as memory:
        known = {} if again else memory.known(stamps, scanned=scan)
        facts.update(known)
        todo = [path for path in stamps if path not in known]
        count = _processes(len(todo), scan) if workers is None else workers
        if progress is not None:
            progress(len(facts), len(paths))
        if todo:
            work = scan_facts if scan else probe_facts
            with Workers(work, count=count, deadline=DEADLINE) as pool:
                for path, result in zip(todo, pool.map(todo), strict=True):
                    # A file that killed or held up its process is believed bad by a probe, which
                    # would meet it again, and tried again by a scan. A permission is not stored.
                    if isinstance(result, Failure):
                        facts[path] = Facts(bad=_reason(path, result.reason), passing=True)
                        memory.put(path, stamps[path], facts[path])
                    else:
                        facts[path] = result
                        if not result.passing:
                            memory.put(path, stamps[path], result)
                    if progress is not None:
                        progress(len(facts), len(paths))
    return Looked(
        {path: facts[path] for path in paths}, len(known), memory.trouble, str(memory.path)
    )


def probe_facts(path: str, alive: Callable[[], None]) -> Facts:
    """The work of a worker: headers and packets of one file."""
    from everest import video

    return _facts(path, lambda: video.probe(path), scanned=False)


def scan_facts(path: str, alive: Callable[[], None]) -> Facts:
    """The work of a worker: one file decoded from end to end."""
    from everest import video

    return _facts(path, lambda: video.scan(path, alive), scanned=True)


def _facts(path: str, look: Callable, *, scanned: bool) -> Facts:
    from everest.video import VideoError

    if not os.access(path, os.R_OK):
        return Facts(bad="no permission to read it", passing=True)
    try:
        info = look()
    except VideoError as error:
        denied = isinstance(error.__cause__, PermissionError)  # of a picture in a folder of frames
        return Facts(bad=_reason(path, str(error)), scanned=scanned and not denied, passing=denied)
    except (OSError, MemoryError) as error:
        return Facts(bad=_reason(path, str(error) or "not enough memory"), passing=True)
    return Facts(info.frames, info.fps, info.seconds, info.width, info.height, scanned=scanned)


def _reason(path: str, message: str) -> str:
    """The message without the path before it, which stands beside it already."""
    rest = message.removeprefix(path).lstrip(": ")
    return rest or message


def _stamp(path: str) -> tuple[Stamp | None, str | None]:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None, "a link to nothing" if os.path.islink(path) else MISSING
    except (OSError, ValueError) as error:
        return None, getattr(error, "strerror", None) or str(error)
    if stat.S_ISDIR(status.st_mode):
        return _folder_stamp(path)
    # A pipe named x.mp4 would block whoever opens it.
    if not stat.S_ISREG(status.st_mode):
        return None, "not a regular file"
    if not status.st_size:
        return None, "0 bytes"
    return Stamp(status.st_size, status.st_mtime_ns), None


def _folder_stamp(path: str) -> tuple[Stamp | None, str | None]:
    """The stamp of a folder of frames."""
    try:
        state = state_of(path)
    except NotFrames as error:
        return None, str(error)
    except OSError as error:
        return None, error.strerror or str(error)
    return Stamp(state.size, state.mtime_ns, state.files), None


def _processes(files: int, scan: bool) -> int:
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    if not scan and files < FEW:
        return 0
    return max(1, min(4, cores, files))


@contextmanager
def progress_bar(what: str, *, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error where that is a terminal; gives the function to call."""
    if not shown or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
