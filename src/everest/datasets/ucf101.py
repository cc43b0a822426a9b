"""This file decides how UCF101 is read: classInd.txt, trainlist0N.txt, testlist0N.txt.

Source: DATASETS.md 1. Split files end their lines with CR LF; train lists carry ids from 1, test
lists none, so that a test clip's class is the folder it is listed under, never its file's name:
HandstandPushups/ holds v_HandStandPushups_*.
"""

import os
import re
from collections.abc import Sequence

from everest.datasets.annotations import lines_of, misread, named
from everest.datasets.assembling import (
    Annotated,
    assemble,
    label_columns,
    refuse_group,
    tell_gaps,
)
from everest.datasets.places import Place, Videos
from everest.entries import MISSING, Entry, Listing, SourceError, Wanted, counted, shown

NAME = "ucf101"
FOLDS = 3
LISTED = re.compile(r"(?:.*[/\\])?([^/\\]+)[/\\]([^/\\]+?)(?:\s+(\d+))?$")
Clip = tuple[int, str, str, str | None]  # line, class, file, id from 1 or None
CLIP = re.compile(r"_(g\d+)_c\d+$", re.IGNORECASE)


def read_ucf101(folder: str, wanted: Wanted) -> Listing:
    """One of the three splits; a clip's group is its class and gNN, which is one source video."""
    columns = label_columns(NAME, wanted)
    refuse_group(NAME, wanted, "group")
    place = Place(NAME, folder)
    fold = wanted.fold or 1
    lists = {part: _list(place, part, fold) for part in ("train", "test")}
    written = {part: list(_clips(path)) for part, path in lists.items()}
    numbers, told = _classes(place, written["train"])
    order = sorted(numbers, key=numbers.__getitem__)
    videos = Videos(place, order)
    entries = []
    for part, path in lists.items():
        for line, name, file, _ in written[part]:
            if name not in numbers:
                raise SourceError(
                    f"{shown(path)}: line {line} has the class '{shown(name)}', which {told} does"
                    " not; give the files of one release"
                )
            stem = os.path.splitext(file)[0]
            video = videos.find(stem, name)
            entry = Entry(
                video or f"{name}/{file}",
                (name,),
                part,
                line=line,
                source=path,
                bad=None if video else MISSING,
            )
            clip = CLIP.search(stem)
            if clip:
                entry.group = f"{name}_{clip[1].lower()}"
            entries.append(entry)
    chosen = "" if wanted.fold else "; --fold 2 or 3 takes another"
    reading = [
        f"{NAME}: split {fold} of {FOLDS}, by {named(*lists.values())}{chosen}",
        f"{NAME}: classes in the order of {told}; groups are source videos (class and gNN)",
    ]
    reading.extend(tell_gaps(NAME, sorted(numbers.values())))
    other = sum(
        number is not None and int(number) != numbers[name]
        for _, name, _, number in written["train"]
    )
    if other:
        reading.append(
            f"{NAME}: {counted(other, 'id')} of the train list differ from {told}; the class is the"
            " folder's"
        )
    found = Annotated(
        entries,
        reading,
        {columns[0]: tuple(order)},
        "test",
        columns=columns,
        unused=videos.unused(),
    )
    return assemble(place, found, wanted)


def _list(place: Place, part: str, fold: int) -> str:
    return place.annotations(rf"{part}list0?{fold}\.txt", f"{part}list0{fold}.txt")[0]


def _clips(path: str) -> list[Clip]:
    clips = []
    for line, text in lines_of(path):
        match = LISTED.fullmatch(text)
        if match is None:
            raise misread(path, line, text, "Class/v_Class_g01_c01.avi, in train lists with an id")
        clips.append((line, match[1], match[2], match[3]))
    return clips


def _classes(place: Place, train: Sequence[Clip]) -> tuple[dict[str, int], str]:
    """(official ids of the classes, from 1, and where they are from): classInd.txt, which is not
    sorted by bytes, else the train list."""
    files = place.annotations(r"classInd\.txt")
    numbers: dict[str, int] = {}
    if files:
        for line, text in lines_of(files[0]):
            written, _, name = text.partition(" ")
            if not written.isdigit() or not name.strip():
                raise misread(files[0], line, text, "an id and a class, as 1 ApplyEyeMakeup")
            numbers[name.strip()] = int(written)
        return numbers, "classInd.txt"
    for _, name, _, number in train:
        if number is None:
            raise SourceError(
                f"{NAME}:{shown(place.root)}: no classInd.txt and no ids in the train list, so the"
                " order of the classes is not known; put classInd.txt beside the lists"
            )
        numbers[name] = int(number)
    return numbers, "the train list's ids (no classInd.txt)"
