"""This file decides what a folder holds: videos alone, split folders, class folders, lists."""

import os
from collections.abc import Sequence

from everest.entries import (
    EXAMPLE,
    LIST_EXTENSIONS,
    SPLIT_NAMES,
    VIDEO_EXTENSIONS,
    Entry,
    Listing,
    SourceError,
    Wanted,
    counted,
    listed,
    refuse_archive,
    shown,
)
from everest.folder_rows import FolderRows, Part
from everest.frame_folders import PICTURE, NotFrames, frames_of
from everest.lists import read_list
from everest.metadata import merge, metadata_of, read_metadata
from everest.walking import Below, look_below


def told_videos(below: Below) -> str:
    """`12 videos, 5 of them folders of frames`."""
    told = counted(len(below.videos), "video")
    if below.frames:
        what = "a folder of frames" if len(below.videos) == 1 else "folders of frames"
        some = "all" if len(below.frames) == len(below.videos) else f"{len(below.frames):,}"
        told += f", {what}" if len(below.videos) == 1 else f", {some} of them {what}"
    return told


def read_folder(source: str, wanted: Wanted) -> Listing:
    """A folder: split folders and class folders where labels are asked for, else all its videos."""
    root, name = os.path.abspath(source), shown(source)
    lists = _split_lists(root)
    below = look_below(root)
    # Without labels asked for, lists beside videos may be about anything.
    if lists and (wanted.labelled is not False or not below.videos):
        return _read_split_lists(source, lists, wanted)
    metadata = metadata_of(root, below) if wanted.labelled is not False else []
    if metadata:
        return read_metadata(root, metadata, below, wanted, _splits_of)
    if wanted.group is not None:
        raise SourceError(
            f"--group {shown(wanted.group)}: {name} is a folder; a group is a column of a"
            " CSV: path,label,group"
        )
    _refuse_empty(root, name, below)
    listing = Listing([], (), [f"{name}: {told_videos(below)}"])
    if below.twins:
        listing.reading.append(
            f"{name}: {counted(len(below.twins), 'folder')} of frames left out, beside the video"
            f" they are of: {listed(below.twins, 3)}"
        )
    spare = [file for file in ("labels.csv", "annotations.csv") if _is_file(root, file)]
    if spare and wanted.labelled is not False:
        told = f"{spare[0]} in it is not read; give that file itself to use it"
        listing.reading.append(f"{name}: {told}")
    folders = FolderRows(source)
    for path in below.videos:
        entry = Entry(os.path.normpath(os.path.join(root, path)), source=source)
        if path in below.frames:
            folders.fill(entry, wanted.frame_rate, Part())
        listing.entries.append(entry)
    _take_folders(name, below.videos, listing, wanted)
    listing.reading.extend(folders.told())
    return listing


def _refuse_empty(root: str, name: str, below: Below) -> None:
    if below.videos:
        return
    refuse_archive(next(iter(below.others), ""))
    others = f"{counted(len(below.others), 'file')}: {listed(below.others, 3)}"
    picture = next(filter(PICTURE.search, below.others), None)
    if picture is not None:
        others += f"; {_why_no_frames(os.path.join(root, os.path.dirname(picture)))}"
    raise SourceError(
        f"{name}: no video in this folder ({others if below.others else 'empty'}); looked for"
        f" {' '.join(sorted(VIDEO_EXTENSIONS))}, and folders of numbered pictures; {EXAMPLE}"
    )


def _why_no_frames(folder: str) -> str:
    try:
        frames_of(folder)
    except (NotFrames, OSError) as error:
        return shown(str(error))
    return "pictures among other files, or one alone, are a video only where a list names them"


