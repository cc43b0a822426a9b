"""This file decides where a file lies that a list names: as given, beside the list, or moved."""

import os
import unicodedata
from collections.abc import Sequence

from everest.entries import is_video_name

USUAL = ("videos", "rawframes", "frames")  # folders that lists leave out
NEIGHBOURS = 200  # of a list, looked into where nothing is found elsewhere
MANY = 20_000  # folders; a list that names more is asked file by file, its folders are small


class Locator:
    """Finds the files of one list; folders are listed once, since a million questions are slow.

    The first rows decide below which folder the list's relative paths lie: the working folder, that
    of the list, the one above it, `videos`, `rawframes` or `frames` in these, or the one folder
    beside the list that has most files. So a file of the same name elsewhere does not win for
    single rows; what is not found there is looked for in the others. Absolute paths of another
    machine are found where their ends lie beside the list.
    """

    def __init__(self, list_path: str, sample: Sequence[str]) -> None:
        here = os.path.dirname(os.path.abspath(list_path))
        above = os.path.dirname(here)
        inner = [os.path.join(base, name) for name in USUAL for base in (here, above)]
        self.bases = list(dict.fromkeys([os.getcwd(), here, above, *inner]))
        self.listings: dict[str, frozenset[str]] = {}
        self.folders: set[str] = set()  # those that are called like a video, such as a.mp4/
        self.stems: dict[str, dict[str, str]] = {}
        self.places: dict[str, list[tuple[str, frozenset[str]]]] = {}
        self.moved = ("", "")  # an old start of absolute paths, and what stands there now
        hits = [sum(self._below(base, name) is not None for name in sample) for base in self.bases]
        best = hits.index(max(hits)) if any(hits) else self.bases.index(here)
        self.bases.insert(0, self.bases.pop(best))
        if not any(hits):
            self._step_into(here, sample)
            moves = (self._move(path, (here, above)) for path in sample if os.path.isabs(path))
            self.moved = next((move for move in moves if move[0]), self.moved)

    def find(self, written: str) -> str | None:
        """Absolute path of the file or folder a row means, or None where there is none."""
        head, _, name = written.rpartition("/")
        places = self.places.get(head)
        if places is None:
            if len(self.places) > MANY:
                return self._below(self.bases[0], written)
            places = self.places[head] = self._places(head, written.startswith("/"))
        for folder, names in places:
            if name in names:
                return folder + name
        return self._search(written, bool(places))

    def is_folder(self, path: str) -> bool:
        """Whether what `find` gave is a folder."""
        if is_video_name(path):  # the listing told: a million questions are slow
            return path in self.folders
        return os.path.isdir(path)

    def absolute(self, written: str) -> str:
        """The path a row would have if the file were there."""
        return os.path.normpath(os.path.join(self.bases[0], written))

    def _places(self, head: str, rooted: bool) -> list[tuple[str, frozenset[str]]]:
        """(folder with its slash, names in it) of each folder that `head` can mean."""
        if rooted:
            head += "/"
        old, new = self.moved
        heads = [head, new + (head + "/")[len(old) :]] if old and head.startswith(old) else [head]
        folders = [os.path.join(base, each) for each in heads for base in self.bases]
        normal = dict.fromkeys(os.path.normpath(folder) for folder in folders)
        listed = ((folder, self._listing(folder)) for folder in normal)
        return [(folder.rstrip("/") + "/", names) for folder, names in listed if names]

    def _search(self, written: str, folder_exists: bool) -> str | None:
        """The slower ways: another form of the name, an extension that is not written."""
        plain = written.isascii() and "\\" not in written and written == written.strip()
        if plain and (not folder_exists or is_video_name(written)):
            return None
        for form in dict.fromkeys(
            (
                written,
                written.strip(),
                written.replace("\\", "/"),
                unicodedata.normalize("NFC", written),
                unicodedata.normalize("NFD", written),
            )
        ):
            for base in self.bases:
                found = self._below(base, self._now(form))
                if form and found is not None:
                    return found
        return None

    def _now(self, written: str) -> str:
        old, new = self.moved
        return new + written[len(old) :] if old and written.startswith(old) else written

    def _below(self, base: str, written: str) -> str | None:
        path = os.path.normpath(os.path.join(base, written))
        folder, name = os.path.split(path)
        if len(self.listings) > MANY and folder not in self.listings:
            return path if os.path.lexists(path) else None
        if name in self._listing(folder):
            return path
        if is_video_name(name):
            return None
        full = self._stems(folder).get(name)
        return None if full is None else os.path.join(folder, full)

    def _listing(self, folder: str) -> frozenset[str]:
        names = self.listings.get(folder)
        if names is None:
            found = []
            try:
                with os.scandir(folder) as children:
                    for child in children:
                        found.append(child.name)
                        if is_video_name(child.name) and child.is_dir():
                            self.folders.add(os.path.join(folder, child.name))
            except (OSError, ValueError):
                pass
            names = frozenset(found)
            self.listings[folder] = names
        return names

    def _stems(self, folder: str) -> dict[str, str]:
        if folder not in self.stems:
            videos = sorted(filter(is_video_name, self._listing(folder)))
            # The last one stays: .mp4 wins where files differ in the extension only.
            videos.sort(key=lambda video: video.lower().endswith(".mp4"))
            self.stems[folder] = {os.path.splitext(video)[0]: video for video in videos}
        return self.stems[folder]

    def _step_into(self, here: str, sample: Sequence[str]) -> None:
        """The list may name files below a folder beside it whose name it leaves out."""
        inner = [
            path
            for name in sorted(self._listing(here))[:NEIGHBOURS]
            if name[0] != "." and os.path.isdir(path := os.path.join(here, name))
        ]
        hits = [sum(self._below(base, name) is not None for name in sample) for base in inner]
        if max(hits, default=0) > len(sample) / 2:
            self.bases.insert(0, inner[hits.index(max(hits))])

    def _move(self, written: str, bases: Sequence[str]) -> tuple[str, str]:
        """An absolute path of another machine: the longest end of it that exists here."""
        parts = written.split("/")
        for cut in range(1, len(parts)):
            for base in bases:
                if self._below(base, "/".join(parts[cut:])) is not None:
                    return "/".join(parts[:cut]) + "/", base + "/"
        return "", ""
