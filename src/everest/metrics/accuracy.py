"""This file decides the accuracies of a class column, with the exact interval of the first.

N clips; K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from everest.metrics.shares import interval, number_or_none

TOP = 5  # likeliest classes of the second accuracy


@dataclass(frozen=True)
class Accuracy:
    """What one label column's predictions amount to."""

    clips: int
    top1: float
    top1_interval: tuple[float, float]
    top5: float | None  # None where there are at most five classes
    mean_class: float
    per_class: dict[str, float]

    @property
    def score(self) -> float:
        """What weights are chosen by: higher is better, nan where nothing was measured."""
        return self.top1

    def brief(self) -> dict[str, Any]:
        """What a line of metrics.jsonl holds."""
        return {"top1": number_or_none(self.top1), "clips": self.clips}

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "class",
            "top1": number_or_none(self.top1),
            "top1_interval": list(self.top1_interval),
            "top5": self.top5,
            "mean_class": number_or_none(self.mean_class),
            "per_class": self.per_class,
        }


def ranked(probabilities: np.ndarray) -> np.ndarray:
    """(N, K) -> (N, K) classes, likeliest first; ties go to the class of the lower number."""
    return np.argsort(-probabilities, axis=1, kind="stable")


def accuracy(probabilities: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Accuracy:
    """(N, K), (N,) -> Accuracy; clips with label -1 are left out."""
    known = labels >= 0
    if not known.any():
        return Accuracy(0, float("nan"), interval(0, 0), None, float("nan"), {})
    probabilities, labels = probabilities[known], labels[known]
    order = ranked(probabilities)
    right = order[:, 0] == labels
    clips = len(labels)
    per_class = {
        name: float(right[labels == number].mean())
        for number, name in enumerate(names)
        if (labels == number).any()
    }
    top5 = None
    if len(names) > TOP:
        top5 = float((order[:, :TOP] == labels[:, None]).any(axis=1).mean())
    return Accuracy(
        clips,
        float(right.mean()),
        interval(int(right.sum()), clips),
        top5,
        float(np.mean(list(per_class.values()))),
        per_class,
    )