def _take_folders(name: str, paths: Sequence[str], listing: Listing, wanted: Wanted) -> None:
    """Takes splits and labels from the folders that the entries, of these paths, lie in."""
    entries, reading = listing.entries, listing.reading
    inner, parts = _descend(paths)
    splits = _split_folders(parts)
    if splits:
        found = ", ".join(f"{part}/ is {split}" for part, split in sorted(splits.items()))
        reading.append(f"{name}: split folders: {found}")
    for path, entry in zip(paths, entries, strict=True):
        steps = path.split("/")[len(inner) :]
        entry.split = splits.get(steps[0])
        classed = steps[1:] if entry.split else [] if splits else steps
        if len(classed) > 1:
            entry.labels = (classed[0],)
    loose = [path for path, entry in zip(paths, entries, strict=True) if not entry.labels]
    kinds = len({entry.labels for entry in entries})
    if wanted.labelled is False or (wanted.labelled is None and (loose or kinds < 2)):
        for entry in entries:
            entry.labels = ()
        return
    _check_classes(name, loose, entries, wanted)
    if loose:
        outside = f"{counted(len(loose), 'video')} outside the class folders left out"
        reading.append(f"{name}: {outside}: {listed(loose, 3)}")
        listing.entries = [entry for entry in entries if entry.labels]
    below = f" in {shown('/'.join(inner))}/" if inner else ""
    reading.append(f"{name}: the folders{below} are classes")
    listing.columns = wanted.label or ("label",)


def _splits_of(paths: Sequence[str]) -> list[str | None]:
    """The split of each path by the split folder it lies in."""
    inner, parts = _descend(paths)
    splits = _split_folders(parts)
    return [splits.get(path.split("/")[len(inner)]) for path in paths]


def _split_folders(parts: Sequence[str]) -> dict[str, str]:
    """Folder -> split. Without a train folder all must be splits: a class may be called test."""
    splits = {part: SPLIT_NAMES[part.lower()] for part in parts if part.lower() in SPLIT_NAMES}
    return splits if len(splits) == len(parts) or "train" in splits.values() else {}


def _check_classes(
    name: str, loose: Sequence[str], entries: Sequence[Entry], wanted: Wanted
) -> None:
    if len(loose) == len(entries):
        folder = name.rstrip("/")
        raise SourceError(
            f"{name}: no class folders (its videos lie side by side, as {listed(loose, 1)}); labels"
            f" come from {folder}/CLASS/x.mp4, from {folder}/train/CLASS/x.mp4, or from a CSV with"
            " the columns path,label"
        )
    if len(wanted.label) > 1:
        raise SourceError(
            f"{name}: a folder gives one label, its class folders; --label {','.join(wanted.label)}"
            " needs a CSV with these columns"
        )


def _is_file(root: str, name: str) -> bool:
    return os.path.isfile(os.path.join(root, name))


def _descend(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Steps through folders that hold one folder only: (steps taken, folder names met there)."""
    inner: list[str] = []
    while True:
        rest = [path.split("/")[len(inner) :] for path in paths]
        parts = sorted({steps[0] for steps in rest if len(steps) > 1})
        flat = any(len(steps) == 1 for steps in rest)
        deeper = any(len(steps) > 2 for steps in rest)
        if flat or len(parts) != 1 or not deeper or parts[0].lower() in SPLIT_NAMES:
            return inner, parts
        inner.append(parts[0])


def _split_lists(root: str) -> dict[str, str]:
    """`train.csv`, `val.csv`, ... of a folder as VideoMAE and its heirs keep them."""
    found = {}
    for name in sorted(os.listdir(root)):
        stem, extension = os.path.splitext(name.lower())
        if stem in SPLIT_NAMES and extension in LIST_EXTENSIONS:
            found[name] = SPLIT_NAMES[stem]
    return found if "train" in found.values() else {}


def _read_split_lists(source: str, lists: dict[str, str], wanted: Wanted) -> Listing:
    listings = []
    for name, split in lists.items():
        listing = read_list(os.path.join(source, name), wanted)
        for entry in listing.entries:
            entry.split = entry.split or split
        listings.append(listing)
    return merge(listings, source)
