"""This file decides what a source is - folder, list, pattern or file - and who reads it."""

import os
import re
import stat
from collections.abc import Sequence

from everest.datasets import SETS, check_fold
from everest.entries import (
    EXAMPLE,
    LIST_EXTENSIONS,
    Listing,
    SourceError,
    Wanted,
    counted,
    is_video_name,
    listed,
    nearest,
    refuse_archive,
    shown,
)
from everest.folder_rows import FolderRows
from everest.folders import read_folder, told_videos
from everest.lists import looks_like_text, read_list
from everest.walking import look_below

READERS = dict(SETS)  # `prefix:DIR` of the official sets


def read_sources(sources: Sequence[str], wanted: Wanted) -> list[Listing]:
    """Reads each source; files given one by one (a shell's glob) count as one source.

    Raises SourceError for a path that is missing, holds no video or cannot be understood.
    """
    if isinstance(sources, str):
        sources = [sources]
    if not sources:
        raise SourceError(f"no source of videos was given; {EXAMPLE}")
    listings = []
    files = []
    for source in map(os.path.expanduser, sources):
        kind = kind_of(source)
        check_fold(source, source.partition(":")[0] if kind == "set" else None, wanted.fold)
        if kind == "video":
            files.append(os.path.abspath(source))
        elif kind == "set":
            prefix, _, folder = source.partition(":")
            listings.append(READERS[prefix](folder, wanted))
        elif kind == "folder":
            listings.append(read_folder(source, wanted))
        elif kind == "list":
            listings.append(read_list(source, wanted))
        else:
            listings.append(read_glob(source, wanted))
    if files:
        told = counted(len(files), "video given", "videos given")
        listings.append(_given(files, "files given", told, wanted))
    return listings


def kind_of(source: str) -> str:
    """`video`, `list`, `folder`, `glob` or `set`; SourceError for what is none of them."""
    if "\0" in source:
        raise SourceError(f"{shown(source)!r}: a path cannot hold a NUL character; {EXAMPLE}")
    if os.path.isdir(source):
        return "folder"
    refuse_archive(source)
    if os.path.exists(source):
        if not stat.S_ISREG(os.stat(source).st_mode):
            raise SourceError(f"{shown(source)}: neither a regular file nor a folder; {EXAMPLE}")
        if is_video_name(source):
            return "video"
        is_list = os.path.splitext(source)[1].lower() in LIST_EXTENSIONS
        return "list" if is_list or looks_like_text(source) else "video"
    prefix = re.match(r"([A-Za-z][A-Za-z0-9-]+):(?!//)", source)
    if prefix and prefix[1] in READERS:
        return "set"
    if re.match(r"[A-Za-z][A-Za-z0-9]+://", source):
        raise SourceError(f"{shown(source)}: an address is not read; download the videos first")
    if prefix:
        known = listed((f"{name}:" for name in sorted(READERS)), len(READERS))
        raise SourceError(
            f"{shown(source)}: '{prefix[1]}:' is not a known data set (known: {known}"
            f"{nearest(prefix[1], READERS)}) and there is no such file; {EXAMPLE}"
        )
    if any(letter in source for letter in "*?["):
        return "glob"
    raise SourceError(f"{shown(source)}: no such file or folder{_looked(source)}; {EXAMPLE}")


def _looked(source: str) -> str:
    """How far the path of a missing source goes, so that a slip shows."""
    parent = os.path.abspath(source)
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    names = sorted(name for name in os.listdir(parent) if not name.startswith("."))
    missing = os.path.relpath(os.path.abspath(source), parent).split("/")[0]
    guess = nearest(missing, names)
    return f" in {shown(parent)}, which holds {listed(names, 5) or 'nothing'}{guess}"


def read_glob(pattern: str, wanted: Wanted) -> Listing:
    """A pattern with `*`, `?`, `[...]` and `**`; a folder it meets counts with all below it."""
    steps = pattern.split("/")
    fixed = next(i for i, step in enumerate(steps) if any(letter in step for letter in "*?["))
    root = "/".join(steps[:fixed]) or ("/" if pattern.startswith("/") else ".")
    if not os.path.isdir(root):
        raise SourceError(f"{shown(pattern)}: no folder {shown(root)}{_looked(root)}; {EXAMPLE}")
    matches = re.compile(_expression(steps[fixed:])).match
    below = look_below(root, matches)
    files = [os.path.abspath(os.path.join(root, path)) for path in below.videos]
    if not files:
        met = len(below.others)
        inside = f" among the {counted(met, 'file')} it matches" if met else ""
        raise SourceError(f"{shown(pattern)}: no video matches{inside}; {EXAMPLE}")
    name = shown(pattern)
    return _given(sorted(files), name, f"{name}: {told_videos(below)}", wanted)


def _expression(steps: Sequence[str]) -> str:
    parts = []
    for step in steps:
        if step == "**":
            parts.append(r"(?:[^/]+/)*")
            continue
        text = re.sub(r"\\\[(!?)([^\]]*?)\\?\]", _choice, re.escape(step))
        parts.append(text.replace(r"\*", "[^/]*").replace(r"\?", "[^/]") + "/")
    expression = "".join(parts)
    if expression.endswith("/"):
        expression = expression[:-1]
    return f"(?s:{expression})(?:/.*)?$" if steps[-1] != "**" else f"(?s:{expression}).*$"


def _choice(match: re.Match[str]) -> str:
    return f"[{'^' if match[1] else ''}{match[2].replace(chr(92) + '-', '-')}]"


def _given(files: Sequence[str], name: str, told: str, wanted: Wanted) -> Listing:
    """Files given one by one; with labels asked for, the folder of a file is its class."""
    if wanted.group is not None:
        raise SourceError(
            f"--group {shown(wanted.group)}: {name} has no columns; a group is a column of a CSV:"
            " path,label,group"
        )
    folders = FolderRows(name)
    entries = [folders.entry(path, wanted.frame_rate) for path in files]
    reading = [told, *folders.told()]
    if not wanted.labelled:
        return Listing(entries, (), reading)
    for entry in entries:
        entry.labels = (os.path.basename(os.path.dirname(entry.path)),)
    reading.append(f"{name}: the folder a file lies in is its class")
    return Listing(entries, wanted.label[:1] or ("label",), reading)
