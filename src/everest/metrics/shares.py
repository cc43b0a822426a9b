"""This file decides between which bounds a share lies: the exact interval."""

import math


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
