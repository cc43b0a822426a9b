"""This file decides which clips a run has, from whatever sources are given."""

import gc
import math
import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any

from everest.classes import number_classes, refuse_one_class, refuse_unseen, tell_unseen
from everest.entries import (
    Entry,
    Official,
    SourceError,
    Wanted,
    counted,
    listed,
    shown,
)
from everest.facts import Facts
from everest.folder_rows import tell_rates
from everest.frame_folders import RATE
from everest.kinds import Kind, Label, asked_kinds, kind_of, label_of
from everest.repeats import tell_unusable, without_repeats
from everest.sources import read_sources
from everest.splits import assign_splits, refuse_torn

__all__ = ["Index", "Row", "SourceError", "read_index"]


@dataclass(frozen=True, slots=True)
class Row:
    """One clip: a file or a span of one."""

    path: str  # absolute
    labels: dict[str, Label]  # label column -> class id, ids or number; {} without labels
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
    kinds: dict[str, Kind] = field(default_factory=dict)  # label column -> kind; else "class"
    sets: tuple[Official, ...] = ()  # the published sets among the sources; not in data.json

    def part(self, split: str) -> "Index":
        """The rows of one split, with the same classes."""
        return replace(self, rows=tuple(row for row in self.rows if row.split == split))

    def to_json(self) -> dict[str, Any]:
        """What `data.json` of a run folder holds; `from_json` is its inverse."""
        return {
            "schema": 1,
            "columns": [item.name for item in fields(Row)],
            "rows": [list(_values(row)) for row in self.rows],
            "classes": {column: list(names) for column, names in self.classes.items()},
            "kinds": self.kinds,
            "reading": list(self.reading),
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Index":
        """Raises SourceError for a document that `to_json` did not write."""
        if data.get("schema") != 1 or data.get("columns") != [item.name for item in fields(Row)]:
            raise SourceError(
                f"this index has schema {data.get('schema')!r}, expected 1: written by another"
                " version of everest; make it anew from the videos"
            )
        classes = {column: tuple(names) for column, names in data["classes"].items()}
        kinds = data.get("kinds", {})
        rows = (Row(*row) for row in data["rows"])
        if kinds:
            rows = (replace(row, labels=_labels_of(row.labels, kinds)) for row in rows)
        return Index(tuple(rows), classes, tuple(data["reading"]), kinds)


def _labels_of(written: Mapping[str, object], kinds: Mapping[str, Kind]) -> dict[str, Label]:
    return {column: label_of(value, kind_of(kinds, column)) for column, value in written.items()}


def _values(row: Row) -> Iterable[Any]:
    return (getattr(row, item.name) for item in fields(Row))


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
    fold: int | None = None,
    frame_rate: float = RATE,
    progress: Callable[[int, int], None] | None = None,
) -> Index:
    """Finds the clips of all sources, numbers their classes, splits and probes them.

    `sources`: folders, lists (CSV, TSV, JSON lines, plain lines), patterns, files. `label`: label
    columns by name, as COLUMN or COLUMN:KIND (kinds.py). `group`: a column whose rows stay on one
    side of a split. `split`: the share of each class for training, where the source has no split.
    `labelled`: True needs labels (the folders are classes), False reads a folder as bare videos,
    None takes labels where the source shows them. `probe` looks at the headers of the files, or
    remembers them, and refuses a source without one that can be read. `allow_unseen` lets val and
    test have classes that train lacks; so does a published set, whose protocol is kept to. `fold`
    is the official split of a set that has several; `frame_rate` that of folders of frames (frames
    a second), where no column says it.
    Raises SourceError; a bad file among good ones is no error but has `Row.bad`.
    """
    columns, asked = asked_kinds(label)
    kinds: dict[str, Kind] = {column: kind for column, kind in asked.items() if kind != "class"}
    if not 0 < frame_rate < math.inf:
        raise SourceError(f"--frame-rate {frame_rate:g}: give frames a second, such as 25")
    several = "multi" in kinds.values()
    wanted = Wanted(columns, group, labelled, fold, several, frame_rate)
    with _uncollected():
        entries, labels, classes, reading, strata, sets = _gather(sources, wanted, kinds)
        if labelled:
            refuse_one_class(classes, kinds)
        allow_unseen = allow_unseen or bool(sets)
        reading.extend(_split(entries, split, seed, strata))
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
            known = (fact.frames, entry.fps or fact.fps, fact.width, fact.height)
            rows.append(Row(entry.path, of, *span, *known, entry.bad))
    good = [(row.split, row.labels) for row in rows if row.bad is None]
    if labelled and not allow_unseen and probe:
        refuse_unseen(good, classes)
    if sets and labelled is not False:
        reading.extend(tell_unseen(good, classes))
    return Index(tuple(rows), classes, tuple(reading), kinds, sets)


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
    sources: Sequence[str], wanted: Wanted, kinds: dict[str, Kind]
) -> tuple[
    list[Entry],
    list[dict[str, Label]],
    dict[str, tuple[str, ...]],
    list[str],
    dict[int, Hashable] | None,
    tuple[Official, ...],
]:
    """(entries, labels of each, class names, reading, strata, published sets) of all sources
    together; the strata are what a split divides evenly, by identity of the entry, where that is
    not all labels. A file in train and in val or test is refused, but for a set that is published
    so."""
    listings = read_sources(sources, wanted)
    reading = [sentence for listing in listings for sentence in listing.reading]
    reading.extend(without_repeats(listings, compare_labels=wanted.labelled is not False))
    entries = [entry for listing in listings for entry in listing.entries]
    refuse_torn([e for listing in listings if not listing.official for e in listing.entries])
    sets = tuple(listing.official for listing in listings if listing.official)
    reading.extend(tell_unusable(entries))
    reading.extend(tell_rates(entries))
    labels, classes, told = number_classes(listings, kinds)
    strata: dict[int, Hashable] | None = None
    if kinds:
        strata = {
            id(entry): tuple(
                label
                for column, label in zip(listing.columns, entry.labels, strict=False)
                if column not in kinds
            )
            for listing in listings
            for entry in listing.entries
        }
    return entries, labels, classes, reading + told, strata, sets


def _split(
    entries: Sequence[Entry],
    share: float | None,
    seed: int,
    strata: dict[int, Hashable] | None,
) -> list[str]:
    free = [entry for entry in entries if entry.split is None]
    told = []
    if share is not None:
        if free:
            assign_splits(free, share, seed, strata)
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
