"""This file decides how the annotation files of official sets are opened: lines, tables, JSON."""

import csv
import io
import json
import os
from collections.abc import Collection, Iterator
from typing import Any

from everest.entries import SourceError, listed, shown
from everest.lists import text_of


def lines_of(path: str) -> Iterator[tuple[int, str]]:
    """(number, line) of the lines with something in them, blanks and carriage returns cut off."""
    for number, line in enumerate(text_of(path).split("\n"), start=1):
        if line.strip():
            yield number, line.strip()


def header_of(path: str) -> list[str]:
    """The names in the first line of a comma-separated table, in small letters."""
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            first = file.readline(4096)
    except OSError as error:
        raise SourceError(f"{shown(path)}: cannot be read: {error.strerror}") from error
    try:
        return [name.strip().lower() for name in next(csv.reader([first]), [])]
    except csv.Error:
        return []


def table_of(path: str, needed: Collection[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, fields by the header's names in small letters) of a comma-separated table.

    Raises SourceError for one without a needed column.
    """
    reader = csv.reader(io.StringIO(text_of(path), newline=""))
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        missing = [name for name in needed if name not in header]
        if missing:
            raise SourceError(
                f"{shown(path)}: no column {listed(missing)}; the official file has"
                f" {listed(needed, 20)}, this one {listed(header, 20) or 'nothing'}"
            )
        line = reader.line_num + 1
        for row in reader:
            if any(field.strip() for field in row):
                yield line, dict(zip(header, (field.strip() for field in row), strict=False))
            line = reader.line_num + 1
    except csv.Error as error:
        raise SourceError(
            f"{shown(path)}: line {reader.line_num} cannot be read as CSV ({error}); give the"
            " official file"
        ) from error


def json_of(path: str) -> Any:
    """The document of a JSON file; SourceError for what is none."""
    try:
        return json.loads(text_of(path))
    except (ValueError, RecursionError) as error:
        raise SourceError(
            f"{shown(path)}: is not JSON ({error}); the download may be cut short, give the"
            " official file"
        ) from error


def objects_of(path: str, document: Any) -> list[dict[str, Any]]:
    """The list of objects that an annotation is; SourceError for another form."""
    if isinstance(document, list) and all(isinstance(row, dict) for row in document):
        return document
    raise SourceError(f"{shown(path)}: expected a list of objects [{{...}}, ...]")


def misread(path: str, line: int, text: str, expected: str) -> SourceError:
    """The error of a line that is not as the official file has it."""
    return SourceError(
        f"{shown(path)}: line {line} is '{shown(text[:120])}'; expected {expected}; give the"
        " official file"
    )


def seconds_of(text: Any) -> float | None:
    """Seconds of a number, of `12.5` or of `hours:minutes:seconds`; None of what is neither."""
    try:
        total = 0.0
        for part in str(text).split(":"):
            total = total * 60 + float(part)
    except ValueError:
        return None
    return total if 0 <= total < float("inf") else None


def named(*paths: str) -> str:
    """`a.txt and b.txt in folder` for a sentence."""
    folders = list(dict.fromkeys(os.path.dirname(path) for path in paths))
    names = [shown(os.path.basename(path)) for path in paths[:4]]
    more = f" and {len(paths) - 4} more" if len(paths) > 4 else ""
    return f"{', '.join(names)}{more} in {listed(folders, 2)}"
