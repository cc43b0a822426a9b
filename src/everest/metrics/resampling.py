"""This file decides between which bounds any figure lies: by drawing the clips again, with
replacement, and taking the middle 95 % of what the figure then is.

N clips; U units that are drawn whole: a clip each, or a group of clips; R resamples.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

import numpy as np

from everest import keys

RESAMPLES = 2000
AT_ONCE = 1 << 22  # weights held at once
Bounds = tuple[float, float]
# (R, N) how often each clip was drawn -> (R,) the figure over those
Figure = Callable[[np.ndarray], np.ndarray]


def units_of(groups: Sequence[Hashable | None]) -> np.ndarray:
    """(N,) the unit of each clip: its group, or the clip itself where it has none (None)."""
    numbers: dict[Hashable, int] = {}
    return np.array(
        [
            numbers.setdefault(("clip", place) if group is None else ("group", group), len(numbers))
            for place, group in enumerate(groups)
        ],
        dtype=np.int64,
    )


def times_drawn(units: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """(R, U) how often each unit is drawn, R at a time; every draw is a function of the seed."""
    import torch

    from everest import draw

    size = max(AT_ONCE // units, 1)
    for start in range(0, resamples, size):
        numbers = range(start, min(start + size, resamples))
        key = torch.tensor([keys.make_key(seed, number) for number in numbers])
        # 31 bits times U, and the high part of it: each unit equally likely.
        places = draw.shifted(draw.bits(key, "bootstrap", units), 33) * units >> 31
        flat = places.numpy() + np.arange(len(numbers))[:, None] * units
        counts = np.bincount(flat.ravel(), minlength=len(numbers) * units)
        yield counts.reshape(len(numbers), units)


def bootstrap(
    figures: Mapping[str, Figure],
    units: np.ndarray,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> dict[str, Bounds | None]:
    """The percentile interval of each figure, from the same resamples; units (N,) as `units_of`.

    None where fewer than two units leave nothing to draw, or where the figure is no number in
    some resample. Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), 13.3.
    """
    count = int(units.max()) + 1 if len(units) else 0
    if count < 2:
        return dict.fromkeys(figures)
    found: dict[str, list[np.ndarray]] = {name: [] for name in figures}
    for drawn in times_drawn(count, resamples, seed):
        weights = drawn[:, units].astype(np.float64)  # (R, N)
        for name, figure in figures.items():
            found[name].append(figure(weights))
    return {name: bounds(np.concatenate(values), level) for name, values in found.items()}


def bounds(values: np.ndarray, level: float) -> Bounds | None:
    if not np.isfinite(values).all():
        return None
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def share_of(right: np.ndarray) -> Figure:
    """The share of clips that are right, (N,) bool."""
    values = right.astype(np.float64)

    def figure(weights: np.ndarray) -> np.ndarray:
        return weights @ values / weights.sum(axis=1)

    return figure


def difference(one: Figure, other: Figure) -> Figure:
    """One figure less another, over the same clips drawn."""
    return lambda weights: one(weights) - other(weights)
