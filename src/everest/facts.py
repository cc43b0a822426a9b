"""This file decides what is remembered of video files between commands, and when it is believed."""

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from everest.entries import shown

TABLE = """CREATE TABLE IF NOT EXISTS facts_1 (
    path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, reader TEXT, scanned INTEGER,
    frames INTEGER, fps REAL, seconds REAL, width INTEGER, height INTEGER,
    bad TEXT, passing INTEGER)"""
STORE = "INSERT OR REPLACE INTO facts_1 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
TOGETHER = 256  # files asked for in one query, or stored in one transaction
PATIENCE = 10.0  # seconds that another process may hold the file
SELDOM = 2.0  # seconds between two transactions


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one file; frames 0 where `bad` says why it cannot be read."""

    frames: int = 0
    fps: float = 0.0
    seconds: float = 0.0
    width: int = 0  # pixels, upright
    height: int = 0
    bad: str | None = None
    scanned: bool = False  # every frame was decoded, so that all of this is exact
    passing: bool = False  # bad by circumstance (killed, too slow, no permission): look again


def at_rate(facts: Facts, fps: float) -> Facts:
    """The facts with another rate, as a list gives it to a folder of frames."""
    return facts if fps == facts.fps else replace(facts, fps=fps, seconds=facts.frames / fps)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one state of a file from another."""

    size: int  # bytes
    mtime_ns: int
    files: int = 0  # pictures of a folder of frames; 0: one file


def cache_folder() -> Path:
    """`$EVEREST_CACHE`, or `everest` below `$XDG_CACHE_HOME` or `~/.cache`."""
    chosen = os.environ.get("EVEREST_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    home = os.environ.get("XDG_CACHE_HOME", "")
    # A relative XDG_CACHE_HOME is to be ignored (XDG base directory specification).
    return (Path(home) if os.path.isabs(home) else Path("~/.cache").expanduser()) / "everest"


class Memory:
    """Facts of files by absolute path, size and time of change, shared by all processes of a user.

    Nothing here can fail a command: where the file cannot be used, `trouble` says so once and
    everything is simply looked at anew. A context manager: what was put is stored on leaving.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.path = (folder or cache_folder()) / "facts.sqlite"
        self.trouble: str | None = None
        # Another decoder may read what this one cannot.
        self.readers = f"av {version('av')}", f"pillow {version('pillow')}"
        self.waiting: list[tuple[object, ...]] = []
        self.stored = time.monotonic()
        self.connection: sqlite3.Connection | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.connection = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
            self.connection.execute(TABLE)
        except (OSError, sqlite3.Error, ValueError) as error:
            self._give_up(error)

    def __enter__(self) -> "Memory":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def known(self, stamps: dict[str, Stamp], *, scanned: bool) -> dict[str, Facts]:
        """Facts of those files that have not changed since; `scanned`: only decoded ones count."""
        found: dict[str, Facts] = {}
        for paths in _batches(stamps, TOGETHER):
            for row in self._ask(paths):
                path = os.fsdecode(row[0])
                frames, fps, seconds, width, height, bad, passing = row[5:]
                numbers = (frames, fps, seconds, width, height)
                facts = Facts(*numbers, bad, scanned=bool(row[4]), passing=bool(passing))
                stamp = stamps[path]
                same = row[1:4] == (stamp.size, stamp.mtime_ns, self._reader(stamp))
                if same and (not scanned or (facts.scanned and not facts.passing)):
                    found[path] = facts
        return found

    def put(self, path: str, stamp: Stamp, facts: Facts) -> None:
        """Remembers facts; they reach the disk together with others, or on close."""
        state = (os.fsencode(path), stamp.size, stamp.mtime_ns, self._reader(stamp), facts.scanned)
        numbers = (facts.frames, facts.fps, facts.seconds, facts.width, facts.height)
        self.waiting.append((*state, *numbers, facts.bad, facts.passing))
        if len(self.waiting) >= TOGETHER or time.monotonic() - self.stored > SELDOM:
            self._store()

    def _reader(self, stamp: Stamp) -> str:
        video, pictures = self.readers
        return f"{pictures}, {stamp.files} files" if stamp.files else video

    def close(self) -> None:
        self._store()
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _ask(self, paths: Sequence[str]) -> list[tuple]:
        if self.connection is None:
            return []
        marks = ",".join("?" * len(paths))
        keys = [os.fsencode(path) for path in paths]
        try:
            return self.connection.execute(
                f"SELECT * FROM facts_1 WHERE path IN ({marks})", keys
            ).fetchall()
        except sqlite3.Error as error:
            self._give_up(error)
            return []

    def _store(self) -> None:
        rows, self.waiting = self.waiting, []
        self.stored = time.monotonic()
        if self.connection is None or not rows:
            return
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            self.connection.executemany(STORE, rows)
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        self.trouble = (
            f"{shown(str(self.path))} cannot be used ({shown(str(error))}): the videos are looked"
            " at anew each time; if it stays so, remove that file or set EVEREST_CACHE to a folder"
        )


def _batches(paths: Iterable[str], size: int) -> Iterator[list[str]]:
    batch: list[str] = []
    for path in paths:
        batch.append(path)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
