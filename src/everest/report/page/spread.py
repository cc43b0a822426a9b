"""This file decides what the features of held-out clips tell without a label.

n clips; D numbers of a vector.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

NINETY = 0.9  # of the spread
SHOWN = 24  # directions whose share is kept


@dataclass(frozen=True)
class Spread:
    """How far apart the vectors of clips lie, and in how many directions."""

    clips: int
    width: int
    effective_rank: float  # exp of the entropy of the singular values' shares
    ceiling: int  # what it can be at most: min(n - 1, D)
    ninety: int  # directions that hold 90 % of the variance
    shares: tuple[float, float]  # of the variance, on the two directions of the map
    spectrum: list[float]  # of the variance, on each of the first SHOWN directions
    points: list[tuple[float, float]]  # a clip each, along these two, in units of the larger spread

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def spread_of(vectors: np.ndarray) -> Spread | None:
    """(n, D) -> Spread; None for fewer than three clips or vectors that do not differ.

    The effective rank is that of Roy and Vetterli (2007): exp(H(p)), p the singular values over
    their sum; vectors are centred first, so that what all clips share counts nothing.
    """
    if len(vectors) < 3 or not np.isfinite(vectors).all():
        return None
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    if not values[0] > 1e-9 * max(1.0, float(np.abs(vectors).max())):
        return None
    shares = values / values.sum()
    known = shares[shares > 0]
    variance = values**2 / (values**2).sum()
    places = left[:, :2] * values[:2]  # (n, 2)
    if places.shape[1] < 2:
        places = np.pad(places, ((0, 0), (0, 1)))
    # A direction's sign is arbitrary: the largest number of its vector is made positive.
    for axis in range(min(2, len(right))):
        if right[axis, np.abs(right[axis]).argmax()] < 0:
            places[:, axis] *= -1
    places = places / np.abs(places).max()
    second = float(variance[1]) if len(variance) > 1 else 0.0
    return Spread(
        len(vectors),
        vectors.shape[1],
        float(np.exp(-(known * np.log(known)).sum())),
        min(len(vectors) - 1, vectors.shape[1]),
        int(np.searchsorted(np.cumsum(variance), NINETY) + 1),
        (float(variance[0]), second),
        [round(float(share), 5) for share in variance[:SHOWN]],
        [(round(float(x), 4), round(float(y), 4)) for x, y in places],
    )
