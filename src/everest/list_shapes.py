"""This file decides what the lines of a headerless list agree on: separator and last field."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from everest.entries import VIDEO_EXTENSIONS, is_video_name
from everest.locating import Locator

SEPARATORS = ("\t", "::", ";", ",", "|", " ")  # a blank last: it stands in paths most often
NAMES = {"\t": "tabs", " ": "blanks", ",": "commas", ";": "semicolons", "": "nothing"}
NUMBER = re.compile(r"-?\d{1,9}$")
AFTER_VIDEO = re.compile(
    r"(.*(?:" + "|".join(re.escape(end) for end in sorted(VIDEO_EXTENSIONS)) + r"))\s+(\S.*)$",
    re.IGNORECASE | re.DOTALL,
)
WORDS = 4  # after a path, where a list for pre-training has more than numbers there


@dataclass(frozen=True)
class Shape:
    """What the first lines of a headerless list agree on."""

    separator: str  # "": the whole line is the path
    last: Literal["path", "number", "name", "anything"] = "path"  # what ends a line
    optional: bool = False  # some lines have a path alone

    @property
    def apart(self) -> str:
        return NAMES.get(self.separator, f"'{self.separator}'")


def shape_of(source: str, sample: Sequence[str]) -> tuple[Shape, Locator]:
    """(what the first lines agree on, who finds their files)."""
    locator = Locator(source, [unquoted(line) for line in sample])
    if all(locator.find(unquoted(line)) is not None for line in sample):
        return Shape(""), locator
    for separator in SEPARATORS:
        rows = [
            line
            for line in sample
            if not is_path(line, separator)
            or not (is_video_name(unquoted(line)) or locator.find(unquoted(line)))
        ]
        pairs = [cut(line, separator) for line in rows]
        if not pairs or not all(head for head, _ in pairs) or 2 * len(rows) < len(sample):
            continue
        optional = len(rows) < len(sample)
        heads = [head for head, _ in pairs]
        lasts = [last.strip() for _, last in pairs]
        if all(NUMBER.match(last) for last in lasts):
            bare = [_without_numbers(head, separator) for head in heads]
            return Shape(separator, "number", optional), Locator(source, bare)
        if any(is_video_name(last) or "/" in last for last in lasts):
            continue
        if all(map(is_video_name, heads)):
            return Shape(separator, "name", optional), Locator(source, heads)
        bare = [_without_numbers(head, separator) for head in heads]
        known = Locator(source, bare)
        if all(known.find(head) is not None for head in bare):
            return Shape(separator, "name", optional), known
    return _with_anything(source, sample) or (Shape(""), locator)


def _with_anything(source: str, sample: Sequence[str]) -> tuple[Shape, Locator] | None:
    """A list that has a file at the start of each line, whatever comes after."""
    for separator in (" ", "\t", ","):
        firsts = [line.split(separator)[0] for line in sample if separator in line]
        if len(firsts) == len(sample):
            locator = Locator(source, firsts)
            found = [locator.find(first) for first in firsts]
            if all(path is not None and not locator.is_folder(path) for path in found):
                return Shape(separator, "anything"), locator
    return None


def longest(line: str, separator: str, locator: Locator) -> str:
    """The longest start of a line that names a file, or its first field."""
    fields = line.split(separator)
    for count in range(min(len(fields), WORDS), 1, -1):
        head = separator.join(fields[:count])
        if locator.find(head) is not None:
            return head
    return fields[0]


def is_path(line: str, separator: str) -> bool:
    """Whether a line that others follow with a label has a path alone."""
    head, last = cut(line, separator)
    return bool(last or line) and (is_video_name(unquoted(line)) or (not head and bool(last)))


def cut(line: str, separator: str) -> tuple[str, str]:
    """(what names the file, the last field); ("", ...) where the line has one field only."""
    if separator == " ":
        line = line.rstrip()
        at = max(line.rfind(" "), line.rfind("\t"))
        head, last = line[: max(at, 0)], line[at + 1 :]
        named = None if last.isdecimal() or NUMBER.match(last) else AFTER_VIDEO.match(line)
        if named and not is_video_name(named[2]):
            head, last = named[1], named[2]
    else:
        head, _, last = line.rstrip(separator[0] + " \t").rpartition(separator)
    head = head.strip()
    return (unquoted(head) if head.startswith('"') else head), last


def unquoted(text: str) -> str:
    """A field without the double quotes around it."""
    text = text.strip("\r\n")
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"')
    return text


def number_at_end(head: str, separator: str) -> tuple[str, str] | None:
    """(what stands before, the number) of `path 120`; None where no number ends it."""
    front, _, last = head.rstrip().rpartition(separator)
    if not front or not NUMBER.match(last.strip()):
        return None
    return unquoted(front.rstrip()), last.strip()


def _without_numbers(head: str, separator: str) -> str:
    while parts := number_at_end(head, separator):
        head = parts[0]
    return head
