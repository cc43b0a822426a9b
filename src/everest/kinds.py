"""This file decides which kinds of label there are: one class of many, several, or a number.

B clips; K classes of a label column.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from everest.entries import SourceError, nearest, shown

Kind = Literal["class", "multi", "number"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# A class id (-1: missing); the ascending ids of several classes; a number. None: missing.
Label = int | float | tuple[int, ...] | None
Scale = tuple[float, float]  # mean and standard deviation of a column of numbers


@dataclass(frozen=True)
class Column:
    """What the labels of one column are."""

    kind: Kind = "class"
    classes: int = 0  # 0 for numbers


def asked_kinds(labels: Sequence[str]) -> tuple[tuple[str, ...], dict[str, Kind]]:
    """`digit`, `score:number` -> (column names, kind of each); without a kind it is "class".

    Raises SourceError for a kind that is none.
    """
    kinds: dict[str, Kind] = {}
    for label in labels:
        name, colon, kind = label.rpartition(":")
        if not colon:
            name, kind = label, "class"
        found = next((known for known in KINDS if known == kind), None)
        if found is None or not name:
            raise SourceError(
                f"--label {shown(label)}: expected COLUMN or COLUMN:KIND, the kind one of"
                f" {', '.join(KINDS)}{nearest(kind, KINDS)}"
            )
        if kinds.setdefault(name, found) != found or labels.count(label) > 1:
            raise SourceError(
                f"--label {','.join(map(shown, labels))}: '{shown(name)}' is named twice; name"
                " each column once"
            )
    return tuple(kinds), kinds


def kind_of(kinds: Mapping[str, Kind], column: str) -> Kind:
    """The kind of a column; one that nothing is said of is a class."""
    return kinds.get(column, "class")


def spelled(columns: Sequence[str], kinds: Mapping[str, Kind]) -> list[str]:
    """The inverse of `asked_kinds`: how `--label` names the columns."""
    return [f"{name}:{kinds[name]}" if name in kinds else name for name in columns]


def columns_of(
    classes: Mapping[str, Sequence[str]], kinds: Mapping[str, Kind]
) -> dict[str, Column]:
    """Column -> what its labels are, in the order of `classes`."""
    return {name: Column(kind_of(kinds, name), len(names)) for name, names in classes.items()}


def is_missing(label: Label, kind: Kind) -> bool:
    return label is None or (kind == "class" and label == -1)


def ids_of(label: Label) -> tuple[int, ...]:
    """The classes that a label of kind class or multi names; none of a missing one."""
    if isinstance(label, tuple):
        return label
    return () if label is None or label < 0 else (int(label),)


def values_of(labels: Sequence[Label], column: Column) -> np.ndarray:
    """Labels as a model takes them: (B,) int64 with -1 where missing, (B, K) float32 of 0 and 1
    for several classes, (B,) float32 for numbers; both with NaN where missing."""
    if column.kind == "class":
        return np.array(labels, np.int64)
    if column.kind == "number":
        return np.array([math.nan if label is None else label for label in labels], np.float32)
    values = np.zeros((len(labels), column.classes), np.float32)
    for row, label in enumerate(labels):
        if label is None:
            values[row] = math.nan
        else:
            values[row, list(ids_of(label))] = 1
    return values


def label_of(written: object, kind: Kind) -> Label:
    """A label as it stood before it was written as JSON, which turns tuples into lists."""
    if kind == "multi":
        return tuple(written) if isinstance(written, (list, tuple)) else None
    assert written is None or isinstance(written, (int, float))
    return written


def scales_of(labels: Sequence[Mapping[str, Label]], kinds: Mapping[str, Kind]) -> dict[str, Scale]:
    """(mean, standard deviation) of each column of numbers over the clips that have one.

    Raises SourceError where they tell nothing: none, or all the same.
    """
    scales = {}
    for column, kind in kinds.items():
        if kind != "number":
            continue
        found = [label for of in labels if isinstance(label := of.get(column), (int, float))]
        if len(set(found)) < 2:
            what = f"all {len(found)} are {found[0]:g}" if found else "there is none"
            raise SourceError(
                f"label '{shown(column)}': {what} among the training clips; at least two different"
                " numbers are needed to learn from"
            )
        values = np.array(found, np.float64)
        scales[column] = (float(values.mean()), float(values.std()))
    return scales
