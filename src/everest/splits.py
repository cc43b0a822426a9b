"""This file decides which clips train and which validate, where the source does not say."""

import os
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from hashlib import blake2b

from everest.entries import Entry, SourceError, shown

Unit = list[Entry]  # what must stay on one side: a group, or a file with all its spans


def assign_splits(
    entries: Sequence[Entry],
    share: float,
    seed: int,
    strata: Mapping[int, Hashable] | None = None,
) -> None:
    """Sets `split` to train or val: `share` of each class to train, groups whole.

    `strata` say what is divided evenly, by the identity of an entry; all its labels where not
    given (numbers, which are all different, cannot be).

    The draw hashes the seed and the group, or the path below the folder that all share: it depends
    neither on the order of the entries nor on where that folder lies. A class with at least two
    units is on both sides wherever the groups allow it; a class with one is in train. Raises
    SourceError for a share that is none, and where there is nothing to put on the second side.
    """
    if not 0 < share < 1:
        raise SourceError(
            f"--split {share:g}: expected the share of the clips for training, above 0 and below 1,"
            " as 0.8"
        )
    units = _units(entries, seed)
    if len(units) < 2:
        what = "group" if entries[0].group is not None else "file"
        raise SourceError(
            f"--split {share:g}: needs at least two {what}s, one a side; there is {len(units)}"
        )
    trains = _deal(units, share, strata)
    if all(trains):
        raise SourceError(
            f"--split {share:g}: each clip or group is the only one of a class, so none is left for"
            " validation; give more clips, or a source with its own split"
        )
    for unit, train in zip(units, trains, strict=True):
        for entry in unit:
            entry.split = "train" if train else "val"


def _units(entries: Sequence[Entry], seed: int) -> list[Unit]:
    """The units in the order of the draw."""
    paths = [entry.path for entry in entries]
    # What the least and the greatest share, all share.
    folders = [os.path.dirname(path) for path in (min(paths), max(paths))]
    start = len(os.path.commonpath(folders))
    units: defaultdict[str, Unit] = defaultdict(list)
    for entry in entries:
        # A group may have the letters of a path: the first letter keeps them apart.
        name = "path " + entry.path[start:] if entry.group is None else "group " + entry.group
        units[name].append(entry)
    salt = f"{seed} ".encode()

    def draw(name: str) -> bytes:
        return blake2b(salt + name.encode(errors="surrogateescape"), digest_size=16).digest()

    return [units[name] for name in sorted(units, key=draw)]


def _deal(units: Sequence[Unit], share: float, strata: Mapping[int, Hashable] | None) -> list[bool]:
    """Whether each unit trains: dealt class by class, the rarest first, large units first."""

    def stratum(entry: Entry) -> Hashable:
        return entry.labels if strata is None else strata[id(entry)]

    alone: dict[Hashable, dict[Hashable, int]] = {
        labels: {labels: 1} for labels in {stratum(unit[0]) for unit in units}
    }
    counts: list[dict[Hashable, int]] = [
        alone[stratum(unit[0])] if len(unit) == 1 else Counter(map(stratum, unit)) for unit in units
    ]
    clips: Counter[Hashable] = Counter()
    holders: defaultdict[Hashable, list[int]] = defaultdict(list)
    for index, count in enumerate(counts):
        for label, number in count.items():
            clips[label] += number
            holders[label].append(index)
    trains: list[bool | None] = [None] * len(units)
    sides: dict[bool, Counter[Hashable]] = {True: Counter(), False: Counter()}

    def put(index: int, train: bool) -> None:
        if trains[index] is not None:
            for label, number in counts[index].items():
                sides[not train][label] -= number
        trains[index] = train
        for label, number in counts[index].items():
            sides[train][label] += number

    for label in sorted(clips, key=lambda label: (len(holders[label]), repr(label))):
        wanted = share * clips[label]
        # Small units fill the gaps that large ones leave. The sort is stable: the draw stays.
        for index in sorted(holders[label], key=lambda index: -counts[index][label]):
            if trains[index] is None:
                have = sides[True][label]
                put(index, abs(have + counts[index][label] - wanted) <= abs(have - wanted))
    for label, owners in holders.items():
        for train in (True, False):
            if sides[train][label]:
                continue
            movable = [
                index
                for index in owners
                if all(sides[not train][other] > n for other, n in counts[index].items())
            ]
            if movable:
                put(min(movable, key=lambda index: counts[index][label]), train)
            elif train:
                put(owners[0], True)
    return [train is True for train in trains]


def refuse_torn(entries: Sequence[Entry]) -> None:
    """Raises SourceError where one file is in train and in val or test."""
    trained = {entry.path for entry in entries if entry.split == "train"}
    held = (entry for entry in entries if entry.split in ("val", "test"))
    torn = next((entry for entry in held if entry.path in trained), None)
    if torn is not None:
        first = next(e for e in entries if e.path == torn.path and e.split == "train")
        raise SourceError(
            f"{torn.where()}: {shown(torn.path)} is in {torn.split}, and in train by"
            f" {first.where()}; a file may be on one side only, or the figures mean nothing"
        )
