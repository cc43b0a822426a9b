"""This file decides how the finished rows of an embedding wait for the others, so that one that
was stopped or killed goes on.

Rows are done in groups. A group has a key, which is made of all that its vectors depend on: the
weights, what was asked, and the state of each file. So what is kept is never taken for another's.
"""

import hashlib
import json
import os
import shutil
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from everest.index import Row

SELDOM = 20.0  # seconds between two files


class Done(NamedTuple):
    """What became of one row."""

    vectors: np.ndarray | None  # (1, F), of tokens (V, D); None where it could not be read
    positions: np.ndarray | None  # (V,) of tokens
    reason: str  # why it, or a part of it, could not be read; ""


def key_of(asked: dict[str, Any], rows: Sequence[Row]) -> str:
    """The key of a group of rows."""
    states = [[row.path, *state(row.path), row.start, row.end, row.frames, row.fps] for row in rows]
    told = json.dumps([asked, states], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(told.encode()).hexdigest()


def state(path: str) -> tuple[int, int]:
    """(bytes, time of change), which tell one content of a file from another."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


@dataclass
class Unfinished:
    """A folder of groups that are done; without a folder nothing is kept."""

    folder: Path | None
    groups: dict[str, list[Done]] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)  # keys that are not on disk yet
    stored: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.folder is not None and self.folder.is_dir():
            for path in sorted(self.folder.glob("rows-*.npz")):
                self.groups.update(read_groups(path))

    def put(self, key: str, rows: list[Done]) -> None:
        self.groups[key] = rows
        self.waiting.append(key)
        if time.monotonic() - self.stored > SELDOM:
            self.store()

    def store(self) -> None:
        """Writes what waits, as a file of its own: whole or not at all."""
        self.stored = time.monotonic()
        if self.folder is None or not self.waiting:
            return
        self.folder.mkdir(exist_ok=True)
        taken = [int(path.stem.removeprefix("rows-")) for path in self.folder.glob("rows-*.npz")]
        path = self.folder / f"rows-{max(taken, default=0) + 1:06d}.npz"
        part = path.with_suffix(".tmp")
        write_groups({key: self.groups[key] for key in self.waiting}, part)
        os.replace(part, path)
        self.waiting.clear()


def forget(folder: Path) -> None:
    """Removes what an embedding left that is finished now."""
    if folder.is_dir():
        for path in (*folder.glob("rows-*.npz"), *folder.glob("rows-*.tmp")):
            path.unlink()
        if not any(folder.iterdir()):
            shutil.rmtree(folder)


def write_groups(groups: dict[str, list[Done]], path: Path) -> None:
    rows = [done for group in groups.values() for done in group]
    vectors = [done.vectors for done in rows if done.vectors is not None]
    positions = [done.positions for done in rows if done.positions is not None]
    with path.open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            keys=np.array(list(groups), dtype=str),
            sizes=np.array([len(group) for group in groups.values()]),
            counts=np.array([0 if done.vectors is None else len(done.vectors) for done in rows]),
            reasons=np.array([done.reason for done in rows], dtype=str),
            vectors=np.concatenate(vectors) if vectors else np.zeros((0, 0), np.float32),
            positions=np.concatenate(positions) if positions else np.zeros(0, np.int64),
        )


def read_groups(path: Path) -> dict[str, list[Done]]:
    """Nothing of a file that is damaged: its rows are made again."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        ends = np.cumsum(arrays["counts"])
        rows = []
        for number, count in enumerate(arrays["counts"].tolist()):
            span = slice(int(ends[number]) - count, int(ends[number]))
            places = arrays["positions"][span] if len(arrays["positions"]) else None
            vectors = arrays["vectors"][span] if count else None
            rows.append(Done(vectors, places if count else None, str(arrays["reasons"][number])))
        last = np.cumsum(arrays["sizes"]).tolist()
        sizes = arrays["sizes"].tolist()
        return {
            key: rows[end - size : end]
            for key, size, end in zip(arrays["keys"].tolist(), sizes, last, strict=True)
        }
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
        return {}
