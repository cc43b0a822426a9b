"""This file decides the figures of a column with several labels a clip: average precisions.

N clips; K classes; R resamples. A label is 1 or 0; NaN or -1 where it is not known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from everest.metrics.resampling import Figure
from everest.metrics.shares import number_or_none


@dataclass(frozen=True)
class Precision:
    """What the predictions of a multi-label column amount to."""

    clips: int  # with at least one known label
    map: float  # mean over the classes that have a clip; nan without any
    per_class: dict[str, float]  # average precision

    @property
    def score(self) -> float:
        return self.map

    def brief(self) -> dict[str, Any]:
        """What a line of metrics.jsonl holds."""
        return {"map": number_or_none(self.map), "clips": self.clips}

    def to_json(self) -> dict[str, Any]:
        return {"kind": "multi", "map": number_or_none(self.map), "per_class": self.per_class}


def precision(probabilities: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Precision:
    """(N, K), (N, K) -> Precision; labels that are not known are left out, a class at a time."""
    known = labels >= 0  # NaN compares as False
    once = np.ones((1, len(labels)))
    per_class = {
        name: float(average_precision(probabilities[:, place], labels[:, place])(once)[0])
        for place, name in enumerate(names)
        if (labels[:, place] == 1).any()
    }
    mean = float(np.mean(list(per_class.values()))) if per_class else float("nan")
    return Precision(int(known.any(axis=1).sum()), mean, per_class)


def average_precision(scores: np.ndarray, labels: np.ndarray) -> Figure:
    """(N,), (N,) -> the average precision over drawn clips: precision at each score weighted by
    the recall gained there, equal scores taken together; NaN where no clip has the label."""
    known = np.flatnonzero(labels >= 0)
    order = known[np.argsort(-scores[known], kind="stable")]
    positive = labels[order] == 1
    last = np.append(np.diff(scores[order]) != 0, True)  # of those with an equal score

    def figure(weights: np.ndarray) -> np.ndarray:
        drawn = weights[:, order]
        hits = np.cumsum(drawn * positive, axis=1)[:, last]  # (R, scores)
        taken = np.cumsum(drawn, axis=1)[:, last]
        gained = np.diff(hits, axis=1, prepend=0)
        total = hits[:, -1]
        sums = (gained * hits / np.where(taken > 0, taken, 1)).sum(axis=1)
        return np.where(total > 0, sums / np.where(total > 0, total, 1), np.nan)

    return figure


def mean_precision(probabilities: np.ndarray, labels: np.ndarray) -> Figure:
    """(N, K), (N, K) -> the mean over classes of `average_precision`."""
    there = [place for place in range(labels.shape[1]) if (labels[:, place] == 1).any()]
    figures = [average_precision(probabilities[:, at], labels[:, at]) for at in there]

    def figure(weights: np.ndarray) -> np.ndarray:
        found = np.stack([each(weights) for each in figures], axis=1)  # (R, K)
        there = np.isfinite(found)
        count = there.sum(axis=1)
        sums = np.where(there, found, 0).sum(axis=1)
        return np.where(count > 0, sums / np.maximum(count, 1), np.nan)

    return figure
