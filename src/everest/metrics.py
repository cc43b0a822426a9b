"""This file decides the figures of a classifier: accuracies with their intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


def interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """The exact (Clopper-Pearson) interval of a share."""
    from scipy.stats import beta

    if trials == 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, trials - successes + 1))
    high = 1.0
    if successes < trials:
        high = float(beta.ppf(1 - tail, successes + 1, trials - successes))
    return low, high


def number_or_none(value: float) -> float | None:
    """What a JSON document holds of a figure: None where there was nothing to measure."""
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Accuracy:
    """What one label column's predictions amount to."""

    clips: int
    top1: float
    top1_interval: tuple[float, float]
    top5: float | None  # None where there are at most five classes
    mean_class: float
    per_class: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "class",
            "top1": number_or_none(self.top1),
            "top1_interval": list(self.top1_interval),
            "top5": self.top5,
            "mean_class": number_or_none(self.mean_class),
            "per_class": self.per_class,
        }


def accuracy(probabilities: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Accuracy:
    """(clips, classes), (clips,) -> Accuracy; clips with label -1 are left out."""
    known = labels >= 0
    if not known.any():
        return Accuracy(0, float("nan"), interval(0, 0), None, float("nan"), {})
    probabilities, labels = probabilities[known], labels[known]
    ranked = np.argsort(-probabilities, axis=1, kind="stable")
    right = ranked[:, 0] == labels
    clips = len(labels)
    per_class = {
        name: float(right[labels == number].mean())
        for number, name in enumerate(names)
        if (labels == number).any()
    }
    top5 = None
    if len(names) > 5:
        top5 = float((ranked[:, :5] == labels[:, None]).any(axis=1).mean())
    return Accuracy(
        clips,
        float(right.mean()),
        interval(int(right.sum()), clips),
        top5,
        float(np.mean(list(per_class.values()))),
        per_class,
    )
