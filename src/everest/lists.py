"""This file decides how a list file becomes lines, and who reads them."""

import codecs
import os
from collections.abc import Iterator

from everest.bare_lists import read_bare
from everest.entries import Listing, SourceError, Wanted, shown
from everest.headers import header_of
from everest.parquet_lists import read_parquet
from everest.tables import read_json_lines, read_table

SAMPLE = 100  # lines that decide the shape of a list


def looks_like_text(path: str) -> bool:
    """Whether a file of unknown extension can be a list: its start has no NUL byte."""
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise SourceError(f"{shown(path)}: cannot be read: {error.strerror}") from error
    return bool(start) and (b"\0" not in start or start.startswith(codecs.BOM_UTF16))


def read_list(source: str, wanted: Wanted) -> Listing:
    """Reads a list of videos: CSV, TSV or JSON lines with names, or lines `path [...] [label]`.

    Raises SourceError with the line's number for a line that does not fit.
    """
    if source.lower().endswith(".parquet"):
        return read_parquet(source, wanted)
    text = text_of(source)
    if os.path.splitext(source)[1].lower() == ".jsonl":
        return read_json_lines(source, text, wanted)
    records = _records(source, text)
    sample = []
    for record in records:
        sample.append(record)
        if len(sample) == SAMPLE:
            break
    if not sample:
        raise SourceError(f"{shown(source)}: this list has no lines; expected a path a line")
    delimiter = header_of(source, [line for _, line in sample])
    if delimiter is not None:
        return read_table(source, text, delimiter, wanted)
    return read_bare(source, sample, _records(source, text), wanted)


def text_of(source: str) -> str:
    """The text of a list file, whatever its byte order mark; undecodable bytes survive."""
    try:
        with open(source, "rb") as file:
            data = file.read()
    except OSError as error:
        raise SourceError(f"{shown(source)}: cannot be read: {error.strerror}") from error
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            text = data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise SourceError(f"{shown(source)}: begins as UTF-16 but is not: {error}") from error
    else:
        # File names are bytes: what is not UTF-8 must come back as the same bytes.
        text = data.decode("utf-8-sig", errors="surrogateescape")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise SourceError(
            f"{shown(source)}: line {line} holds a NUL character: not a list, or a damaged one"
        )
    return text.replace("\r", "\n") if "\r" in text and "\n" not in text else text


def _records(source: str, text: str) -> Iterator[tuple[int, str]]:
    """(line number, line) of each line that is not blank; a quoted path may hold line ends."""
    opened: list[str] = []
    first = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if opened:
            opened.append(line)
            if line.count('"') % 2:
                yield first, "\n".join(opened).rstrip("\r")
                opened.clear()
        elif line.startswith('"') and line.count('"') % 2:
            opened, first = [line], number
        else:
            line = line.rstrip("\r")
            if line and not line.isspace():
                yield number, line
    if opened:
        raise SourceError(f"{shown(source)}: the quote that opens in line {first} is never closed")
