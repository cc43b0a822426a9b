"""This file decides the figures of a column of numbers: how far off, and how alike in order.

N clips; R resamples. A label that is not known is NaN.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from everest.metrics.resampling import Figure
from everest.metrics.shares import number_or_none


@dataclass(frozen=True)
class Errors:
    """What the predictions of a column of numbers amount to."""

    clips: int
    mse: float  # mean squared error, in the label's unit squared
    mae: float  # mean absolute error, in the label's unit
    pearson: float  # correlation; nan where either side is one number
    explained: float  # share of the labels' variance that is not left as error

    @property
    def score(self) -> float:
        return self.explained

    def brief(self) -> dict[str, Any]:
        """What a line of metrics.jsonl holds."""
        pair = {"mse": self.mse, "pearson": self.pearson}
        return {name: number_or_none(value) for name, value in pair.items()} | {"clips": self.clips}

    def to_json(self) -> dict[str, Any]:
        figures = {
            "mse": self.mse,
            "mae": self.mae,
            "pearson": self.pearson,
            "explained": self.explained,
        }
        return {
            "kind": "number",
            **{name: number_or_none(value) for name, value in figures.items()},
        }


def errors(predicted: np.ndarray, labels: np.ndarray) -> Errors:
    """(N,), (N,) -> Errors; clips without a label are left out."""
    known = np.isfinite(labels)
    predicted, labels = predicted[known].astype(np.float64), labels[known].astype(np.float64)
    if not len(labels):
        return Errors(0, *(float("nan"),) * 4)
    once = np.ones((1, len(labels)))
    mse, pearson = (float(figure(once)[0]) for figure in of_numbers(predicted, labels).values())
    spread = float(labels.var())
    return Errors(
        len(labels),
        mse,
        float(np.abs(predicted - labels).mean()),
        pearson,
        1 - mse / spread if spread > 0 else float("nan"),
    )


def of_numbers(predicted: np.ndarray, labels: np.ndarray) -> dict[str, Figure]:
    """mse and pearson as figures of drawn clips."""
    # Both are taken from their own means first: sums of squares of large numbers lose digits.
    one, other = predicted - predicted.mean(), labels - labels.mean()
    least = 1e-12 * one.var() * other.var()
    squared = (predicted - labels) ** 2

    def mse(weights: np.ndarray) -> np.ndarray:
        return weights @ squared / weights.sum(axis=1)

    def pearson(weights: np.ndarray) -> np.ndarray:
        total = weights.sum(axis=1)
        ones, others = weights @ one / total, weights @ other / total
        both = weights @ (one * other) / total - ones * others
        spread = (weights @ one**2 / total - ones**2) * (weights @ other**2 / total - others**2)
        there = spread > least
        return np.where(there, both / np.sqrt(np.where(there, spread, 1)), np.nan)

    return {"mse": mse, "pearson": pearson}
