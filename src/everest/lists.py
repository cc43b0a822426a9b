"""This file decides how the lines of a list are read: as a table, or by the shape they share."""

import codecs
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from everest.entries import (
    FRAMES,
    MISSING,
    VIDEO_EXTENSIONS,
    Entry,
    Listing,
    SourceError,
    Wanted,
    counted,
    is_video_name,
    shown,
)
from everest.headers import header_of
from everest.locating import Locator
from everest.tables import read_json_lines, read_table

SAMPLE = 100  # lines that decide the shape of a list
SEPARATORS = ("\t", "::", ";", ",", "|", " ")  # a blank last: it stands in paths most often
NAMES = {"\t": "tabs", " ": "blanks", ",": "commas", ";": "semicolons", "": "nothing"}
NUMBER = re.compile(r"-?\d{1,9}$")
AFTER_VIDEO = re.compile(
    r"(.*(?:" + "|".join(re.escape(end) for end in sorted(VIDEO_EXTENSIONS)) + r"))\s+(\S.*)$",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Shape:
    """What the first lines of a headerless list agree on."""

    separator: str  # "": the whole line is the path
    numbers: bool  # the last field is a class number; else a class name
    label: bool = True  # False: the last field says nothing, as -1 in `path 0 -1`


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
    text = text_of(source)
    if os.path.splitext(source)[1].lower() == ".jsonl":
        return read_json_lines(source, text, wanted)
    records = _records(source, text)
    sample = []
    for _, line in records:
        sample.append(line)
        if len(sample) == SAMPLE:
            break
    if not sample:
        raise SourceError(f"{shown(source)}: this list has no lines; expected a path a line")
    delimiter = header_of(source, sample)
    if delimiter is not None:
        return read_table(source, text, delimiter, wanted)
    return _read_bare(source, text, sample, wanted)


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


def _read_bare(source: str, text: str, sample: Sequence[str], wanted: Wanted) -> Listing:
    shape, locator = _shape_of(source, sample)
    if shape.separator and shape.label and len(wanted.label) > 1:
        raise SourceError(
            f"{shown(source)}: has no header and one label a line; --label"
            f" {','.join(wanted.label)} needs a first line with these names"
        )
    if wanted.group is not None:
        raise SourceError(
            f"--group {shown(wanted.group)}: {shown(source)} has no header; expected a first line"
            f" path,label,{shown(wanted.group)}"
        )
    if wanted.labelled and not (shape.separator and shape.label):
        raise SourceError(
            f"{shown(source)}: has paths without labels; expected lines `path label`, or a header"
            " path,label"
        )
    entries = []
    middle = 0
    takes_labels = bool(shape.separator) and shape.label
    known: dict[str, tuple[str | None, ...]] = {}
    for line, record in _records(source, text):
        head, last = _cut(record, shape.separator)
        if shape.separator and (not head or last not in known):
            label = _label(last.strip(), shape, f"{shown(source)}: line {line}", head)
            known[last] = (label,) if takes_labels else ()
        path, skipped, bad = _resolve(head, shape.separator, locator)
        middle += skipped
        labels = known[last] if shape.separator else ()
        entries.append(Entry(path, labels, line=line, source=source, bad=bad))
    columns = (wanted.label[:1] or ("label",)) if takes_labels else ()
    form = "paths alone"
    if shape.separator:
        form = "path and label" if shape.label else "paths, and numbers that are not labels"
        apart = NAMES.get(shape.separator, f"'{shape.separator}'")
        form += f", separated by {apart}"
    reading = [f"{shown(source)}: {counted(len(entries), 'line')} without a header: {form}"]
    if middle:
        reading.append(
            f"{shown(source)}: {counted(middle, 'line')} with a number between path and label,"
            " taken for a frame count and not used"
        )
    for entry in entries[:3]:
        what = f" is '{shown(entry.labels[0])}'" if entry.labels and entry.labels[0] else ""
        reading.append(f"{shown(source)}: line {entry.line}: {shown(entry.path)}{what}")
    return Listing(entries, columns, reading)


def _shape_of(source: str, sample: Sequence[str]) -> tuple[Shape, Locator]:
    locator = Locator(source, [_unquoted(line) for line in sample])
    if all(locator.find(_unquoted(line)) is not None for line in sample):
        return Shape("", numbers=False), locator
    for separator in SEPARATORS:
        pairs = [_cut(line, separator) for line in sample]
        lasts = [last.strip() for _, last in pairs]
        if not all(head for head, _ in pairs):
            continue
        numbers = all(NUMBER.match(last) for last in lasts)
        names = all(is_video_name(head) for head, _ in pairs) and not any(
            is_video_name(last) or "/" in last for last in lasts
        )
        if numbers or names:
            shape = Shape(separator, numbers, label=not all(last == "-1" for last in lasts))
            heads = [head for head, _ in pairs]
            return shape, Locator(source, [_without_numbers(h, separator) for h in heads])
    return Shape("", numbers=False), locator


def _cut(line: str, separator: str) -> tuple[str, str]:
    """(what names the file, the last field); ("", ...) where the line has one field only."""
    if not separator:
        return _unquoted(line), ""
    if separator == " ":
        line = line.rstrip()
        head, _, last = line.rpartition(" ")
        named = None if last.isdecimal() or NUMBER.match(last) else AFTER_VIDEO.match(line)
        if named and not is_video_name(named[2]):
            head, last = named[1], named[2]
    else:
        head, _, last = line.rstrip(separator[0] + " \t").rpartition(separator)
    head = head.strip()
    return (_unquoted(head) if head.startswith('"') else head), last


def _unquoted(text: str) -> str:
    text = text.strip("\r\n")
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"')
    return text


def _label(last: str, shape: Shape, where: str, head: str) -> str | None:
    if not head:
        apart = NAMES.get(shape.separator, f"'{shape.separator}'")
        raise SourceError(
            f"{where} has one field, the lines before it path and label, separated by {apart}"
        )
    if not shape.numbers:
        return last or None
    if not NUMBER.match(last) or int(last) < -1:
        raise SourceError(
            f"{where} ends in '{shown(last)}', expected a class number from 0 on (-1: unknown) as"
            f" in the first lines"
        )
    return None if last == "-1" else last


def _without_numbers(head: str, separator: str) -> str:
    while True:
        front, _, last = head.rstrip().rpartition(separator)
        if not front or not NUMBER.match(last.strip()):
            return head
        head = _unquoted(front.rstrip())


def _resolve(head: str, separator: str, locator: Locator) -> tuple[str, bool, str | None]:
    """(path, whether numbers after it were skipped, why it is bad) of what names the file."""
    path = locator.find(head)
    skipped = False
    if path is None and separator and separator in head:
        bare = _without_numbers(head, separator)
        skipped = bare != head
        path = locator.find(bare) if skipped else None
        head = bare
    if path is None:
        return locator.absolute(head), skipped, MISSING
    if not is_video_name(path) and os.path.isdir(path):
        return path, False, FRAMES
    return path, skipped, None
