"""This file decides what the numbers after a path say: labels, frame counts, offsets.

Lists of other programs differ and do not say so. What the folders hold decides between them: a
number that is the count of a folder's pictures, line after line, is no label.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from everest.entries import SourceError, Wanted
from everest.folder_rows import Held, Part

FileForm = Literal["last", "all", "none"]
FolderForm = Literal["label", "frames", "offset", "start"]
FILE_FORMS: dict[FileForm, str] = {
    "last": "path and label",
    "all": "path and labels",
    "none": "paths, and numbers that are not labels",
}
FOLDER_FORMS: dict[FolderForm, str] = {
    "label": "the label",
    "frames": "how many frames it has, and the label",
    "offset": "how many frames come before the clip, how many are in it, and the label",
    "start": "the number of the clip's first picture and how many are in it; no label",
}


class Sampled(NamedTuple):
    """The numbers of one line, and the folder they are about; None: a file."""

    folder: Held | None
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Forms:
    """What the numbers after a file and after a folder say."""

    files: FileForm = "last"
    folders: FolderForm = "label"

    def of_file(self, numbers: Sequence[str]) -> tuple[str, ...]:
        """The labels among the numbers after a file."""
        if self.files == "none":
            return ()
        return tuple(numbers) if self.files == "all" else tuple(numbers[-1:])

    def of_folder(self, numbers: Sequence[str], where: str) -> tuple[tuple[str, ...], Part]:
        """(labels, part of the folder); raises SourceError for a line with too few numbers."""
        least = {"label": 1, "frames": 1, "offset": 2, "start": 2}[self.folders]
        if len(numbers) < least:
            raise SourceError(
                f"{where} has {len(numbers)} numbers after its folder; the first lines have"
                f" {FOLDER_FORMS[self.folders]}"
            )
        values = [int(number) for number in numbers]
        if self.folders == "frames":
            return tuple(numbers[1:]), Part(count=_some(values[0]))
        if self.folders == "offset":
            return tuple(numbers[2:]), Part(max(values[0], 0), _some(values[1]))
        if self.folders == "start":
            return (), Part(values[0], _some(values[1]), by_number=True)
        return tuple(numbers), Part()


def _some(count: int) -> int | None:
    """A frame count of 0 or -1 stands for all of them."""
    return count if count > 0 else None


def forms_of(sample: Sequence[Sampled], wanted: Wanted) -> Forms:
    """The forms that fit the first lines of a list best."""
    files = [line.numbers for line in sample if line.folder is None]
    folders = [(line.folder, line.numbers) for line in sample if line.folder is not None]
    form = _file_form(files, wanted)
    return Forms(form, _folder_form(folders, form, wanted))


def _file_form(lines: Sequence[tuple[int, ...]], wanted: Wanted) -> FileForm:
    if lines and all(numbers[-1] == -1 for numbers in lines):
        return "none"
    most = max((len(numbers) for numbers in lines), default=1)
    return "all" if most > 2 or (most > 1 and wanted.several) else "last"


def _folder_form(
    lines: Sequence[tuple[Held, tuple[int, ...]]], files: FileForm, wanted: Wanted
) -> FolderForm:
    fewest = min((len(numbers) for _, numbers in lines), default=1)
    most = max((len(numbers) for _, numbers in lines), default=1)
    if most == 1:
        return "label"
    if most == 2 and files == "none":
        return "start"  # VideoMAE v2 mixes `file 0 -1` and `folder start frames`
    exact: dict[FolderForm, Callable[[Held, tuple[int, ...]], bool]] = {
        "frames": lambda held, n: n[0] == held.frames,
    }
    if fewest > 2:
        exact["offset"] = lambda held, n: n[1] > 0 and n[0] + n[1] == held.frames
    if fewest == most == 2 and wanted.labelled is not True:
        exact["start"] = lambda held, n: n[0] - held.first + n[1] == held.frames
    there = [(held, numbers) for held, numbers in lines if held.bad is None]
    hits = {form: sum(fits(held, n) for held, n in there) for form, fits in exact.items()}
    best = max(hits, key=lambda form: hits[form])
    if hits[best]:
        return best
    if "start" in exact and all(n[0] in (0, 1) for _, n in lines):
        return "start"
    if "offset" in exact and all(n[0] + n[1] <= held.frames for held, n in there):
        return "offset"
    return "frames"
