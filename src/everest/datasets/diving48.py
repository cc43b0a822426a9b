"""This file decides how Diving48 is read: Diving48_V2_{train,test}.json and Diving48_vocab.json.

Source: DATASETS.md 6. Only version 2: the labels of the first are wrong in part.
"""

import re
from typing import Any

from everest.datasets.annotations import json_of, named, objects_of
from everest.datasets.assembling import (
    Annotated,
    assemble,
    found_or_missing,
    label_columns,
    refuse_group,
)
from everest.datasets.places import Place, Videos
from everest.entries import Entry, Listing, SourceError, Wanted, shown

NAME = "diving48"
CLASSES = 48
SOURCE_VIDEO = re.compile(r"(.+)_\d+$")


def read_diving48(folder: str, wanted: Wanted) -> Listing:
    """Train and test; a class is the parts of its dive, joined: Back+15som+05Twis+FREE."""
    columns = label_columns(NAME, wanted)
    refuse_group(NAME, wanted, "video")
    place = Place(NAME, folder)
    files = _files(place)
    order, vocabulary = _classes(place)
    videos = Videos(place)
    entries: list[Entry] = []
    for part, path in files.items():
        for row in objects_of(path, json_of(path)):
            name, number = row.get("vid_name"), _number(row.get("label"))
            if not isinstance(name, str) or number is None or not number < len(order):
                raise SourceError(
                    f"{shown(path)}: {shown(str(row)[:120])}: expected a vid_name and a label of 0"
                    f" to {len(order) - 1}; give the official file"
                )
            entry = found_or_missing(videos, name, f"{name}.mp4")
            source = SOURCE_VIDEO.fullmatch(name)
            entry.group = source[1] if source else None
            entry.labels, entry.split, entry.source = (order[number],), part, path
            entries.append(entry)
    reading = [f"{NAME}: version 2, {named(*files.values())}; classes in the order of {vocabulary}"]
    found = Annotated(
        entries,
        reading,
        {columns[0]: order},
        "test",
        columns=columns,
        unused=videos.unused(),
    )
    return assemble(place, found, wanted)


def _number(label: Any) -> int | None:
    """A class number, which some copies write as text; None of what is none."""
    try:
        number = int(label)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number >= 0 else None


def _files(place: Place) -> dict[str, str]:
    files = {}
    for part, stems in (("train", "train"), ("test", "test|val")):
        paths = place.annotations(rf"Diving48_V2_(?:{stems})\.json")
        if paths:
            files[part] = paths[0]
    if not files:
        first = place.annotations(r"Diving48_(?:V1_)?(?:train|test)\.json")
        if first:
            raise SourceError(
                f"{shown(first[0])}: version 1, whose labels are wrong in part; get"
                " Diving48_V2_train.json and Diving48_V2_test.json"
            )
        place.annotations(
            r"Diving48_V2_(?:train|test)\.json", "Diving48_V2_train.json, Diving48_V2_test.json"
        )
    return files


def _classes(place: Place) -> tuple[tuple[str, ...], str]:
    """(class names by number, where they are from)."""
    paths = place.annotations(r"Diving48_vocab\.json")
    if not paths:
        told = "their numbers (no Diving48_vocab.json, so they have no names)"
        return tuple(str(number) for number in range(CLASSES)), told
    document = json_of(paths[0])
    if not isinstance(document, list) or not document:
        raise SourceError(
            f"{shown(paths[0])}: expected a list of dives, each a list of its parts; give the"
            " official file"
        )
    names = ["+".join(map(str, dive)) if isinstance(dive, list) else str(dive) for dive in document]
    return tuple(names), named(paths[0])
