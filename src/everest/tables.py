"""This file decides what each row of a list with a header says."""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from everest.entries import (
    MISSING,
    SPLIT_NAMES,
    Entry,
    Listing,
    SourceError,
    Wanted,
    counted,
    listed,
    shown,
)
from everest.folder_rows import FolderRows, Part, first_rows
from everest.frame_lists import is_frame_list, read_frame_list
from everest.headers import Columns, columns_of
from everest.locating import Locator

SAMPLE = 100  # rows that decide where the files lie
MAX_FPS = 1e5
UNIT = "\x1f"  # stands for `::` while the csv module, which wants one letter, reads


def read_table(source: str, text: str, delimiter: str, wanted: Wanted) -> Listing:
    """Reads a table with a header; SourceError names the column or line that does not fit."""
    if delimiter == "::":
        text, delimiter = text.replace("::", UNIT), UNIT
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        skipinitialspace=delimiter == " ",
        strict=True,
    )
    header: list[str] = []
    try:
        while not any(header):
            header = next(reader)
    except csv.Error as error:
        raise _not_csv(source, reader.line_num, error) from error
    while len(header) > 1 and not header[-1].strip():
        header.pop()

    def rows() -> Iterator[tuple[int, list[str]]]:
        line = reader.line_num + 1
        try:
            for row in reader:
                if len(row) > 1 or (row and row[0].strip()):
                    yield line, row
                line = reader.line_num + 1
        except csv.Error as error:
            raise _not_csv(source, line, error) from error

    header = [name.strip() for name in header]
    if is_frame_list(header):
        return read_frame_list(source, header, rows(), wanted)
    return read_rows(source, header, rows(), delimiter, wanted)


def _not_csv(source: str, line: int, error: csv.Error) -> SourceError:
    return SourceError(
        f"{shown(source)}: line {line} cannot be read as CSV ({error}); a field that holds a"
        ' double quote is written in quotes, with the quote doubled: "a ""b"" c.mp4"'
    )


def read_json_lines(source: str, text: str, wanted: Wanted) -> Listing:
    """Reads one JSON object a line, as the `metadata.jsonl` beside a folder's videos."""
    objects = []
    names: dict[str, None] = {}
    for line, record in enumerate(text.split("\n"), start=1):
        if not record.strip():
            continue
        try:
            row = json.loads(record)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{shown(source)}: line {line} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise SourceError(f"{shown(source)}: line {line} is not an object {{...}}")
        names.update(dict.fromkeys(row))
        objects.append((line, row))
    header = list(names)
    rows = ((line, [cell_of(row.get(name)) for name in header]) for line, row in objects)
    return read_rows(source, header, rows, ",", wanted)


def cell_of(value: object) -> str:
    """A value of a typed table as the text that a CSV would have."""
    if isinstance(value, list | tuple):
        return ";".join(map(str, value))
    return "" if value is None else str(value)


def read_rows(
    source: str,
    header: list[str],
    rows: Iterable[tuple[int, list[str]]],
    delimiter: str,
    wanted: Wanted,
) -> Listing:
    """The listing of numbered rows below a header; SourceError names the line that does not fit."""
    columns, labels = columns_of(source, header, wanted)
    rows = iter(rows)
    first = list(islice(rows, SAMPLE))
    if not first:
        raise SourceError(f"{shown(source)}: has a header and no row below it")
    where, width = columns.path, len(header)
    locator = Locator(source, [row[where] for _, row in first if len(row) > where])
    entries: list[Entry] = []
    folders = FolderRows(source)
    splits: dict[str, str | None] = {"": None}
    named: dict[tuple[str, ...], tuple[str | None, ...]] = {}
    path: str | None = None
    folder = False
    written = ""
    for line, row in chain(first, rows):
        if len(row) != width:
            row = _mend(source, (line, row), width, where, delimiter, locator)
        if row[where] != written or not written:  # spans of one file follow one another
            written = row[where]
            if not written.strip():
                raise SourceError(f"{shown(source)}: line {line} has no path")
            path = locator.find(written)
            bad = None if path is not None else MISSING
            folder = path is not None and locator.is_folder(path)
            if path is None:
                path = locator.absolute(written)
        raw = tuple([row[index] for index in columns.labels])
        if raw not in named:
            named[raw] = tuple(value.strip() or None for value in raw)
        entry = Entry(path or "", named[raw], line=line, source=source, bad=bad)
        if columns.split is not None:
            value = row[columns.split]
            if value not in splits:
                splits[value] = _split(source, line, value)
            entry.split = splits[value]
        if columns.start is not None:
            entry.start = _seconds(source, line, row[columns.start])
        if columns.end is not None:
            entry.end = _seconds(source, line, row[columns.end])
            if entry.end is not None and entry.end <= (entry.start or 0):
                raise SourceError(
                    f"{shown(source)}: line {line} ends at {entry.end:g} s, not after its start"
                    f" ({entry.start or 0:g} s)"
                )
        if columns.group is not None:
            entry.group = row[columns.group].strip() or None
        if folder:
            value = "" if columns.fps is None else row[columns.fps]
            folders.fill(entry, _rate(source, line, value) or wanted.frame_rate, Part())
        entries.append(entry)
    told = _reading(source, header, columns, entries)
    return Listing(entries, labels, told + folders.told() + first_rows(entries))


