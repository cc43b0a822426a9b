"""This file decides whether a list has a header, and which of its columns is which."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from everest.entries import SourceError, Wanted, is_video_name, listed, nearest, shown

PATH = "path file file_name filename file_path filepath video video_path video_file clip clip_path"
LABEL = "label labels class category class_name label_name target action"
SPLIT = "split subset partition"
START = "start start_seconds start_sec start_time start_timestamp time_start"
END = "end end_seconds end_sec end_time end_timestamp time_end stop stop_timestamp"
INTEGER = re.compile(r"-?\d+")
FPS = "fps frame_rate framerate"  # of folders of frames; a file knows its own
DELIMITERS = ("\t", "::", ";", ",", "|", " ")


@dataclass(frozen=True)
class Columns:
    """Which field of a row is which; None where the table has no such column."""

    path: int
    labels: tuple[int, ...]
    split: int | None
    start: int | None
    end: int | None
    group: int | None
    fps: int | None = None


def header_of(source: str, sample: Sequence[str]) -> str | None:
    """The delimiter of a list whose first line is a header, None of a list without one.

    Raises SourceError for a header that names no path.
    """
    splits = {mark: _fields(sample[0], mark) for mark in DELIMITERS}
    for delimiter, fields in splits.items():
        # A folder of frames may be called `video`, and its line ends in numbers.
        is_row = any(is_video_name(name) or INTEGER.fullmatch(name) for name in fields)
        if _find_path(fields) is not None and not is_row:
            return delimiter
    if _names_file(sample[0]):
        return None
    # Blanks stand in the names of columns too: they separate only where nothing else does.
    delimiter = max(
        DELIMITERS, key=lambda mark: (mark != " " and len(splits[mark]) > 1, len(splits[mark]))
    )
    fields = splits[delimiter]
    if any(map(INTEGER.fullmatch, fields)):
        return None
    named = len(fields) > 1 and _find(fields, LABEL) is not None
    files = sum(map(_names_file, sample[1:]))
    if named or files > len(sample[1:]) / 2:
        raise SourceError(
            f"{shown(source)}: no column 'path' (or file, file_name, video); the columns there are"
            f" {listed(fields, 20)}{_rename(fields)}"
        )
    return None


def _rename(header: Sequence[str]) -> str:
    near = difflib.get_close_matches("path", [name.lower() for name in header], n=1, cutoff=0.5)
    return f"; if '{shown(near[0])}' is it, call it 'path'" if near else ""


def _names_file(line: str) -> bool:
    fields = (name for mark in DELIMITERS for name in _fields(line, mark))
    return any(is_video_name(name) or "/" in name for name in fields)


def _fields(line: str, delimiter: str) -> list[str]:
    fields = line.split(delimiter) if delimiter != " " else line.split()
    return [name.strip().strip('"').strip() for name in fields]


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _find(header: Sequence[str], names: str) -> int | None:
    plain = [_plain(name) for name in header]
    for name in names.split():
        if name in plain:
            return plain.index(name)
    return None


def _find_path(header: Sequence[str]) -> int | None:
    ends = [_plain(name).endswith("_file_name") for name in header]  # as Hugging Face allows
    found = _find(header, PATH)
    return ends.index(True) if found is None and any(ends) else found


def columns_of(source: str, header: list[str], wanted: Wanted) -> tuple[Columns, tuple[str, ...]]:
    """(columns, names of the label columns); SourceError where one that is needed is missing."""
    path = _find_path(header)
    if path is None:
        raise SourceError(
            f"{shown(source)}: no column 'path'; the columns there are"
            f" {listed(header, 20)}{_rename(header)}"
        )
    split, start, end, fps = (_find(header, names) for names in (SPLIT, START, END, FPS))
    group = _find(header, "group")
    if wanted.group is not None:
        group = _named(source, header, wanted.group, "--group")
    taken = {path, split, start, end, group, fps}
    if wanted.label:
        chosen = tuple(_named(source, header, name, "--label") for name in wanted.label)
        return Columns(path, chosen, split, start, end, group, fps), wanted.label
    label = _find(header, LABEL)
    if label in taken:
        label = None
    rest = [index for index in range(len(header)) if index not in taken]
    if label is None and wanted.labelled is not False and len(rest) == 1:
        label = rest[0]
    if label is None and wanted.labelled:
        spare = [header[index] for index in rest]
        example = f"; choose with --label, for example --label {shown(spare[0])}" if spare else ""
        raise SourceError(
            f"{shown(source)}: no column 'label'; the columns there are {listed(header, 20)}"
            f"{nearest('label', spare)}{example}"
        )
    chosen = () if label is None else (label,)
    columns = Columns(path, chosen, split, start, end, group, fps)
    return columns, ("label",) if chosen else ()


def _named(source: str, header: Sequence[str], name: str, flag: str) -> int:
    plain = [_plain(column) for column in header]
    for wanted, columns in ((name, list(header)), (_plain(name), plain)):
        if wanted in columns:
            return columns.index(wanted)
    raise SourceError(
        f"{flag} {shown(name)}: {shown(source)} has no such column, only"
        f" {listed(header, 20)}{nearest(name, header)}"
    )
