"""This file decides how the lines of a list without a header are read: by the shape they share."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from everest.entries import (
    MISSING,
    Entry,
    Listing,
    SourceError,
    Wanted,
    counted,
    is_video_name,
    shown,
)
from everest.folder_rows import FolderRows, Part, first_rows
from everest.list_numbers import FILE_FORMS, FOLDER_FORMS, Forms, Sampled, forms_of
from everest.list_shapes import NUMBER, cut, is_path, longest, number_at_end, shape_of, unquoted


class Line(NamedTuple):
    """One line, taken apart."""

    path: str  # absolute
    folder: bool
    numbers: tuple[str, ...] = ()
    name: str | None = None
    bad: str | None = None


class BareList:
    """Takes the lines of one list apart and makes entries of them."""

    def __init__(self, source: str, sample: Sequence[tuple[int, str]], wanted: Wanted) -> None:
        self.source = source
        self.wanted = wanted
        self.folders = FolderRows(source)
        self.shape, self.locator = shape_of(source, [line for _, line in sample])
        self.forms = Forms()  # of the numbers after a path
        self.unused = 0  # lines with a number between path and label
        self.several = 0  # lines with several labels
        self.kinds: set[bool] = set()  # folder or not
        lines = [self.parted(line, number) for number, line in sample]
        there = [line for line in lines if line.bad is None]
        # What is not there is a folder too, where only folders have names that are not a video's.
        self.gone_is_folder = any(line.folder for line in there) and all(
            line.folder or is_video_name(line.path) for line in there
        )
        if self.shape.last == "number":
            self.forms = forms_of(
                [self._sampled(line) for line in there or lines if line.numbers], wanted
            )
        kinds = {self._about_folder(line) for line in lines}
        self.labelled = self.shape.last == "name" or (
            self.shape.last == "number"
            and (
                (False in kinds and self.forms.files != "none")
                or (True in kinds and self.forms.folders != "start")
            )
        )

    def _sampled(self, line: Line) -> Sampled:
        held = self.folders.look(line.path) if line.folder else None
        return Sampled(held, tuple(map(int, line.numbers)))

    def _about_folder(self, line: Line) -> bool:
        gone = line.bad is not None and self.gone_is_folder
        return line.folder or (gone and not is_video_name(line.path))

    def parted(self, record: str, number: int) -> Line:
        """Takes a line apart; raises SourceError where it does not fit the first lines."""
        shape = self.shape
        if shape.last == "path" or (shape.optional and is_path(record, shape.separator)):
            return self._found(unquoted(record))
        if shape.last == "anything":
            return self._found(longest(record, shape.separator, self.locator))
        head, last = cut(record, shape.separator)
        last = last.strip()
        where = f"{shown(self.source)}: line {number}"
        if not head:
            raise SourceError(
                f"{where} has one field, the lines before it path and label, separated by"
                f" {shape.apart}"
            )
        if shape.last == "number" and (not NUMBER.match(last) or int(last) < -1):
            raise SourceError(
                f"{where} ends in '{shown(last)}', expected a class number from 0 on (-1: unknown)"
                " as in the first lines"
            )
        line = self._found(head)
        between: list[str] = []
        while line.bad == MISSING and (parts := number_at_end(head, shape.separator)):
            head = parts[0]
            between.insert(0, parts[1])
            line = self._found(head)
        if shape.last == "name":
            return line._replace(numbers=tuple(between), name=last or None)
        return line._replace(numbers=(*between, last))

    def _found(self, head: str) -> Line:
        path = self.locator.find(head)
        if path is None:
            return Line(self.locator.absolute(head), False, bad=MISSING)
        return Line(path, self.locator.is_folder(path))

    def entry(self, record: str, number: int) -> Entry:
        """The entry of a line."""
        line = self.parted(record, number)
        about_folder = self._about_folder(line)
        self.kinds.add(about_folder)
        labels: tuple[str, ...] = () if line.name is None else (line.name,)
        part = Part()
        if self.shape.last == "number" and line.numbers:
            if about_folder:
                where = f"{shown(self.source)}: line {number}"
                labels, part = self.forms.of_folder(line.numbers, where)
            else:
                labels = self.forms.of_file(line.numbers)
                self.unused += len(labels) == 1 and len(line.numbers) > 1
        if len(labels) > 1 and not self.wanted.several:
            self.several += 1
            if self.wanted.labelled:
                column = self.wanted.label[0] if self.wanted.label else "label"
                raise SourceError(
                    f"{shown(self.source)}: line {number} has several labels"
                    f" ({shown(' '.join(labels))}); --label {shown(column)}:multi learns them"
                )
        known = [label for label in labels if label != "-1" or self.shape.last == "name"]
        entry = Entry(line.path, (" ".join(known) or None,), line=number, source=self.source)
        entry.bad = line.bad
        if line.folder:
            self.folders.fill(entry, self.wanted.frame_rate, part)
        return entry

    def reading(self, entries: Sequence[Entry]) -> list[str]:
        """How the list was understood, and its first lines."""
        shape, forms, name = self.shape, self.forms, shown(self.source)
        form = "paths alone"
        if shape.last == "number" and not self.kinds <= {True}:
            form = FILE_FORMS[forms.files]
        elif shape.last in ("number", "name"):
            form = "path and label" if self.labelled else "paths, and numbers that are not labels"
        elif shape.last == "anything":
            form = "paths, and something after them that is not used"
        form += f", separated by {shape.apart}" if shape.separator else ""
        told = [f"{name}: {counted(len(entries), 'line')} without a header: {form}"]
        if shape.last == "number" and True in self.kinds and forms.folders != "label":
            told.append(f"{name}: after a folder of frames: {FOLDER_FORMS[forms.folders]}")
        if self.unused:
            told.append(
                f"{name}: {counted(self.unused, 'line')} with a number between path and label,"
                " taken for a frame count and not used"
            )
        if self.several:
            told.append(f"{name}: several labels a line; --label label:multi learns them")
        return told + self.folders.told() + first_rows(entries)


def read_bare(
    source: str,
    sample: Sequence[tuple[int, str]],
    records: Iterable[tuple[int, str]],
    wanted: Wanted,
) -> Listing:
    """Reads a list without a header, lines with their numbers; the first ones, `sample`, decide
    how. Raises SourceError with the number of a line that does not fit them."""
    bare = BareList(source, sample, wanted)
    labelled = bare.labelled
    if labelled and len(wanted.label) > 1:
        raise SourceError(
            f"{shown(source)}: has no header and one label a line; --label"
            f" {','.join(wanted.label)} needs a first line with these names"
        )
    if wanted.group is not None:
        raise SourceError(
            f"--group {shown(wanted.group)}: {shown(source)} has no header; expected a first line"
            f" path,label,{shown(wanted.group)}"
        )
    if wanted.labelled and not labelled:
        raise SourceError(
            f"{shown(source)}: has paths without labels; expected lines `path label`, or a header"
            " path,label"
        )
    entries = [bare.entry(record, line) for line, record in records]
    if not labelled:
        for entry in entries:
            entry.labels = ()
    columns = (wanted.label[:1] or ("label",)) if labelled else ()
    return Listing(entries, columns, bare.reading(entries))
