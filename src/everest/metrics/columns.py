"""This file decides all that is measured of one label column, by its kind.

N clips; K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from everest.kinds import Kind
from everest.metrics.accuracy import TOP, Accuracy, accuracy, ranked
from everest.metrics.calibration import calibration
from everest.metrics.confusion import by_class, confusion, f1_of
from everest.metrics.multi import Precision, mean_precision, precision
from everest.metrics.numbers import Errors, errors, of_numbers
from everest.metrics.resampling import Bounds, Figure, bootstrap, share_of

Measured = Accuracy | Precision | Errors


@dataclass(frozen=True)
class Column:
    """What a model says of clips in one label column, and what is true."""

    kind: Kind
    names: tuple[str, ...]  # of the classes; none of numbers
    said: np.ndarray  # (N, K) probabilities, or (N,) numbers
    labels: np.ndarray  # (N,) class ids, (N, K) of 0 and 1, or (N,) numbers
    units: np.ndarray  # (N,) what is drawn whole, as resampling.units_of gives it

    @property
    def known(self) -> np.ndarray:
        """(N,) whether a clip has a label."""
        if self.kind == "class":
            return np.asarray(self.labels >= 0)
        if self.kind == "number":
            return np.isfinite(self.labels)
        return np.asarray((self.labels >= 0).any(axis=1))

    def part(self, chosen: np.ndarray) -> "Column":
        """The column of some clips: (N,) bool, or their places."""
        units = np.unique(self.units[chosen], return_inverse=True)[1]
        return Column(self.kind, self.names, self.said[chosen], self.labels[chosen], units)


def measure(
    kind: Kind, said: np.ndarray, labels: np.ndarray, names: Sequence[str] = ()
) -> Measured:
    """The figures that are quick to compute; `score` of each is what weights are chosen by."""
    if kind == "class":
        return accuracy(said, labels, names)
    if kind == "multi":
        return precision(said, labels, names)
    return errors(said, labels)


def figures_of(column: Column) -> dict[str, Figure]:
    """The figures of a column's labelled clips that can be computed over drawn ones, by name."""
    if column.kind == "number":
        return of_numbers(column.said.astype(np.float64), column.labels.astype(np.float64))
    if column.kind == "multi":
        return {"map": mean_precision(column.said, column.labels)}
    order = ranked(column.said)
    found = {"top1": share_of(order[:, 0] == column.labels)}
    if len(column.names) > TOP:
        found["top5"] = share_of((order[:, :TOP] == column.labels[:, None]).any(axis=1))
    return found | by_class(column.labels, order[:, 0], len(column.names))


def document(column: Column, *, seed: int = 0, resamples: int) -> dict[str, Any]:
    """All figures as JSON: those of `measure`, a bootstrap interval each, and what a class column
    has beside: F1, calibration, confusion. Clips without a label are left out."""
    column = column.part(column.known)
    figure = measure(column.kind, column.said, column.labels, column.names)
    found = {**figure.to_json(), "clips": figure.clips}
    if not figure.clips:
        return found
    drawn = bootstrap(figures_of(column), column.units, seed=seed, resamples=resamples)
    found |= {f"{name}_bootstrap": listed(bounds) for name, bounds in drawn.items()}
    if column.kind == "class":
        found |= of_classes(column)
    if column.kind == "multi":
        positive = (column.labels == 1).sum(axis=0)
        found["per_class_clips"] = dict(zip(column.names, positive.tolist(), strict=True))
    return found


def listed(bounds: Bounds | None) -> list[float] | None:
    return None if bounds is None else list(bounds)


def of_classes(column: Column) -> dict[str, Any]:
    names = column.names
    predicted = ranked(column.said)[:, 0]
    counts = confusion(column.labels, predicted, len(names))
    scores = f1_of(counts)
    labelled = counts.sum(axis=1)
    calibrated = calibration(column.said, column.labels)
    return {
        "macro_f1": float(np.nanmean(scores)),
        "per_class_f1": {
            name: float(score)
            for name, score in zip(names, scores, strict=True)
            if np.isfinite(score)
        },
        "per_class_clips": dict(zip(names, labelled.tolist(), strict=True)),
        "majority": float(labelled.max() / labelled.sum()),
        "calibration_error": calibrated.error,
        "calibration": calibrated.to_json(),
        "names": list(names),
        "confusion": counts.tolist(),
    }
