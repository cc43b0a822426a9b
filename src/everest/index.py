"""This file decides which clips a run has, from whatever sources are given."""

import gc
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from everest.classes import number_classes, refuse_one_class, refuse_unseen
from everest.entries import (
    Entry,
    SourceError,
    Wanted,
    counted,
    listed,
    shown,
)
from everest.facts import Facts
from everest.repeats import tell_unusable, without_repeats
from everest.sources import read_sources
from everest.splits import assign_splits, refuse_torn

__all__ = ["Index", "Row", "SourceError", "read_index"]


@dataclass(frozen=True, slots=True)
class Row:
    """One clip: a file or a span of one."""

    path: str  # absolute
    labels: dict[str, int]  # label column -> class id, -1 where missing; {} without labels
    split: str | None  # "train", "val", "test" or None
    start: float | None  # seconds; None: from the beginning
    end: float | None  # seconds; None: to the end
    group: str | None
    frames: int = 0  # of the whole file; 0 where unknown or bad
    fps: float = 0.0
    width: int = 0  # pixels, as shown (after rotation)
    height: int = 0
    bad: str | None = None  # why it cannot be read


@dataclass(frozen=True, slots=True)
class Index:
    """All clips of a run, the names of their classes, and how the sources were understood."""

    rows: tuple[Row, ...]
    classes: dict[str, tuple[str, ...]]  # label column -> class names by id
    reading: tuple[str, ...] = ()  # sentences for the console, control characters neutralised

    def part(self, split: str) -> "Index":
        """The rows of one split, with the same classes."""
        return Index(
            tuple(row for row in self.rows if row.split == split), self.classes, self.reading
        )

    def to_json(self) -> dict[str, Any]:
        """What `data.json` of a run folder holds; `from_json` is its inverse."""
        return {
            "schema": 1,
            "columns": [field.name for field in fields(Row)],
            "rows": [list(_values(row)) for row in self.rows],
            "classes": {column: list(names) for column, names in self.classes.items()},
            "reading": list(self.reading),
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Index":
        """Raises SourceError for a document that `to_json` did not write."""
        if data.get("schema") != 1 or data.get("columns") != [field.name for field in fields(Row)]:
            raise SourceError(
                f"this index has schema {data.get('schema')!r}, expected 1: written by another"
                " version of everest; make it anew from the videos"
            )
        classes = {column: tuple(names) for column, names in data["classes"].items()}
        return Index(tuple(Row(*row) for row in data["rows"]), classes, tuple(data["reading"]))


def _values(row: Row) -> Iterable[Any]:
    return (getattr(row, field.name) for field in fields(Row))


def read_index(
    sources: Sequence[str],
    *,
    label: Sequence[str] = (),
    group: str | None = None,
    split: float | None = None,
    seed: int = 0,
    labelled: bool | None = False,
    probe: bool = True,
    allow_unseen: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Index:
    """Finds the clips of all sources, numbers their classes, splits and probes them.

    `sources`: folders, lists (CSV, TSV, JSON lines, plain lines), patterns, files. `label`: label
    columns by name. `group`: a column whose rows stay on one side of a split. `split`: the share
    of each class for training, where the source has no split. `labelled`: True needs labels (the
    folders are classes), False reads a folder as bare videos, None takes labels where the source
    shows them. `probe` looks at the headers of the files, or remembers them, and refuses a source
    without one that can be read. `allow_unseen` lets val and test have classes that train lacks.
    Raises SourceError; a bad file among good ones is no error but has `Row.bad`.
    """
    wanted = Wanted(tuple(label), group, labelled)
    with _uncollected():
        entries, labels, classes, reading = _gather(sources, wanted)
        if labelled:
            refuse_one_class(classes)
        refuse_torn(entries)
        reading.extend(_split(entries, split, seed))
        if labelled and not allow_unseen:
            refuse_unseen([(e.split, of) for e, of in zip(entries, labels, strict=True)], classes)
    facts: dict[str, Facts] = {}
    if probe:
        facts, told = _probe(entries, progress)
        reading.extend(told)
    _refuse_all_bad(entries)
    unknown = Facts()
    rows = []
    with _uncollected():
        for entry, of in zip(entries, labels, strict=True):
            fact = facts.get(entry.path, unknown)
            span = (entry.split, entry.start, entry.end, entry.group)
            known = (fact.frames, fact.fps, fact.width, fact.height)
            rows.append(Row(entry.path, of, *span, *known, entry.bad))
    if labelled and not allow_unseen and probe:
        refuse_unseen([(row.split, row.labels) for row in rows if row.bad is None], classes)
    return Index(tuple(rows), classes, tuple(reading))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Stops garbage collection: among a million rows, all kept, it takes longer than reading."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _gather(
    sources: Sequence[str], wanted: Wanted
) -> tuple[list[Entry], list[dict[str, int]], dict[str, tuple[str, ...]], list[str]]:
    """(entries, labels of each, class names, reading) of all sources together."""
    listings = read_sources(sources, wanted)
    reading = [sentence for listing in listings for sentence in listing.reading]
    reading.extend(without_repeats(listings, compare_labels=wanted.labelled is not False))
    entries = [entry for listing in listings for entry in listing.entries]
    reading.extend(tell_unusable(entries))
    labels, classes, told = number_classes(listings)
    return entries, labels, classes, reading + told


def _split(entries: Sequence[Entry], share: float | None, seed: int) -> list[str]:
    free = [entry for entry in entries if entry.split is None]
    told = []
    if share is not None:
        if free:
            assign_splits(free, share, seed)
        if len(free) < len(entries):
            told.append(
                f"--split {share:g} is used for the {counted(len(free), 'clip')} without a split"
                " of its own"
                if free
                else f"--split {share:g} is not used: the source has its own split"
            )
    counts = Counter(entry.split for entry in entries)
    parts = [f"{name} {counts[name]:,}" for name in ("train", "val", "test") if counts[name]]
    if parts:
        left = counts[None]
        drawn = f" (drawn with seed {seed})" if share is not None and free else ""
        rest = f", no split {left:,}" if left else ""
        told.append(f"clips by split: {', '.join(parts)}{rest}{drawn}")
    twice = {entry.path for entry in entries if entry.split == "val"} & {
        entry.path for entry in entries if entry.split == "test"
    }
    if twice:
        told.append(f"{counted(len(twice), 'file is', 'files are')} in both val and test")
    return told


def _probe(
    entries: Sequence[Entry], progress: Callable[[int, int], None] | None
) -> tuple[dict[str, Facts], list[str]]:
    from everest.checking import look_at

    untried = [entry for entry in entries if entry.bad is None]
    looked = look_at((entry.path for entry in untried), scan=False, progress=progress)
    for entry in untried:
        entry.bad = looked.facts[entry.path].bad
    bad = [entry for entry in untried if entry.bad is not None]
    told = [looked.trouble] if looked.trouble else []
    if bad:
        names = listed((f"{os.path.basename(entry.path)} ({entry.bad})" for entry in bad), 3)
        told.append(f"{counted(len(bad), 'clip')} of {len(entries):,} cannot be read: {names}")
    return looked.facts, told


def _refuse_all_bad(entries: Sequence[Entry]) -> None:
    if all(entry.bad is not None for entry in entries):
        reasons = "\n".join(
            f"  {entry.where()}: {shown(entry.path)}: {shown(entry.bad or '')}"
            if entry.line
            else f"  {shown(entry.path)}: {shown(entry.bad or '')}"
            for entry in entries[:3]
        )
        more = f"\n  and {len(entries) - 3:,} more" if len(entries) > 3 else ""
        files = f"none of the {len(entries):,} files" if len(entries) > 1 else "the only file"
        can = "can be read" if len(entries) > 1 else "cannot be read"
        raise SourceError(
            f"{files} {can}; give videos that play, or correct the paths:\n{reasons}{more}"
        )
