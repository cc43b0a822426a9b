"""This file decides what a folder holds: videos alone, split folders, class folders, lists."""

import os
from collections.abc import Iterator, Sequence

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
    is_video_name,
    listed,
    shown,
)
from everest.lists import read_list


def walk(root: str) -> Iterator[str]:
    """Every file below a folder, relative, hidden ones left out; a folder is entered once."""
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        relative = waiting.pop()
        folder = os.path.join(root, relative)
        try:
            status = os.stat(folder)
            with os.scandir(folder) as found:
                children = sorted(found, key=lambda child: child.name)
        except OSError as error:
            if relative:
                continue
            raise SourceError(f"{shown(root)}: cannot be listed: {error.strerror}") from error
        # Links may lead back up: a folder is known by its device and number, not by its path.
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        folders = []
        for child in children:
            if child.name.startswith(".") or child.name == "__MACOSX":
                continue
            path = os.path.join(relative, child.name)
            # A link to itself is an error to DirEntry.is_dir, and no folder to os.path.isdir.
            if os.path.isdir(child.path) if child.is_symlink() else child.is_dir():
                folders.append(path)
            else:
                yield path
        waiting.extend(reversed(folders))


def videos_below(root: str) -> list[str]:
    """Sorted relative paths of the videos below a folder; SourceError where there is none."""
    others: list[str] = []
    videos: list[str] = []
    for path in walk(root):
        (videos if is_video_name(path) else others).append(path)
    if not videos:
        inside = f"{counted(len(others), 'file')}: {listed(others, 3)}" if others else "empty"
        raise SourceError(
            f"{shown(root)}: no video in this folder ({inside}); looked for"
            f" {' '.join(sorted(VIDEO_EXTENSIONS))}; {EXAMPLE}"
        )
    return sorted(videos)


def read_folder(source: str, wanted: Wanted) -> Listing:
    """A folder: split folders and class folders where labels are asked for, else all its videos."""
    root = os.path.abspath(source)
    lists = _split_lists(root)
    # Without labels asked for, lists beside videos may be about anything.
    if lists and (wanted.labelled is not False or not any(map(is_video_name, walk(root)))):
        return _read_split_lists(source, lists, wanted)
    metadata = _metadata(root)
    if metadata and wanted.labelled is not False:
        return read_list(metadata, wanted)
    if wanted.group is not None:
        raise SourceError(
            f"--group {shown(wanted.group)}: {shown(source)} is a folder; a group is a column of a"
            " CSV: path,label,group"
        )
    paths = videos_below(root)
    name = shown(source)
    reading = [f"{name}: {counted(len(paths), 'video')}"]
    spare = [file for file in ("labels.csv", "annotations.csv") if _is_file(root, file)]
    if spare and wanted.labelled is not False:
        reading.append(f"{name}: {spare[0]} in it is not read; give that file itself to use it")
    inner, parts = _descend(paths)
    splits = _split_folders(parts)
    if splits:
        found = ", ".join(f"{part}/ is {split}" for part, split in sorted(splits.items()))
        reading.append(f"{name}: split folders: {found}")
    entries = []
    for path in paths:
        steps = path.split("/")[len(inner) :]
        entry = Entry(os.path.join(root, path), split=splits.get(steps[0]), source=source)
        classed = steps[1:] if entry.split else [] if splits else steps
        if len(classed) > 1:
            entry.labels = (classed[0],)
        entries.append(entry)
    listing = Listing(entries, (), reading)
    loose = [path for path, entry in zip(paths, entries, strict=True) if not entry.labels]
    kinds = len({entry.labels for entry in entries})
    if wanted.labelled is False or (wanted.labelled is None and (loose or kinds < 2)):
        for entry in entries:
            entry.labels = ()
        return listing
    _check_classes(name, loose, entries, wanted)
    if loose:
        outside = f"{counted(len(loose), 'video')} outside the class folders left out"
        reading.append(f"{name}: {outside}: {listed(loose, 3)}")
        listing.entries = [entry for entry in entries if entry.labels]
    below = f" in {shown('/'.join(inner))}/" if inner else ""
    reading.append(f"{name}: the folders{below} are classes")
    listing.columns = wanted.label or ("label",)
    return listing


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


def _metadata(root: str) -> str | None:
    """The `metadata.csv` or `.jsonl` that Hugging Face keeps beside a folder's videos."""
    for name in ("metadata.csv", "metadata.jsonl"):
        path = os.path.join(root, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                if b"file_name" in file.readline():
                    return path
    return None


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
    merged = Listing([], (), [])
    for name, split in lists.items():
        listing = read_list(os.path.join(source, name), wanted)
        for entry in listing.entries:
            entry.split = entry.split or split
        if merged.columns and listing.columns and merged.columns != listing.columns:
            raise SourceError(
                f"{shown(source)}: {shown(name)} has the label columns {listed(listing.columns)},"
                f" the lists before it {listed(merged.columns)}; name them with --label"
            )
        merged.columns = merged.columns or listing.columns
        merged.entries.extend(listing.entries)
        merged.reading.extend(listing.reading)
    return merged
