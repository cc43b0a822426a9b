"""This file decides which class has which number, over all sources of a run."""

import re
from collections.abc import Sequence

from everest.entries import Listing, SourceError, counted, listed, shown

WHOLE = re.compile(r"-?\d+(\.0+)?$")


def number_classes(
    listings: Sequence[Listing],
) -> tuple[list[dict[str, int]], dict[str, tuple[str, ...]], list[str]]:
    """Numbers the classes of each label column: (labels of each entry, names by id, reading).

    Names are sorted; where all are whole numbers they are sorted as numbers, so that 0..K-1 keep
    their ids. An empty label, and -1 among numbers, is missing: id -1. The dictionaries are shared
    between entries of equal labels.
    """
    columns = tuple(dict.fromkeys(name for listing in listings for name in listing.columns))
    written: dict[str, set[str]] = {column: set() for column in columns}
    for listing in listings:
        kinds = {entry.labels for entry in listing.entries}
        for labels in kinds:
            for column, label in zip(listing.columns, labels, strict=False):
                if label is not None:
                    written[column].add(label)
    classes = {}
    ids: dict[str, dict[str | None, int]] = {}
    reading = []
    for column in columns:
        classes[column], ids[column], told = _order(column, written[column])
        reading.extend(told)
    shared: dict[tuple[tuple[str, ...], tuple[str | None, ...]], dict[str, int]] = {}
    numbered = []
    for listing in listings:
        for entry in listing.entries:
            key = (listing.columns, entry.labels)
            labels_of = shared.get(key)
            if labels_of is None:
                labels_of = dict.fromkeys(columns, -1)
                for column, label in zip(listing.columns, entry.labels, strict=False):
                    labels_of[column] = ids[column].get(label, -1)
                shared[key] = labels_of
            numbered.append(labels_of)
    for column in columns:
        missing = sum(labels[column] < 0 for labels in numbered)
        if missing:
            reading.append(f"'{shown(column)}': {counted(missing, 'clip')} without a label")
    return numbered, classes, reading


def _order(
    column: str, names: set[str]
) -> tuple[tuple[str, ...], dict[str | None, int], list[str]]:
    if not names or not all(WHOLE.match(name) for name in names):
        ordered = tuple(sorted(names))
        told = f"'{shown(column)}': {counted(len(ordered), 'class', 'classes')}"
        told += f": {listed(ordered, 12)}" if ordered else ""
        return ordered, {name: index for index, name in enumerate(ordered)}, [told]
    # "3" and "3.0" are one class: a table program writes the latter beside an empty cell.
    numbers = {name: int(name.partition(".")[0]) for name in names}
    values = sorted({value for value in numbers.values() if value != -1})
    ids = {value: index for index, value in enumerate(values)}
    by_name: dict[str | None, int] = {name: ids.get(numbers[name], -1) for name in names}
    ordered = tuple(map(str, values))
    told = f"'{shown(column)}': {counted(len(ordered), 'class', 'classes')}, numbers"
    if values and values != list(range(len(values))):
        told += (
            f" from {values[0]} to {values[-1]} renumbered 0 to {len(values) - 1} in their order"
        )
    elif values:
        told += f" 0 to {values[-1]} kept as given"
    return ordered, by_name, [told]


def refuse_one_class(classes: dict[str, tuple[str, ...]]) -> None:
    """Raises SourceError where a label column has fewer than two classes."""
    for column, names in classes.items():
        if len(names) < 2:
            found = f"only the class '{shown(names[0])}'" if names else "no class"
            raise SourceError(
                f"label '{shown(column)}': {found} was found; at least two classes are needed: one"
                " folder per class, or a label column with two values or more"
            )


def refuse_unseen(
    rows: Sequence[tuple[str | None, dict[str, int]]], classes: dict[str, tuple[str, ...]]
) -> None:
    """Raises SourceError with a table of the classes of val or test that train lacks.

    `rows` are (split, labels); a source without a train part is for evaluation and passes.
    """
    if not any(split == "train" for split, _ in rows):
        return
    kinds: dict[tuple[str | None, int], tuple[dict[str, int], int]] = {}
    for split, labels in rows:
        # Equal labels are one dictionary (number_classes): its identity saves reading it.
        _, number = kinds.get((split, id(labels)), (labels, 0))
        kinds[split, id(labels)] = (labels, number + 1)
    for column, names in classes.items():
        counts = {part: [0] * len(names) for part in ("train", "val", "test")}
        for (split, _), (labels, number) in kinds.items():
            label = labels.get(column, -1)
            if split in counts and label >= 0:
                counts[split][label] += number
        unseen = [
            index
            for index in range(len(names))
            if not counts["train"][index] and (counts["val"][index] or counts["test"][index])
        ]
        if unseen:
            width = max(5, *(len(shown(names[index])) for index in unseen[:10]))
            lines = [f"  {'class':<{width}}  train    val   test"]
            for index in unseen[:10]:
                numbers = "  ".join(f"{counts[part][index]:5}" for part in counts)
                lines.append(f"  {shown(names[index]):<{width}}  {numbers}")
            if len(unseen) > 10:
                lines.append(f"  and {len(unseen) - 10} more")
            raise SourceError(
                f"label '{shown(column)}': {counted(len(unseen), 'class', 'classes')} of val or"
                " test not in train, so never learnt; give train clips of"
                f" {'it' if len(unseen) == 1 else 'them'}, or go on with --allow-unseen\n"
                + "\n".join(lines)
            )
