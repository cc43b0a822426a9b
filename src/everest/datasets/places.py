"""This file decides where the videos and the annotation files of an official set lie."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from everest.entries import SourceError, counted, listed, shown
from everest.walking import look_below, walk

# Names of the folders beside the videos that hold annotation; others there are other sets.
ANNOTATION = re.compile(
    r".*(annotations?|annos?|labels?|splits?|lists?)([-_.](master|main|v\d+|recognitiontask))?",
    re.I,
)
WRITTEN = (".txt", ".csv", ".json")  # endings of annotation files
ARCHIVE = re.compile(r"\.(rar|zip|tar|tgz|gz|7z)$|20bn-something-something-v2-\d\d$", re.IGNORECASE)


class Place:
    """The folder a person gave for a set: its videos, and its annotation in it or beside it.

    Raises SourceError for what is no folder.
    """

    def __init__(self, name: str, folder: str) -> None:
        if not folder:
            raise SourceError(
                f"{name}: needs the folder of the set; for example: everest check {name}:my_{name}/"
            )
        root = os.path.abspath(os.path.expanduser(folder))
        if not os.path.isdir(root):
            raise SourceError(
                f"{name}:{shown(folder)}: no such folder; give the folder that holds the set's"
                f" videos and annotation files, as {name}:data/{name}"
            )
        self.name = name
        self.root = root
        below = look_below(root)
        self.videos = below.videos  # relative; files and folders of frames
        self.frames = below.frames  # those that are folders of frames
        self.written = [path for path in below.others if path.lower().endswith(WRITTEN)]
        self.packed = [path for path in below.others if ARCHIVE.search(path)]

    def annotations(
        self,
        pattern: str,
        needed: str | None = None,
        accepts: Callable[[str], bool] = os.path.isfile,
    ) -> list[str]:
        """Absolute paths of the files whose base name matches: those in the folder, nearest first;
        where it has none, those beside it and in folders beside it that are called as annotation is
        (annotations, labels, ..._splits), then those one step higher.

        `accepts` looks into a file of a fitting name; `needed` names them where it is an error that
        there is none: SourceError.
        """
        matches = re.compile(pattern, re.IGNORECASE).fullmatch
        for paths in self._levels():
            found = [p for p in paths if matches(os.path.basename(p)) and accepts(p)]
            if found:
                return sorted(found, key=lambda path: (path.count("/"), path))
        if needed is None:
            return []
        raise SourceError(
            f"{self.name}:{shown(self.root)}: no annotation there ({needed}), neither in the folder"
            f" nor beside it; put the official files anywhere below {shown(self.root)}"
        )

    def _levels(self) -> Iterator[Iterable[str]]:
        yield (os.path.join(self.root, path) for path in self.written)
        below = self.root
        for _ in range(2):
            below, above = os.path.dirname(below), below
            if below != above:
                yield _beside(below)

    def archives(self) -> str:
        """A remark on archives that were not unpacked, for a set without videos."""
        if not self.packed:
            return ""
        return f"; unpack {counted(len(self.packed), 'archive')} there: {listed(self.packed, 2)}"


def _beside(folder: str) -> Iterator[str]:
    """The files of a folder, and all below its folders that are called as annotation is."""
    try:
        with os.scandir(folder) as found:
            children = sorted(found, key=lambda child: child.name)
    except OSError:  # a neighbour that may not be read is no annotation of this set
        return
    for child in children:
        if not child.is_dir():
            yield child.path
        elif ANNOTATION.fullmatch(child.name):
            yield from (os.path.join(child.path, path) for path in walk(child.path))


class Videos:
    """Finds the file that an annotation means, by its name without ending and its folder.

    `classes` are folders of classes: a file in another class's folder is another file.
    """

    def __init__(self, place: Place, classes: Iterable[str] = ()) -> None:
        self.root = place.root
        self.frames = place.frames
        self.classes = frozenset(classes)
        self.by_stem: defaultdict[str, list[str]] = defaultdict(list)
        for path in place.videos:
            name = os.path.basename(path)
            self.by_stem[name if path in self.frames else os.path.splitext(name)[0]].append(path)
        self.spelt = {stem.casefold(): stem for stem in self.by_stem}
        self.used: set[str] = set()  # stems

    def find(
        self, stem: str, folder: str | None = None, rank: Callable[[str], Any] | None = None
    ) -> str | None:
        """Absolute path of the video, or None. Of several of one name the least by `rank` (of its
        relative path) is taken, files before folders of frames, .mp4 before others."""
        if stem not in self.by_stem:
            stem = self.spelt.get(stem.casefold(), stem)
        found = self.by_stem.get(stem, [])
        if folder is not None:
            inside = [path for path in found if os.path.dirname(path).split("/")[-1] == folder]
            found = inside or [path for path in found if not self._in_a_class(path)]
        if not found:
            return None
        self.used.add(stem)

        def order(path: str) -> tuple[Any, bool, bool, str]:
            is_other = not path.lower().endswith(".mp4")
            return rank(path) if rank else 0, path in self.frames, is_other, path

        return os.path.join(self.root, min(found, key=order))

    def _in_a_class(self, path: str) -> bool:
        return os.path.dirname(path).split("/")[-1] in self.classes

    def unused(self) -> list[str]:
        """Relative paths of the videos that nothing asked for."""
        return [
            path for stem, paths in self.by_stem.items() if stem not in self.used for path in paths
        ]