def _reading(
    source: str, header: Sequence[str], columns: Columns, entries: Sequence[Entry]
) -> list[str]:
    parts = [f"path '{shown(header[columns.path])}'"]
    if columns.labels:
        parts.append(f"label '{listed((header[index] for index in columns.labels), 20)}'")
    for name in ("split", "start", "end", "group", "fps"):
        index = getattr(columns, name)
        if index is not None:
            parts.append(f"{name} '{shown(header[index])}'")
    used = {columns.path, *columns.labels, columns.split, columns.start, columns.end, columns.group}
    used.add(columns.fps)
    spare = [name for index, name in enumerate(header) if index not in used]
    unused = f"; not used: {listed(spare)}" if spare else ""
    if spare and not columns.labels:
        unused += " (--label chooses labels among them)"
    return [f"{shown(source)}: {counted(len(entries), 'row')}; columns: {', '.join(parts)}{unused}"]


def _mend(
    source: str,
    numbered: tuple[int, list[str]],
    width: int,
    path: int,
    delimiter: str,
    locator: Locator,
) -> list[str]:
    """A row with fields missing at its end, or with a path that holds the delimiter unquoted."""
    line, row = numbered[0], list(numbered[1])
    while len(row) > width and not row[-1].strip():
        row.pop()
    surplus = len(row) - width
    if surplus > 0:
        joined = delimiter.join(row[path : path + surplus + 1])
        if locator.find(joined) is not None:
            return [*row[:path], joined, *row[path + surplus + 1 :]]
        raise SourceError(
            f"{shown(source)}: line {line} has {len(row)} fields, the header {width}; put a path"
            " that holds the delimiter in double quotes"
        )
    return row + [""] * -surplus


def _split(source: str, line: int, value: str) -> str | None:
    name = value.strip().lower()
    if not name:
        return None
    if name not in SPLIT_NAMES:
        raise SourceError(
            f"{shown(source)}: line {line} has the split '{shown(value)}'; expected train, val or"
            " test"
        )
    return SPLIT_NAMES[name]


def _seconds(source: str, line: int, text: str) -> float | None:
    """Seconds of `12.5` or `[hours:]minutes:seconds`; None of an empty field."""
    if not text or text.isspace():
        return None
    try:
        total = float(text) if ":" not in text else 0.0
        for part in text.split(":") if ":" in text else ():
            total = total * 60 + float(part)
    except ValueError:
        total = math.nan
    if not math.isfinite(total) or total < 0:
        raise SourceError(
            f"{shown(source)}: line {line} has the time '{shown(text)}'; expected seconds (12.5) or"
            " hours:minutes:seconds"
        )
    return total


def _rate(source: str, line: int, text: str) -> float | None:
    """Frames a second; None of an empty field."""
    if not text or text.isspace():
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not (math.isfinite(rate) and 0 < rate <= MAX_FPS):
        raise SourceError(
            f"{shown(source)}: line {line} has the rate '{shown(text)}'; expected frames a second,"
            " such as 25"
        )
    return rate
