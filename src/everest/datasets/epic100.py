"""This file decides how EPIC-Kitchens-100 is read: EPIC_100_{train,validation}.csv.

Source: DATASETS.md 6. Videos have five rates, so actions are cut by seconds, never by frames. The
.pkl files beside the csv files hold the same and are not opened: a pickle can run anything.
"""

from collections.abc import Mapping

from everest.datasets.annotations import named, seconds_of, table_of
from everest.datasets.assembling import (
    Annotated,
    assemble,
    found_or_missing,
    label_columns,
    refuse_group,
)
from everest.datasets.places import Place, Videos
from everest.entries import Listing, SourceError, Wanted, counted, shown

NAME = "epic100"
LABELS = ("verb", "noun", "action")
DEFAULT = 2  # verb and noun
TIMES = ("start_timestamp", "stop_timestamp")
Names = dict[int, str]  # class number -> name


def read_epic100(folder: str, wanted: Wanted) -> Listing:
    """Train and validation, and the test part, whose labels are not published.

    Labels are verb and noun, and with --label action the pair of both: `take plate`.
    """
    columns = label_columns(NAME, wanted, LABELS, DEFAULT)
    group = wanted.group or "video_id"
    if group not in ("video_id", "participant_id"):
        refuse_group(NAME, wanted, "video_id or participant_id")
    place = Place(NAME, folder)
    files = _files(place)
    videos = Videos(place)
    names = {kind: _names(place, kind) for kind in ("verb", "noun")}
    rates = _rates(place)
    entries = []
    pairs: set[tuple[int, int]] = set()
    lost = 0
    for part, path in files.items():
        needed = ("video_id", *TIMES, *(("verb_class", "noun_class") if part != "test" else ()))
        for line, row in table_of(path, needed):
            start, end = (seconds_of(row.get(name)) for name in TIMES)
            if start is None or end is None or end <= start:
                lost += 1
                continue
            video = row["video_id"]
            entry = found_or_missing(videos, video, f"{video}.MP4")
            entry.fps = rates.get(video)  # of a folder of frames
            entry.start, entry.end = start, end
            entry.split, entry.line, entry.source = part, line, path
            entry.group = row.get(group) or video.partition("_")[0]
            entry.labels = _labels(path, (line, row), part, columns, names, pairs)
            entries.append(entry)
    reading = [f"{NAME}: {named(*files.values())}; actions cut by seconds; papers report on val"]
    reading.append(f"{NAME}: classes by EPIC_100_verb_classes.csv and EPIC_100_noun_classes.csv")
    without = [kind for kind, known in names.items() if not known]
    if without:
        reading[-1] = (
            f"{NAME}: no EPIC_100_{'/'.join(without)}_classes.csv, so these classes are called by"
            " their numbers"
        )
    if lost:
        reading.append(f"{NAME}: {counted(lost, 'row')} without a start before an end, left out")
    classes = _classes(columns, names, pairs)
    found = Annotated(entries, reading, classes, "val", columns=columns, unused=videos.unused())
    return assemble(place, found, wanted)


def _files(place: Place) -> dict[str, str]:
    files = {}
    for part, stem in (("train", "train"), ("val", "validation"), ("test", "test_timestamps")):
        paths = place.annotations(rf"EPIC_100_{stem}\.csv")
        if paths:
            files[part] = paths[0]
    if not files:
        needed = "EPIC_100_train.csv, EPIC_100_validation.csv"
        place.annotations(r"EPIC_100_(?:train|validation)\.csv", needed)
    return files


def _names(place: Place, kind: str) -> Names:
    """Class number -> key; {} where the table of classes is not there."""
    paths = place.annotations(rf"(?:EPIC_100_)?{kind}_classes(?:_v2)?\.csv")
    if not paths:
        return {}
    names = {}
    for line, row in table_of(paths[0], ("id", "key")):
        try:
            names[int(row["id"])] = row["key"]
        except (KeyError, ValueError) as error:
            raise SourceError(
                f"{shown(paths[0])}: line {line} has no id and key; give the official file"
            ) from error
    return names


def _rates(place: Place) -> dict[str, float]:
    """Frames a second by video id, which folders of frames do not know; {} where all are files."""
    if not place.frames:
        return {}
    needed = "EPIC_100_video_info.csv, for the rates of folders of frames"
    path = place.annotations(r"EPIC_100_video_info\.csv", needed)[0]
    try:
        return {
            row["video_id"]: float(row["fps"]) for _, row in table_of(path, ("video_id", "fps"))
        }
    except (KeyError, ValueError) as error:
        raise SourceError(
            f"{shown(path)}: a row without video_id and fps; give the official file"
        ) from error


def _labels(
    path: str,
    numbered: tuple[int, Mapping[str, str]],
    part: str,
    columns: tuple[str, ...],
    names: Mapping[str, Names],
    pairs: set[tuple[int, int]],
) -> tuple[str | None, ...]:
    if part == "test":
        return (None,) * len(columns)
    line, row = numbered
    try:
        verb, noun = int(row["verb_class"]), int(row["noun_class"])
    except (KeyError, ValueError) as error:
        raise SourceError(
            f"{shown(path)}: line {line} has no numbers in verb_class and noun_class; give the"
            " official file"
        ) from error
    pairs.add((verb, noun))
    of = {"verb": _name(names["verb"], verb), "noun": _name(names["noun"], noun)}
    of["action"] = f"{of['verb']} {of['noun']}"
    return tuple(of[column] for column in columns)


def _name(names: Names, number: int) -> str:
    return names.get(number, str(number))


def _classes(
    columns: tuple[str, ...], names: Mapping[str, Names], pairs: set[tuple[int, int]]
) -> dict[str, tuple[str, ...]]:
    """Verbs and nouns by number; actions are the pairs that occur, by verb and then noun."""
    classes = {}
    for place, kind in enumerate(("verb", "noun")):
        numbers = names[kind] or [pair[place] for pair in pairs]
        classes[kind] = tuple(_name(names[kind], n) for n in range(max(numbers, default=-1) + 1))
    classes["action"] = tuple(
        f"{_name(names['verb'], verb)} {_name(names['noun'], noun)}" for verb, noun in sorted(pairs)
    )
    return {column: classes[column] for column in columns}
