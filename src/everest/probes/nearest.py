"""This file decides the nearest-neighbour probe: clips vote for their class by their cosine.

N clips; n of them to learn from, m asked; F numbers of a vector.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from everest.probes import scales

TEMPERATURE = 0.07  # of votes: a neighbour's weight is exp(cosine / 0.07), as usual for kNN probes
NEIGHBOURS = (1, 5, 10, 20, 50)
AT_ONCE = 1 << 25  # cosines held at once


class Nearest:
    """The k nearest training clips vote; vectors are standardised first, or what all clips have in
    common would decide every cosine."""

    name = "knn"
    setting = "k"

    def __init__(self, vectors: np.ndarray, neighbours: int | None = None) -> None:
        if neighbours is not None and neighbours < 1:
            raise ValueError(f"--neighbours {neighbours}: give at least 1")
        self.vectors = vectors  # (N, F)
        self.choices: tuple[float, ...] = NEIGHBOURS if neighbours is None else (neighbours,)

    def answers(
        self,
        train: np.ndarray,
        labels: np.ndarray,
        classes: int,
        asked: np.ndarray,
        choices: Sequence[float],
    ) -> Iterator[np.ndarray]:
        mean, scale = scales(self.vectors[train])

        def directions(places: np.ndarray) -> np.ndarray:
            vectors = ((self.vectors[places] - mean) / scale).astype(np.float32)
            return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

        known = directions(train)
        most = int(min(max(choices), len(train)))
        size = max(AT_ONCE // len(train), 1)
        nearest, weights = [], []
        for start in range(0, len(asked), size):
            cosines = directions(asked[start : start + size]) @ known.T
            ranked = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
            ranked.sort(axis=1)  # equal cosines: the earlier clip first
            close = np.take_along_axis(cosines, ranked, axis=1)
            order = np.argsort(-close, axis=1, kind="stable")
            nearest.append(np.take_along_axis(ranked, order, axis=1))
            weights.append(np.take_along_axis(close, order, axis=1))
        ids = np.concatenate([labels[near] for near in nearest])  # (m, most)
        close = np.concatenate(weights).astype(np.float64)
        votes = np.exp((close - close[:, :1]) / TEMPERATURE)
        for choice in choices:
            shares = np.zeros((len(asked), classes))
            for rank in range(int(min(choice, most))):
                np.add.at(shares, (np.arange(len(asked)), ids[:, rank]), votes[:, rank])
            yield shares / shares.sum(axis=1, keepdims=True)
