"""This file decides how a list of single frames (SlowFast, pytorchvideo) becomes videos.

Its header is `original_vido_id video_id frame_id path labels`, the spelling theirs; each line is a
frame, and the frames of a video follow one another (DATASETS.md 3).
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from everest.entries import MISSING, Entry, Listing, SourceError, Wanted, counted, shown
from everest.folder_rows import FolderRows, Part, first_rows
from everest.frame_folders import NotFrames, frames_of
from everest.locating import Locator

IDS = ("original_vido_id", "original_video_id")
SAMPLE = 100  # rows that decide where the files lie


@dataclass
class Video:
    """The lines of one video."""

    line: int  # of its first frame
    first: str  # its path, as written
    folder: str  # that of all its frames, as written
    frames: int = 0
    labels: dict[str, None] = field(default_factory=dict)  # in the order of the lines


def is_frame_list(header: Sequence[str]) -> bool:
    """Whether a header is that of a list of frames."""
    return header[0] in IDS and {"frame_id", "path"} <= set(header)


def read_frame_list(
    source: str, header: Sequence[str], rows: Iterable[tuple[int, list[str]]], wanted: Wanted
) -> Listing:
    """The videos of a list of frames; raises SourceError where one is spread over folders."""
    name = shown(source)
    if wanted.group is not None or len(wanted.label) > 1:
        raise SourceError(
            f"{name}: is a list of frames, which has no groups and one column of labels; write a"
            " CSV path,label,group of its folders"
        )
    rows = iter(rows)
    first = list(islice(rows, SAMPLE))
    path = header.index("path")
    locator = Locator(source, [row[path] for _, row in first if len(row) > path])
    videos = _videos(name, header, chain(first, rows))
    several = any(len(video.labels) > 1 for video in videos)
    labelled = any(video.labels for video in videos) and wanted.labelled is not False
    if wanted.labelled and not labelled:
        raise SourceError(f"{name}: its frames have no labels; labels come from a CSV path,label")
    if several and labelled and wanted.labelled and not wanted.several:
        column = wanted.label[0] if wanted.label else "label"
        raise SourceError(
            f"{name}: its videos have several labels; --label {shown(column)}:multi learns them"
        )
    folders = FolderRows(source)
    entries = [_entry(source, video, locator, folders, wanted) for video in videos]
    for entry, video in zip(entries, videos, strict=True):
        entry.labels = (" ".join(video.labels) or None,) if labelled else ()
    frames = counted(sum(video.frames for video in videos), "frame")
    told = [f"{name}: a list of {frames} of {counted(len(videos), 'video')}"]
    if several and labelled and not wanted.several:
        told.append(f"{name}: several labels a video; --label label:multi learns them")
    columns = (wanted.label[:1] or ("label",)) if labelled else ()
    return Listing(entries, columns, told + folders.told() + first_rows(entries))


def _videos(name: str, header: Sequence[str], rows: Iterable[tuple[int, list[str]]]) -> list[Video]:
    videos: dict[str, Video] = {}
    path = header.index("path")
    labels = header.index("labels") if "labels" in header else None
    for line, row in rows:
        if len(row) < path + 1:
            raise SourceError(
                f"{name}: line {line} has {len(row)} fields, the header {len(header)}"
            )
        folder = os.path.dirname(row[path])
        video = videos.get(row[0])
        if video is None:
            video = videos[row[0]] = Video(line, row[path], folder)
        elif video.folder != folder:
            raise SourceError(
                f"{name}: line {line} has a frame of '{shown(row[0])}' in {shown(folder)}, line"
                f" {video.line} one in {shown(video.folder)}; the frames of a video lie in one"
                " folder"
            )
        video.frames += 1
        if labels is not None and labels < len(row):
            told = (label.strip() for label in row[labels].strip('"').split(","))
            video.labels.update(dict.fromkeys(label for label in told if label))
    if not videos:
        raise SourceError(f"{name}: has a header and no row below it")
    return list(videos.values())


def _entry(
    source: str, video: Video, locator: Locator, folders: FolderRows, wanted: Wanted
) -> Entry:
    found = locator.find(video.first)
    written = video.first if found is None else found
    entry = Entry(os.path.dirname(locator.absolute(written)), line=video.line, source=source)
    if found is None:
        entry.bad = MISSING
        return entry
    try:
        frames = frames_of(entry.path)
        begin = frames.names.index(os.path.basename(found))
    except (NotFrames, ValueError, OSError):  # `fill` says what is wrong with the folder
        begin = 0
    folders.fill(entry, wanted.frame_rate, Part(begin, video.frames))
    return entry
