"""This file decides how HMDB51 is read: <class>_test_split{1,2,3}.txt, 153 files.

Source: DATASETS.md 2. A line is a file name and a code: 1 train, 2 test, 0 neither; it ends in a
blank. Names hold brackets, #, &, ; and more: they are compared as they are, never as patterns.
"""

import os
import re
from collections import Counter, defaultdict

from everest.datasets.annotations import lines_of, misread
from everest.datasets.assembling import Annotated, assemble, label_columns, refuse_group
from everest.datasets.places import Place, Videos
from everest.entries import MISSING, Entry, Listing, Wanted, counted, shown

NAME = "hmdb51"
FOLDS = 3
CLASSES = 51
PARTS = {"1": "train", "2": "test", "0": None}
LINE = re.compile(r"(.+?)\s+([012])")
SPLIT_FILE = re.compile(r"(.+)_test_split(\d)\.txt", re.IGNORECASE)


def read_hmdb51(folder: str, wanted: Wanted) -> Listing:
    """One of the three splits; clips that it uses in neither part are left out and counted."""
    columns = label_columns(NAME, wanted)
    refuse_group(NAME, wanted, None)
    place = Place(NAME, folder)
    fold = wanted.fold or 1
    files = _split_files(place, fold)
    # Sorted by name, not by file: kick comes before kick_ball, sword before sword_exercise.
    order = tuple(sorted(files))
    videos = Videos(place, order)
    entries = []
    codes: Counter[str] = Counter()
    for name in order:
        for line, text in lines_of(files[name]):
            match = LINE.fullmatch(text)
            if match is None:
                raise misread(files[name], line, text, "a file and a code of 0 to 2: x.avi 1")
            file, code = match[1], match[2]
            codes[code] += 1
            video = videos.find(os.path.splitext(file)[0], name)
            if PARTS[code] is not None:
                entries.append(
                    Entry(
                        video or f"{name}/{file}",
                        (name,),
                        PARTS[code],
                        line=line,
                        source=files[name],
                        bad=None if video else MISSING,
                    )
                )
    chosen = "" if wanted.fold else "; --fold 2 or 3 takes another"
    reading = [
        f"{NAME}: split {fold} of {FOLDS}, by {counted(len(files), 'file')} *_test_split{fold}.txt"
        f" in {shown(os.path.dirname(files[order[0]]))}{chosen}",
        f"{NAME}: classes sorted by name (the set itself has no ids)",
    ]
    if codes["0"]:
        reading.append(
            f"{NAME}: {counted(codes['0'], 'clip')} with code 0, in neither part of this split,"
            " left out"
        )
    if len(order) != CLASSES:
        reading.append(
            f"{NAME}: {counted(len(order), 'class', 'classes')} have split files here, the whole"
            f" set has {CLASSES}: ids differ from those of the whole set"
        )
    found = Annotated(
        entries,
        reading,
        {columns[0]: order},
        "test",
        columns=columns,
        unused=videos.unused(),
    )
    return assemble(place, found, wanted)


def _split_files(place: Place, fold: int) -> dict[str, str]:
    """Class -> its file of the split, of the folder that has most of them."""
    needed = f"CLASS_test_split{fold}.txt, of test_train_splits.rar"
    paths = place.annotations(rf".+_test_split{fold}\.txt", needed)
    folders: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for path in paths:
        match = SPLIT_FILE.fullmatch(os.path.basename(path))
        if match:
            folders[os.path.dirname(path)][match[1]] = path
    return max(folders.values(), key=len)
