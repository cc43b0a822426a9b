"""This file decides which setting a probe takes: by validation, or within the training clips.

N clips that could be read; n of them to learn from.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from everest import keys
from everest.probes import Probe

FOLDS = 5
How = Literal["given", "validation", "folds"]


@dataclass(frozen=True)
class Clips:
    """Clips of one part that could be read and have a label of one column."""

    places: np.ndarray  # (n,) among the N
    labels: np.ndarray  # (n,) class ids


@dataclass(frozen=True)
class Question:
    """What a probe is to learn and to be asked, for one label column."""

    classes: int
    train: Clips
    units: Sequence[Hashable]  # (n,) of the training clips: what no fold may tear apart
    asked: dict[str, Clips]  # val, test


@dataclass(frozen=True)
class Chosen:
    value: float
    how: How


def choose(probe: Probe, question: Question, seed: int = 0) -> Chosen:
    """The choice with most right answers, ties to the first.

    By val where test is there too: then test has chosen nothing. Else by folds of the training
    clips, so that a val part that stands for test has chosen nothing either.
    """
    choices = fitting_choices(probe, len(question.train.places))
    if len(choices) == 1:
        return Chosen(choices[0], "given" if len(probe.choices) == 1 else "folds")
    train = question.train
    if "val" in question.asked and "test" in question.asked:
        val = question.asked["val"]
        return Chosen(
            best(choices, right_answers(probe, question, train, val, choices)), "validation"
        )
    fold = folds(train.labels, question.units, seed)
    right = np.zeros(len(choices))
    for number in range(fold.max() + 1):
        inside, outside = fold == number, fold != number
        if not outside.any():
            continue
        learnt = Clips(train.places[outside], train.labels[outside])
        held = Clips(train.places[inside], train.labels[inside])
        right += right_answers(probe, question, learnt, held, choices)
    return Chosen(best(choices, right), "folds")


def fitting_choices(probe: Probe, clips: int) -> tuple[float, ...]:
    """The choices that differ for so few clips: no k above half of them."""
    if probe.setting != "k" or len(probe.choices) == 1:
        return probe.choices
    return tuple(k for k in probe.choices if k == probe.choices[0] or k <= clips // 2)


def right_answers(
    probe: Probe, question: Question, train: Clips, held: Clips, choices: Sequence[float]
) -> np.ndarray:
    """(choices,): how many of the held clips each choice names rightly."""
    answers = probe.answers(train.places, train.labels, question.classes, held.places, choices)
    return np.array([(shares.argmax(axis=1) == held.labels).sum() for shares in answers])


def best(choices: Sequence[float], right: np.ndarray) -> float:
    return choices[int(right.argmax())]


def folds(labels: np.ndarray, units: Sequence[Hashable], seed: int) -> np.ndarray:
    """(n,) -> (n,) fold of each clip: classes spread evenly, units whole, drawn by the seed."""
    members: dict[Hashable, list[int]] = {}
    for place in keys.order(keys.make_key(seed), "probe.folds", len(labels)):
        members.setdefault(units[place], []).append(place)
    count = min(FOLDS, len(members))
    held = np.zeros((count, int(labels.max()) + 1))  # clips of a class in each fold
    fold = np.zeros(len(labels), dtype=np.int64)
    # Large units first: small ones fill the gaps they leave. The sort is stable: the draw stays.
    for places in sorted(members.values(), key=len, reverse=True):
        alike = held[:, labels[places]].sum(axis=1)
        chosen = int(np.lexsort((held.sum(axis=1), alike))[0])
        fold[places] = chosen
        np.add.at(held[chosen], labels[places], 1)
    return fold
