"""This file decides which class has which number, and what other labels say, over all sources of a
run."""

import math
import re
from collections.abc import Mapping, Sequence

from everest.entries import Entry, Listing, SourceError, counted, listed, shown
from everest.kinds import Kind, Label, ids_of, is_missing, kind_of

WHOLE = re.compile(r"-?\d+(\.0+)?$")
APART = {";": "';'", "|": "'|'", ",": "','"}  # between several classes of a cell; else blanks
MANY = 10  # different numbers in a column of classes, above which another kind is hinted at

Meaning = dict[str | None, Label]  # of what is written in a column


def number_classes(
    listings: Sequence[Listing], kinds: Mapping[str, Kind] | None = None
) -> tuple[list[dict[str, Label]], dict[str, tuple[str, ...]], list[str]]:
    """Numbers the classes of each label column: (labels of each entry, names by id, reading).

    Where a listing brings names in an order of its own (`Listing.classes`), they come first and in
    that order. Else names are sorted; where all are whole numbers they are sorted as numbers, so
    that 0..K-1 keep their ids. An empty label, and -1 among numbers, is missing: id -1. A column of
    kind "multi" has several classes in a cell, a column of kind "number" has no names; theirs is
    None where missing. The dictionaries are shared between entries of equal labels. Raises
    SourceError for a number that is none.
    """
    kinds = kinds or {}
    columns = tuple(dict.fromkeys(name for listing in listings for name in listing.columns))
    written: dict[str, set[str]] = {column: set() for column in columns}
    for listing in listings:
        for labels in {entry.labels for entry in listing.entries}:
            for column, label in zip(listing.columns, labels, strict=False):
                if label is not None:
                    written[column].add(label)
    classes: dict[str, tuple[str, ...]] = {}
    meanings: dict[str, Meaning] = {}
    reading = []
    for column in columns:
        kind = kind_of(kinds, column)
        if kind == "number":
            classes[column], (meanings[column], told) = (), _numbers(column, listings)
        else:
            read = _order if kind == "class" else _several
            classes[column], meanings[column], told = read(column, written[column])
        given = [name for listing in listings for name in listing.classes.get(column, ())]
        if given and kind == "class":
            classes[column], meanings[column], told = _given_order(column, given, written[column])
        reading.append(told)
    numbered = _labels(listings, meanings, {column: kind_of(kinds, column) for column in columns})
    for column in columns:
        kind = kind_of(kinds, column)
        missing = sum(is_missing(labels[column], kind) for labels in numbered)
        if missing:
            reading.append(f"'{shown(column)}': {counted(missing, 'clip')} without a label")
    return numbered, classes, reading


def _labels(
    listings: Sequence[Listing], meanings: Mapping[str, Meaning], kinds: Mapping[str, Kind]
) -> list[dict[str, Label]]:
    nothing: dict[str, Label] = {
        column: -1 if kinds[column] == "class" else None for column in kinds
    }
    shared: dict[tuple[tuple[str, ...], tuple[str | None, ...]], dict[str, Label]] = {}
    numbered = []
    for listing in listings:
        for entry in listing.entries:
            key = (listing.columns, entry.labels)
            labels_of = shared.get(key)
            if labels_of is None:
                labels_of = dict(nothing)
                for column, label in zip(listing.columns, entry.labels, strict=False):
                    labels_of[column] = meanings[column].get(label, nothing[column])
                shared[key] = labels_of
            numbered.append(labels_of)
    return numbered


def _given_order(
    column: str, given: Sequence[str], names: set[str]
) -> tuple[tuple[str, ...], Meaning, str]:
    """The order that the sources bring; names they do not know follow, sorted."""
    ordered = tuple(dict.fromkeys((*given, *sorted(names))))
    told = f"'{shown(column)}': {counted(len(ordered), 'class', 'classes')} in the set's own order"
    more = len(ordered) - len(set(given))
    if more:
        told += f", the last {more:,} of other sources"
    absent = len(ordered) - len(names)
    if absent:
        told += f", {absent:,} of them without a clip here"
    meaning: Meaning = {name: index for index, name in enumerate(ordered)}
    return ordered, meaning, f"{told}: {listed(ordered, 6)}"


def _order(column: str, names: set[str]) -> tuple[tuple[str, ...], Meaning, str]:
    if not names or not all(WHOLE.match(name) for name in names):
        ordered = tuple(sorted(names))
        told = f"'{shown(column)}': {counted(len(ordered), 'class', 'classes')}"
        told += f": {listed(ordered, 12)}" if ordered else ""
        if len(ordered) > MANY and all(map(_is_number, ordered)):
            told += f"; all are numbers: --label {shown(column)}:number learns them as such"
        return ordered, {name: index for index, name in enumerate(ordered)}, told
    # "3" and "3.0" are one class: a table program writes the latter beside an empty cell.
    numbers = {name: int(name.partition(".")[0]) for name in names}
    values = sorted({value for value in numbers.values() if value != -1})
    ids = {value: index for index, value in enumerate(values)}
    by_name: Meaning = {name: ids.get(numbers[name], -1) for name in names}
    ordered = tuple(map(str, values))
    told = f"'{shown(column)}': {counted(len(ordered), 'class', 'classes')}, numbers"
    if values and values != list(range(len(values))):
        told += (
            f" from {values[0]} to {values[-1]} renumbered 0 to {len(values) - 1} in their order"
        )
    elif values:
        told += f" 0 to {values[-1]} kept as given"
    return ordered, by_name, told


