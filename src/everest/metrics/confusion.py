"""This file decides which classes are taken for which, and the figures that come of it.

N clips; K classes; R resamples.
"""

from dataclasses import dataclass

import numpy as np

from everest.metrics.resampling import Figure

PAIRS = 10  # of classes that are told of
CLIPS = 3  # of each such pair


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(N,), (N,) class numbers -> (K, K) clips: a row a label, a column a prediction."""
    flat = np.bincount(labels * classes + predicted, minlength=classes**2)
    return flat.reshape(classes, classes)


def f1_of(counts: np.ndarray) -> np.ndarray:
    """(K, K) -> (K,) the F1 of each class; NaN for one that is neither a label nor predicted."""
    right = np.diagonal(counts)
    return f1(right, counts.sum(axis=1), counts.sum(axis=0))


def f1(right: np.ndarray, labelled: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Harmonic mean of right / labelled and right / predicted; NaN where both are 0."""
    total = labelled + predicted
    return np.where(total > 0, 2 * right / np.where(total > 0, total, 1), np.nan)


def by_class(labels: np.ndarray, predicted: np.ndarray, classes: int) -> dict[str, Figure]:
    """mean_class and macro_f1 as figures of drawn clips."""
    from scipy.sparse import csr_array

    clips = np.arange(len(labels))

    def members(which: np.ndarray, values: np.ndarray) -> csr_array:
        shape = (classes, len(labels))
        return csr_array((values, (which, clips)), shape=shape)

    ones = np.ones(len(labels))
    right = members(labels, (labels == predicted).astype(np.float64))
    labelled, guessed = members(labels, ones), members(predicted, ones)

    def mean_class(weights: np.ndarray) -> np.ndarray:
        hits, all_of = (right @ weights.T).T, (labelled @ weights.T).T  # (R, K)
        there = all_of > 0
        return np.where(there, hits / np.where(there, all_of, 1), 0).sum(axis=1) / there.sum(axis=1)

    def macro_f1(weights: np.ndarray) -> np.ndarray:
        sums = [(part @ weights.T).T for part in (right, labelled, guessed)]
        return np.nanmean(f1(*sums), axis=1)

    return {"mean_class": mean_class, "macro_f1": macro_f1}


@dataclass(frozen=True)
class Confused:
    """Clips of one class that were taken for another."""

    label: int
    predicted: int
    clips: int
    share: float  # of the label's clips
    worst: tuple[int, ...]  # places of the clips, the surest mistakes first


def most_confused(
    probabilities: np.ndarray, labels: np.ndarray, pairs: int = PAIRS, clips: int = CLIPS
) -> list[Confused]:
    """(N, K), (N,) -> the pairs of classes with most mistakes; ties in the order of the labels."""
    predicted = probabilities.argmax(axis=1)
    sure = probabilities[np.arange(len(labels)), predicted]
    counts = confusion(labels, predicted, probabilities.shape[1])
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    found = []
    for flat in np.argsort(-wrong, axis=None, kind="stable")[:pairs]:
        label, taken_for = divmod(int(flat), counts.shape[1])
        if not wrong[label, taken_for]:
            break
        places = np.flatnonzero((labels == label) & (predicted == taken_for))
        surest = places[np.argsort(-sure[places], kind="stable")][:clips]
        number = int(wrong[label, taken_for])
        share = number / int(counts[label].sum())
        found.append(Confused(label, taken_for, number, share, tuple(surest.tolist())))
    return found


def surest_mistakes(probabilities: np.ndarray, labels: np.ndarray, clips: int) -> list[int]:
    """Places of the wrongly named clips, the surest first."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    sure = probabilities[wrong, predicted[wrong]]
    return wrong[np.argsort(-sure, kind="stable")][:clips].tolist()
