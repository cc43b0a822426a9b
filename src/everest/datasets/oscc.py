"""This file decides how Ego4D's object state change classification is read: fho_oscc-pnr_*.json.

Source: DATASETS.md 5. A clip is a span of seconds: of the full video by parent_*, of a cut file
(clip_uid) by clip_*. The seconds are read, never the unique_id, which may say others.
"""

from collections import Counter
from typing import Any, Literal

from everest.datasets.annotations import json_of, named, objects_of, seconds_of
from everest.datasets.assembling import (
    Annotated,
    assemble,
    found_or_missing,
    label_columns,
    refuse_group,
)
from everest.datasets.places import Place, Videos
from everest.entries import Entry, Listing, SourceError, Wanted, counted, shown

CLASSES = ("no_state_change", "state_change")
FPS = 30  # of the canonical videos; frame = floor(seconds * FPS)
PARTS = (("train", r"train"), ("val", r"val"), ("test", r"test(?:_unannotated)?"))
Rule = Literal["truth", "official"]


def read_oscc(rule: Rule, folder: str, wanted: Wanted) -> Listing:
    """Rule "truth": null or absent is no change (EgoVLP); "official": all but false is a change."""
    name = "oscc" if rule == "truth" else "oscc-official"
    columns = label_columns(name, wanted)
    refuse_group(name, wanted, "video_uid")
    place = Place(name, folder)
    videos = Videos(place)
    files = _files(place)
    entries = []
    nulls: Counter[str] = Counter()
    lost = 0
    for part, path in files.items():
        for row in _rows(path):
            entry = _span(path, row, videos)
            if entry is None:
                lost += 1
                continue
            entry.split, entry.source, entry.group = part, path, str(row["video_uid"])
            entry.fps = FPS  # of a folder of frames
            labelled = part != "test" or "state_change" in row
            entry.labels = (_label(row, rule) if labelled else None,)
            if labelled and row.get("state_change") is None:
                nulls["null" if "state_change" in row else "absent"] += 1
            entries.append(entry)
    reading = [f"{name}: {named(*files.values())}; spans in seconds; papers report on val"]
    reading.append(_told_nulls(name, rule, nulls))
    reading.append(_told_folders(name, entries, place))
    if lost:
        reading.append(f"{name}: {counted(lost, 'row')} without start and end, left out")
    found = Annotated(
        entries,
        [sentence for sentence in reading if sentence],
        {columns[0]: CLASSES},
        "val",
        columns=columns,
    )
    return assemble(place, found, wanted)


def _files(place: Place) -> dict[str, str]:
    """Part -> its file, of version 2 where both versions are there."""
    needed = "fho_oscc-pnr_train.json, fho_oscc-pnr_val.json"
    place.annotations(r"fho_oscc-pnr_.*\.json", needed)
    files = {}
    for part, pattern in PARTS:
        paths = place.annotations(rf"fho_oscc-pnr_{pattern}\.json")
        if paths:
            files[part] = min(paths, key=lambda path: ("/v1/" in path, paths.index(path)))
    if not files:
        raise SourceError(
            f"{place.name}:{shown(place.root)}: none of {needed}; put the official files there"
        )
    return files


def _rows(path: str) -> list[dict[str, Any]]:
    """The list below `clips`, or the bare list of the files of 2021."""
    document = json_of(path)
    if isinstance(document, dict) and "clips" in document:
        document = document["clips"]
    return objects_of(path, document)


def _label(row: dict[str, Any], rule: Rule) -> str:
    state = row.get("state_change")
    return CLASSES[state is not False if rule == "official" else bool(state)]


def _span(path: str, row: dict[str, Any], videos: Videos) -> Entry | None:
    """The cut clip where its file is there, else the span of the full video; None without times."""
    uid = row.get("video_uid")
    if not isinstance(uid, str):
        raise SourceError(f"{shown(path)}: a row without video_uid; give the official file")
    clip, times = row.get("clip_uid"), _times(row, "clip")
    if isinstance(clip, str) and times is not None:
        found = videos.find(clip)
        if found is not None:
            return Entry(found, start=times[0], end=times[1])
    times = _times(row, "parent") or (times if not clip else None)
    if times is None:
        return None
    # Copies of a short side of 540 pixels show the same frames and are decoded sooner.
    entry = found_or_missing(videos, uid, f"{uid}.mp4", rank=lambda path: "540ss" not in path)
    entry.start, entry.end = times
    return entry


def _times(row: dict[str, Any], of: str) -> tuple[float, float] | None:
    """(start, end) in seconds, by frames where the row has no seconds."""
    times = []
    for edge in ("start", "end"):
        seconds = seconds_of(row.get(f"{of}_{edge}_sec"))
        if seconds is None:
            frame = seconds_of(row.get(f"{of}_{edge}_frame"))
            seconds = None if frame is None else frame / FPS
        times.append(seconds)
    start, end = times
    return None if start is None or end is None or end <= start else (start, end)


def _told_nulls(name: str, rule: Rule, nulls: Counter[str]) -> str:
    read = CLASSES[rule == "official"]
    other = "oscc:" if rule == "official" else "oscc-official:"
    if not nulls.total():
        return f"{name}: state_change is true or false in every labelled row"
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in nulls.items())
    return (
        f"{name}: state_change is neither true nor false in {counted(nulls.total(), 'row')}"
        f" ({kinds}), read as {read}; {other} reads them as {CLASSES[rule != 'official']}"
    )


def _told_folders(name: str, entries: list[Entry], place: Place) -> str:
    folders: Counter[str] = Counter()
    for entry in entries:
        if entry.bad is None:
            folders[entry.path.removeprefix(place.root + "/").rpartition("/")[0] or "."] += 1
    told = ", ".join(f"{shown(folder)} ({number:,})" for folder, number in folders.most_common(4))
    return f"{name}: clips by folder of their videos: {told}" if told else ""
