"""This file decides what a probe is: what it is fitted to, what it is asked, its one setting.

N clips that could be read; K classes. A probe never sees a model: it is given the features of clips
by their places among the N.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np


class Probe(Protocol):
    name: str  # knn, linear, attentive
    setting: str  # what is chosen: k, C, weight_decay
    choices: tuple[float, ...]  # of the setting, the simplest first; one alone is not chosen

    def answers(
        self,
        train: np.ndarray,
        labels: np.ndarray,
        classes: int,
        asked: np.ndarray,
        choices: Sequence[float],
    ) -> Iterator[np.ndarray]:
        """Learns from clips `train` with class ids `labels`, both (n,), and answers for clips
        `asked`, (m,): for each of the choices (m, classes) shares that add up to 1."""
        ...


def scales(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, F) -> (mean, scale), each (F,): what standardises these vectors. A number that is the
    same in all of them is left at 0."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    scale = vectors.std(axis=0, dtype=np.float64)
    return mean, np.where(scale > 1e-12 + 1e-6 * np.abs(mean), scale, 1.0)