def _several(column: str, cells: set[str]) -> tuple[tuple[str, ...], Meaning, str]:
    """The same of cells with several classes; a cell of separators alone names none of them."""
    mark = next((mark for mark in APART if any(mark in cell for cell in cells)), None)
    names_of = {cell: [name.strip() for name in cell.split(mark) if name.strip()] for cell in cells}
    ordered, ids, told = _order(column, {name for names in names_of.values() for name in names})
    meaning: Meaning = {}
    for cell, names in names_of.items():
        found = {index for name in names for index in ids_of(ids[name])}
        meaning[cell] = tuple(sorted(found)) if found or not names else None
    apart = "blanks" if mark is None else APART[mark]
    return ordered, meaning, f"{told}; several a clip, separated by {apart}"


def _numbers(column: str, listings: Sequence[Listing]) -> tuple[Meaning, str]:
    meaning: Meaning = {None: None}
    for listing in listings:
        if column not in listing.columns:
            continue
        place = listing.columns.index(column)
        for entry in listing.entries:
            cell = entry.labels[place] if place < len(entry.labels) else None
            if cell not in meaning:
                meaning[cell] = _number(column, cell or "", entry)
    values = [value for value in meaning.values() if isinstance(value, float)]
    told = f"from {min(values):g} to {max(values):g}" if values else "none given"
    return meaning, f"'{shown(column)}': numbers, {told}"


def _number(column: str, cell: str, entry: Entry) -> float | None:
    if not _is_number(cell):
        raise SourceError(
            f"{entry.where()}: '{shown(cell)}' in the column '{shown(column)}'; expected a number,"
            f" or nothing where it is not known (--label {shown(column)} reads names)"
        )
    value = float(cell)
    if math.isinf(value):
        raise SourceError(
            f"{entry.where()}: '{shown(cell)}' in the column '{shown(column)}'; expected a finite"
            " number, or nothing where it is not known"
        )
    return None if math.isnan(value) else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def refuse_one_class(
    classes: Mapping[str, tuple[str, ...]], kinds: Mapping[str, Kind] | None = None
) -> None:
    """Raises SourceError where a label column has too few classes to tell them apart: two, or one
    where a clip may have several or none."""
    for column, names in classes.items():
        kind = kind_of(kinds or {}, column)
        if kind == "number" or len(names) >= (1 if kind == "multi" else 2):
            continue
        found = f"only the class '{shown(names[0])}'" if names else "no class"
        raise SourceError(
            f"label '{shown(column)}': {found} was found; at least two classes are needed: one"
            " folder per class, or a label column with two values or more"
        )


Rows = Sequence[tuple[str | None, Mapping[str, Label]]]  # (split, labels) of each


def refuse_unseen(rows: Rows, classes: Mapping[str, tuple[str, ...]]) -> None:
    """Raises SourceError with a table of the classes of val or test that train lacks.

    A source without a train part is for evaluation and passes.
    """
    for column, unseen in unseen_classes(rows, classes).items():
        names = {index: shown(classes[column][index]) for index in list(unseen)[:10]}
        width = max(5, *map(len, names.values()))
        lines = [f"  {'class':<{width}}  train    val   test"]
        for index, name in names.items():
            numbers = "  ".join(f"{number:5}" for number in unseen[index])
            lines.append(f"  {name:<{width}}  {numbers}")
        if len(unseen) > 10:
            lines.append(f"  and {len(unseen) - 10} more")
        raise SourceError(
            f"label '{shown(column)}': {counted(len(unseen), 'class', 'classes')} of val or"
            " test not in train, so never learnt; give train clips of"
            f" {'it' if len(unseen) == 1 else 'them'}, or go on with --allow-unseen\n"
            + "\n".join(lines)
        )


def tell_unseen(rows: Rows, classes: Mapping[str, tuple[str, ...]]) -> list[str]:
    """A sentence a label column about the classes of val or test that train lacks."""
    return [
        f"'{shown(column)}': {counted(len(unseen), 'class', 'classes')} of val or test without a"
        f" train clip here, so never learnt: {listed((classes[column][i] for i in unseen), 5)}"
        for column, unseen in unseen_classes(rows, classes).items()
    ]


def unseen_classes(
    rows: Rows, classes: Mapping[str, tuple[str, ...]]
) -> dict[str, dict[int, tuple[int, ...]]]:
    """Label column -> class of val or test that train lacks -> its clips in (train, val, test)."""
    if not any(split == "train" for split, _ in rows):
        return {}
    alike: dict[tuple[str | None, int], tuple[Mapping[str, Label], int]] = {}
    for split, labels in rows:
        # Equal labels are one dictionary (number_classes): its identity saves reading it.
        _, number = alike.get((split, id(labels)), (labels, 0))
        alike[split, id(labels)] = (labels, number + 1)
    found = {}
    for column, names in classes.items():
        counts = {part: [0] * len(names) for part in ("train", "val", "test")}
        for (split, _), (labels, number) in alike.items():
            if split in counts and names:  # a column of numbers has none
                for index in ids_of(labels.get(column)):
                    counts[split][index] += number
        parts = zip(*counts.values(), strict=True)
        unseen = {index: part for index, part in enumerate(parts) if not part[0] and any(part)}
        if unseen:
            found[column] = unseen
    return found
