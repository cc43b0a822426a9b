"""This file decides how far a classifier's probabilities are from how often it is right.

N clips; K classes.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

BINS = 15  # of equal width, as usual for this figure


@dataclass(frozen=True)
class Bin:
    """Clips whose likeliest class has a probability between low and high."""

    low: float
    high: float
    clips: int
    confidence: float | None  # mean of those probabilities; None without clips
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    error: float  # the expected calibration error
    bins: tuple[Bin, ...]

    def to_json(self) -> list[dict[str, Any]]:
        return [asdict(each) for each in self.bins]


def calibration(probabilities: np.ndarray, labels: np.ndarray, count: int = BINS) -> Calibration:
    """(N, K), (N,) -> how far confidence and accuracy are apart, a bin each and on the mean.

    The expected calibration error weighs bins by their clips (Guo et al. 2017, equation 3); a
    bin reaches from its lower bound to just below its upper one, the last includes 1.
    """
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, count + 1)
    places = np.searchsorted(edges[1:-1], sure, side="right")
    bins, error = [], 0.0
    for number in range(count):
        inside = places == number
        clips = int(inside.sum())
        low, high = float(edges[number]), float(edges[number + 1])
        if not clips:
            bins.append(Bin(low, high, 0, None, None))
            continue
        confidence, share = float(sure[inside].mean()), float(right[inside].mean())
        bins.append(Bin(low, high, clips, confidence, share))
        error += clips / len(labels) * abs(confidence - share)
    return Calibration(error, tuple(bins))
