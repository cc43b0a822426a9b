"""This file decides what lies below a folder: files, and which of them, or folders, are videos."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from everest.entries import SourceError, is_video_name, shown
from everest.frame_folders import is_video_folder


@dataclass(frozen=True)
class Below:
    """What lies below a folder, as relative paths, sorted."""

    videos: list[str]  # files and folders of frames; "" is the folder itself
    frames: frozenset[str]  # those of them that are folders of frames
    others: list[str]  # files that are neither
    twins: list[str]  # folders of frames beside the video they were taken from, left out


def visit(root: str) -> Iterator[tuple[str, list[str]]]:
    """(folder, names of its files) of each folder, relative, hidden ones left out; a folder is
    entered once. Raises SourceError where `root` cannot be listed."""
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
        folders, names = [], []
        for child in children:
            if child.name.startswith(".") or child.name == "__MACOSX":
                continue
            # A link to itself is an error to DirEntry.is_dir, and no folder to os.path.isdir.
            if os.path.isdir(child.path) if child.is_symlink() else child.is_dir():
                folders.append(os.path.join(relative, child.name))
            else:
                names.append(child.name)
        yield relative, names
        waiting.extend(reversed(folders))


def walk(root: str) -> Iterator[str]:
    """Every file below a folder, relative, hidden ones left out; a folder is entered once."""
    for folder, names in visit(root):
        yield from (os.path.join(folder, name) for name in names)


def look_below(root: str, wanted: Callable[[str], object] = lambda path: True) -> Below:
    """The videos below a folder among those paths that are wanted."""
    files: list[str] = []
    others: list[str] = []
    frames: list[str] = []
    for folder, names in visit(root):
        if is_video_folder(names) and wanted(folder):
            frames.append(folder)
            continue
        for name in names:
            path = os.path.join(folder, name)
            if wanted(path):
                (files if is_video_name(name) else others).append(path)
    # Pictures above videos are there for people, and are no video themselves.
    holders = {holder for path in (*files, *frames) for holder in _above(path)}
    stems = {tail for path in files for tail in _tails(os.path.splitext(path)[0])}
    alone = [path for path in frames if path not in holders]
    twins = [path for path in alone if any(tail in stems for tail in _tails(path))]
    kept = frozenset(alone) - frozenset(twins)
    return Below(sorted([*files, *kept]), kept, others, twins)


def _above(path: str) -> Iterator[str]:
    """The folders that a path lies in, the outermost, "", last."""
    while path:
        path = os.path.dirname(path)
        yield path


def _tails(path: str) -> tuple[str, ...]:
    """A path, and without its outermost folder: `videos/a/b` and `frames/a/b` both end in `a/b`."""
    _, slash, rest = path.partition("/")
    return (path, "/" + rest) if slash else (path,)
