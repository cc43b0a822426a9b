"""This file decides what is said and kept of an official set: the clips present, counted."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from everest.datasets.places import Place, Videos
from everest.entries import (
    MISSING,
    Entry,
    Listing,
    Official,
    SourceError,
    Wanted,
    counted,
    listed,
    nearest,
    shown,
)

Reader = Callable[[str, Wanted], Listing]


@dataclass
class Annotated:
    """What a set's annotation says; a clip whose video is not there has `bad` MISSING and the name
    of the file as its path."""

    entries: list[Entry]
    reading: list[str]
    classes: dict[str, tuple[str, ...]]  # label column -> class names in the official order
    reported: str  # the part that papers report on
    mirrored: bool = True
    columns: tuple[str, ...] = ("label",)
    unused: Sequence[str] = field(default=())  # videos that the annotation does not name


def label_columns(
    name: str, wanted: Wanted, choices: Sequence[str] = ("label",), default: int = 1
) -> tuple[str, ...]:
    """The label columns asked for: the first `default` of the choices where none is named.

    A set with one column takes any name for it, so that a model keeps its own. Raises SourceError
    for another number of names, or for a name that is no choice of several.
    """
    asked = wanted.label or tuple(choices[:default])
    if len(choices) == 1:
        if len(asked) > 1:
            raise SourceError(
                f"--label {','.join(map(shown, asked))}: {name} has one label a clip; give one name"
            )
        return asked
    for column in asked:
        if column not in choices:
            raise SourceError(
                f"--label {shown(column)}: {name} has no such label, only"
                f" {listed(choices)}{nearest(column, choices)}"
            )
    return asked


def refuse_group(name: str, wanted: Wanted, own: str | None) -> None:
    """Raises SourceError for a --group that the set does not have; `own` is the one it has."""
    if wanted.group in (None, own):
        return
    has = f"its group is {own}" if own else "it names none"
    raise SourceError(
        f"--group {shown(wanted.group or '')}: {name} has no such group, {has}; leave --group out"
    )


def tell_gaps(name: str, numbers: Sequence[int]) -> list[str]:
    """A sentence where the official numbers, ascending from 1, are not those of the whole set."""
    if list(numbers) == list(range(1, len(numbers) + 1)):
        return []
    return [
        f"{name}: the {len(numbers):,} classes here are not all of the set, so they are numbered"
        " anew in the official order"
    ]


def assemble(place: Place, found: Annotated, wanted: Wanted) -> Listing:
    """The clips whose videos are there, with the counts of all; SourceError where none is."""
    if not found.entries:
        raise SourceError(f"{place.name}:{shown(place.root)}: the annotation names no clip")
    present = [entry for entry in found.entries if entry.bad is None]
    absent = list(dict.fromkeys(entry.path for entry in found.entries if entry.bad is not None))
    if not present:
        raise SourceError(_nothing(place, found, absent))
    _rate_frames(place, present, wanted.frame_rate)
    videos = len({entry.path for entry in present})
    reading = [*found.reading, _counts(place.name, found.entries, videos, absent)]
    if found.unused:
        reading.append(
            f"{place.name}: {counted(len(found.unused), 'video')} below the folder not named by the"
            f" annotation, left out: {listed(found.unused, 3)}"
        )
    reading.extend(_torn(place.name, present))
    classes, columns = found.classes, found.columns
    if wanted.labelled is False:
        classes, columns = {}, ()
        for entry in present:
            entry.labels = ()
    elif wanted.labelled:
        labelled = [entry for entry in present if any(label is not None for label in entry.labels)]
        if not labelled:
            raise SourceError(
                f"{place.name}:{shown(place.root)}: no clip with a label is there, only clips of"
                " the test part without; give the videos of train or validation"
            )
        if len(labelled) < len(present):
            left = counted(len(present) - len(labelled), "clip")
            reading.append(f"{place.name}: {left} whose labels are not published, left out")
        present = labelled
    official = Official(
        place.name, found.reported, videos + len(absent), len(absent), found.mirrored
    )
    return Listing(present, columns, reading, classes, official)


def found_or_missing(
    videos: Videos, stem: str, name: str, rank: Callable[[str], Any] | None = None
) -> Entry:
    """An entry of the video, or one of that name that says that it is not there."""
    path = videos.find(stem, rank=rank)
    return Entry(name, bad=MISSING) if path is None else Entry(path)


def _rate_frames(place: Place, entries: Sequence[Entry], rate: float) -> None:
    """Gives folders of frames their rate, where the set did not; a file knows its own."""
    folders = {os.path.join(place.root, path) for path in place.frames}
    for entry in entries:
        entry.fps = (entry.fps or rate) if entry.path in folders else None


def _counts(name: str, entries: Sequence[Entry], videos: int, absent: Sequence[str]) -> str:
    total = videos + len(absent)
    clips = counted(len(entries), "clip") + " of " if len(entries) != total else ""
    told = f"{name}: the annotation names {clips}{counted(total, 'video')}: {videos:,} present"
    if not absent:
        return f"{told}, none missing"
    parts = Counter(entry.split for entry in entries if entry.bad is not None)
    clipwise = " clips" if clips else ""
    split = ", ".join(f"{part} {parts[part]:,}{clipwise}" for part in parts if part is not None)
    return f"{told}, {len(absent):,} missing ({split}), such as {listed(absent, 3)}"


def _torn(name: str, entries: Sequence[Entry]) -> list[str]:
    trained = {entry.path for entry in entries if entry.split == "train"}
    held = {entry.path for entry in entries if entry.split in ("val", "test")}
    torn = len(trained & held)
    if not torn:
        return []
    files = counted(torn, "file has", "files have")
    return [f"{name}: {files} clips in train and in val or test, as the annotation has it"]


def _nothing(place: Place, found: Annotated, absent: Sequence[str]) -> str:
    have = f"the {counted(len(place.videos), 'video')} there have other names"
    if place.videos:
        have += f", as {listed(place.videos, 1)}"
    else:
        have = f"there is no video{place.archives()}"
    return (
        f"{place.name}:{shown(place.root)}: none of the {counted(len(absent), 'video')} of the"
        f" annotation is below this folder: looked for {listed(absent, 3)}; {have}; give the folder"
        " that holds the videos"
    )
