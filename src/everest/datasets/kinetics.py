"""This file decides how Kinetics-400, 600 and 700 are read: csv files of youtube ids and seconds.

Source: DATASETS.md 4. A video is found by `{id}_{start:06d}_{end:06d}`; where it is not there, by
its id alone, the first 11 letters, as long as no other row has a claim to it.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from everest.datasets.annotations import header_of, named, table_of
from everest.datasets.assembling import Annotated, assemble, label_columns, refuse_group
from everest.datasets.kinetics_classes import key_of, spelt
from everest.datasets.places import Place, Videos
from everest.entries import (
    MISSING,
    SPLIT_NAMES,
    Entry,
    Listing,
    SourceError,
    Wanted,
    counted,
    listed,
    shown,
)

ID = 11  # letters of a youtube id
OTHER_SIZE = re.compile(r"(?<!\d)(400|600|700)(?!\d)")


@dataclass(slots=True)
class Clip:
    """One row of a csv file."""

    youtube: str
    times: tuple[int, int]  # seconds
    label: str | None
    split: str | None
    line: int
    source: str
    path: str | None = None

    @property
    def stem(self) -> str:
        return f"{self.youtube}_{self.times[0]:06d}_{self.times[1]:06d}"


def read_kinetics(size: int, folder: str, wanted: Wanted) -> Listing:
    """Train, validation and test as the csv files name them; without such a file, class folders."""
    name = f"k{size}"
    columns = label_columns(name, wanted)
    refuse_group(name, wanted, "youtube_id")
    place = Place(name, folder)
    files = _csv_files(place, size)
    if not files:
        return _class_folders(place, columns, wanted)
    clips = _clips(files)
    labels = _spellings(clip.label for clip in clips)
    for clip in clips:
        clip.label = labels[key_of(clip.label)] if clip.label else None
    videos = Videos(place)
    reading = [f"{name}: {named(*files)}; classes sorted by name; papers report on validation"]
    reading.extend(_locate(clips, videos, name))
    if any(clip.label is None for clip in clips):
        _labels_of_folders(clips, labels)
    entries = [
        Entry(
            clip.path or f"{clip.stem}.mp4",
            (clip.label,),
            clip.split,
            group=clip.youtube,
            line=clip.line,
            source=clip.source,
            bad=None if clip.path else MISSING,
        )
        for clip in clips
    ]
    found = Annotated(
        entries,
        reading,
        {columns[0]: tuple(sorted(labels.values()))},
        "val",
        columns=columns,
        unused=videos.unused(),
    )
    return assemble(place, found, wanted)


def _csv_files(place: Place, size: int) -> list[str]:
    """The csv files with a column youtube_id, without those of another Kinetics."""
    own = place.annotations(r".+\.csv", accepts=lambda path: "youtube_id" in header_of(path))

    def other(path: str) -> bool:
        sizes = set(OTHER_SIZE.findall(os.path.relpath(path, os.path.dirname(place.root))))
        return bool(sizes) and str(size) not in sizes

    return [path for path in own if not other(path)] or own


def _clips(files: Sequence[str]) -> list[Clip]:
    """The rows of all files, a row that stands twice once."""
    clips: dict[tuple[str, tuple[int, int], str | None], Clip] = {}
    for path in files:
        for line, row in table_of(path, ("youtube_id", "time_start", "time_end")):
            try:
                times = int(float(row["time_start"])), int(float(row["time_end"]))
                youtube = row["youtube_id"]
            except (KeyError, ValueError, OverflowError) as error:
                raise SourceError(
                    f"{shown(path)}: line {line} has no youtube_id, time_start and time_end in"
                    " seconds; give the official file"
                ) from error
            split = _split_of(row.get("split"), path)
            clip = Clip(youtube, times, row.get("label") or None, split, line, path)
            earlier = clips.setdefault((youtube, times, split), clip)
            earlier.label = earlier.label or clip.label
    return list(clips.values())


def _split_of(written: str | None, path: str) -> str | None:
    """The part a row says, else the one in its file's name (kinetics_train.csv)."""
    if written:
        return SPLIT_NAMES.get(written.lower())
    words = re.split(r"[^a-z]+", os.path.basename(path).lower())
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)


