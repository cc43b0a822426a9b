"""This file decides when counts are believed to come from a law of chance.

Seeds are fixed, so a test gives the same verdict each time; the levels are such that a fair draw
fails one time in ten thousand, and what is unfair by some per cent fails.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binom, chisquare

LEVEL = 1e-4


def believed(counts: Sequence[int] | np.ndarray, shares: Sequence[float] | None = None) -> float:
    """The p-value of the counts under the shares (equal ones where not given), by chi-square."""
    found = np.asarray(counts, dtype=float).ravel()
    wanted = np.full(len(found), 1 / len(found)) if shares is None else np.asarray(shares)
    expected = wanted / wanted.sum() * found.sum()
    assert expected.min() >= 5, "too few draws for a chi-square test"
    return float(chisquare(found, expected).pvalue)


def equally_often(counts: np.ndarray, trials: int, share: float) -> bool:
    """Whether every count lies where `trials` draws of that share put it (Bonferroni)."""
    tail = LEVEL / (2 * counts.size)
    low, high = binom.ppf(tail, trials, share), binom.ppf(1 - tail, trials, share)
    return bool((counts >= low).all() and (counts <= high).all())
