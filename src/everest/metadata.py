"""This file decides which labels lie beside a folder's videos, as Hugging Face keeps them.

`metadata.csv`, `.jsonl` or `.parquet` with a column `file_name` (or `..._file_name`), in the folder
of the videos or in each of its split folders (DATASETS.md 7).
"""

import os
from collections.abc import Callable, Sequence

from everest.entries import Listing, SourceError, Wanted, counted, listed, shown
from everest.lists import read_list
from everest.parquet_lists import column_names
from everest.walking import Below

NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")  # the first of a folder is read


def metadata_of(root: str, below: Below) -> list[str]:
    """Relative paths of the metadata files below a folder, one a folder at most."""
    found: dict[str, str] = {}
    for name in NAMES:
        for path in below.others:
            folder, base = os.path.split(path)
            if base == name and folder not in found and _names_files(os.path.join(root, path)):
                found[folder] = path
    return sorted(found.values())


def _names_files(path: str) -> bool:
    if path.endswith(".parquet"):
        return any("file_name" in name for name in column_names(path))
    try:
        with open(path, "rb") as file:
            return b"file_name" in file.readline()
    except OSError as error:
        raise SourceError(f"{shown(path)}: cannot be read: {error.strerror}") from error


def read_metadata(
    root: str,
    files: Sequence[str],
    below: Below,
    wanted: Wanted,
    splits_of: Callable[[Sequence[str]], list[str | None]],
) -> Listing:
    """The clips that metadata files name. Where they have no column `split`, the split folder a
    video lies in is its split. Raises SourceError as `read_list` does."""
    merged = merge([read_list(os.path.join(root, file), wanted) for file in files], root)
    inside = [os.path.relpath(entry.path, root) for entry in merged.entries]
    for entry, split in zip(merged.entries, splits_of(inside), strict=True):
        entry.split = entry.split or split
    named = {entry.path for entry in merged.entries}
    left = [
        path for path in below.videos if os.path.normpath(os.path.join(root, path)) not in named
    ]
    if left:
        videos = counted(len(left), "video that", "videos that")
        merged.reading.append(
            f"{shown(root)}: {videos} {os.path.basename(files[0])} does not name left out:"
            f" {listed(left, 3)}"
        )
    return merged


def merge(listings: Sequence[Listing], source: str) -> Listing:
    """Several lists as one; raises SourceError where their label columns differ."""
    merged = Listing([], (), [])
    for listing in listings:
        if merged.columns and listing.columns and merged.columns != listing.columns:
            name = listing.entries[0].source if listing.entries else "a list"
            raise SourceError(
                f"{shown(source)}: {shown(os.path.basename(name))} has the label columns"
                f" {listed(listing.columns)}, the lists before it {listed(merged.columns)}; name"
                " them with --label"
            )
        merged.columns = merged.columns or listing.columns
        merged.entries.extend(listing.entries)
        merged.reading.extend(listing.reading)
    return merged
