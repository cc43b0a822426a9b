"""This file decides how Something-Something v2 is read: labels.json, train.json, validation.json.

Source: DATASETS.md 3. Ids are strings in all of them. A clip's class is its template without square
brackets (the words inside stay), which is how labels.json spells it.
"""

import os
from collections.abc import Mapping
from typing import Any

from everest.datasets.annotations import json_of, lines_of, misread, named, objects_of
from everest.datasets.assembling import (
    Annotated,
    assemble,
    found_or_missing,
    label_columns,
    refuse_group,
    tell_gaps,
)
from everest.datasets.places import Place, Videos
from everest.entries import Entry, Listing, SourceError, Wanted, shown

NAME = "ssv2"
OLD = r"(?:something-something-v2-)?"  # how the names of files begin in the first release
NO_FLIP = (
    "ssv2: left and right are part of the classes (pushing something from left to right), so clips"
    " must not be mirrored: --flip 0"
)


def read_ssv2(folder: str, wanted: Wanted) -> Listing:
    """Train, validation, and the test part where it is there, with labels if its answers are."""
    columns = label_columns(NAME, wanted)
    refuse_group(NAME, wanted, None)
    place = Place(NAME, folder)
    labels_file, order = _classes(place)
    videos = Videos(place)
    entries: list[Entry] = []
    files = [labels_file]
    for part, stems in (("train", "train"), ("val", "validation|val"), ("test", "test")):
        path, rows = _part(place, rf"{OLD}(?:{stems})\.json")
        if not path:
            continue
        files.append(path)
        answers = _answers(place, order, files) if part == "test" else {}
        for row in rows:
            number = str(row.get("id", ""))
            if not number:
                raise SourceError(f"{shown(path)}: a clip without an id; give the official file")
            entry = found_or_missing(videos, number, f"{number}.webm")
            label = answers.get(number) if part == "test" else _class_of(path, row, order)
            entry.labels, entry.split, entry.source = (label,), part, path
            entries.append(entry)
    if len(files) == 1:
        raise SourceError(
            f"{NAME}:{shown(place.root)}: no train.json and no validation.json beside"
            f" {shown(labels_file)}; put the official files there"
        )
    reading = [
        f"{NAME}: {named(*files)}; a class is the template without brackets, its number that of"
        f" {shown(os.path.basename(labels_file))}; papers report on validation",
        NO_FLIP,
        *tell_gaps(NAME, [number + 1 for number in order.values()]),
    ]
    found = Annotated(
        entries,
        reading,
        {columns[0]: tuple(order)},
        "val",
        mirrored=False,
        columns=columns,
        unused=videos.unused(),
    )
    return assemble(place, found, wanted)


def _classes(place: Place) -> tuple[str, Mapping[str, int]]:
    """(file, class name -> number in the order of the numbers); others' labels.json are passed."""
    paths = place.annotations(OLD + r"labels\.json", "labels.json, train.json, validation.json")
    document: Any = None
    for path in paths:
        document = json_of(path)
        try:
            numbers = {str(name): int(number) for name, number in dict(document).items()}
        except (TypeError, ValueError, OverflowError):
            continue
        order = dict(sorted(numbers.items(), key=lambda pair: pair[1]))
        if order and min(order.values()) >= 0:
            return path, order
    raise SourceError(
        f"{shown(paths[0])}: expected an object of class names and their numbers, as"
        ' {"Approaching something with your camera":"0", ...}; give the official file'
    )


def _part(place: Place, pattern: str) -> tuple[str, list[dict[str, Any]]]:
    """(file of a part, its clips); ("", []) where it is not there."""
    paths = place.annotations(pattern)
    return (paths[0], objects_of(paths[0], json_of(paths[0]))) if paths else ("", [])


def _class_of(path: str, row: Mapping[str, Any], order: Mapping[str, int]) -> str:
    template = row.get("template")
    label = str(template).replace("[", "").replace("]", "")
    if template is None or label not in order:
        raise SourceError(
            f"{shown(path)}: the clip {shown(str(row.get('id')))} has the template"
            f" {shown(str(template))!r}, which the labels file does not know; give the files of one"
            " release"
        )
    return label


def _answers(place: Place, order: Mapping[str, int], files: list[str]) -> dict[str, str]:
    """Id -> class of test-answers.csv: `id;label text`, without a header."""
    paths = place.annotations(OLD + r"test-answers\.csv")
    if not paths:
        return {}
    files.append(paths[0])
    answers = {}
    for line, text in lines_of(paths[0]):
        number, _, label = text.partition(";")
        label = label.replace("[", "").replace("]", "")
        if label not in order:
            raise misread(paths[0], line, text, "an id and a class of labels.json: 1420;Class")
        answers[number] = label
    return answers