def _spellings(labels: Iterable[str | None]) -> dict[str, str]:
    """Key of a class -> its one spelling, whichever of the three the files use."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for label in set(labels):
        if label:
            found[key_of(label)].add(spelt(label))
    # Of "tying knot not on a tie" and "tying knot (not on a tie)" the latter is the release's.
    return {
        key: max(names, key=lambda name: (sum(letter in "'()" for letter in name), name))
        for key, names in found.items()
    }


def _locate(clips: Sequence[Clip], videos: Videos, name: str) -> list[str]:
    """Sets the path of each clip; returns what there is to say of how they were found."""
    replaced = 0
    for clip in clips:
        clip.path = videos.find(clip.stem, rank=_rank(clip.split))
        replaced += clip.path is not None and _is_substitute(clip.path)
    told = []
    if replaced:
        told.append(
            f"{name}: {counted(replaced, 'video')} taken from the folder of replacements for"
            " corrupted files"
        )
    by_id: defaultdict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.path is None:
            by_id[clip.youtube].append(clip)
    loose: defaultdict[str, list[str]] = defaultdict(list)
    for stem in videos.by_stem:
        if stem not in videos.used and stem[:ID] in by_id:
            loose[stem[:ID]].append(stem)
    taken = 0
    unclear: list[str] = []
    for youtube, stems in loose.items():
        rows = by_id[youtube]
        if len({(clip.label, clip.split) for clip in rows}) > 1:
            unclear.append(youtube)
            continue
        stem = min(stems, key=lambda stem: (stem != youtube, stem))
        rows[0].path = videos.find(stem, rank=_rank(rows[0].split))
        taken += 1
    if taken:
        told.append(f"{name}: {counted(taken, 'video')} found by the id alone, not by its seconds")
    if unclear:
        files = counted(len(unclear), "id has", "ids have")
        told.append(
            f"{name}: {files} several rows of different classes or parts and no video with the"
            f" seconds of one of them, so left out: {listed(unclear, 3)}"
        )
    return told


def _rank(split: str | None) -> Callable[[str], tuple[bool, bool]]:
    """Substitutes for corrupted files first, then the folder of the clip's own part."""

    def rank(path: str) -> tuple[bool, bool]:
        folders = [SPLIT_NAMES.get(step.lower()) for step in path.split("/")[:-1]]
        return not _is_substitute(path), split not in folders

    return rank


def _is_substitute(path: str) -> bool:
    return any(step.startswith("replacement") for step in path.lower().split("/")[:-1])


def _labels_of_folders(clips: Sequence[Clip], labels: Mapping[str, str]) -> None:
    """Gives clips of a file without a label column the class of the folder they lie in."""
    for clip in clips:
        if clip.label is None and clip.path is not None:
            folder = os.path.basename(os.path.dirname(clip.path))
            clip.label = labels.get(key_of(folder))


def _class_folders(place: Place, columns: tuple[str, ...], wanted: Wanted) -> Listing:
    """The set by its folders alone: train/air_drumming/x.mp4, in any spelling of the classes."""
    entries = []
    for path in place.videos:
        *folders, file = path.split("/")
        if not folders:
            continue
        parts = [SPLIT_NAMES.get(step.lower()) for step in folders[:-1]]
        split = next((part for part in parts if part), None)
        youtube = file[:ID] if len(file) > ID else None
        entry = Entry(
            os.path.join(place.root, path),
            (folders[-1],),
            split,
            group=youtube,
            source=f"{place.name}:{place.root}",
        )
        entries.append(entry)
    names = {str(entry.labels[0]) for entry in entries}
    if len(names - set(SPLIT_NAMES)) < 2:
        place.annotations(r"(train|val|validate)\.csv with youtube_id", "train.csv, val.csv")
    labels = _spellings(sorted(names))
    for entry in entries:
        entry.labels = (labels[key_of(str(entry.labels[0]))],)
    reading = [
        f"{place.name}: no csv file with a column youtube_id: the folders that the videos lie in"
        " are classes, sorted by name; how many videos the set has is not known"
    ]
    classes = {columns[0]: tuple(sorted(labels.values()))}
    return assemble(place, Annotated(entries, reading, classes, "val", columns=columns), wanted)
