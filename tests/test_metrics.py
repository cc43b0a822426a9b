"""Figures of a classifier: accuracies and their exact intervals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from everest.metrics import accuracy, interval

NAMES = tuple("abcdefg")


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_the_exact_one(case: tuple[int, int]) -> None:
    successes, trials = case
    for level in (0.95, 0.999):
        wanted = binomtest(successes, trials).proportion_ci(level, method="exact")
        assert interval(successes, trials, level) == pytest.approx((wanted.low, wanted.high))


def test_the_interval_reaches_the_ends_where_all_or_none_were_right() -> None:
    assert interval(0, 20)[0] == 0.0
    assert interval(20, 20)[1] == 1.0
    assert 0.1 < interval(0, 20)[1] < 0.2


def test_without_trials_nothing_is_known() -> None:
    assert interval(0, 0) == (0.0, 1.0)


def ranked(*orders: str) -> np.ndarray:
    """(clips, 7) probabilities that rank the classes in the order of each word's letters."""
    table = np.zeros((len(orders), len(NAMES)))
    for clip, order in enumerate(orders):
        for place, letter in enumerate(order):
            table[clip, NAMES.index(letter)] = 1 / 2 ** (place + 1)
    return table


def test_figures_are_counted_by_clip_and_by_class() -> None:
    # Right first, right fifth, right sixth, right first; 'a' twice, 'b' and 'c' once.
    table = ranked("abcdefg", "bcdeafg", "acdefbg", "cabdefg")
    found = accuracy(table, np.array([0, 0, 1, 2]), NAMES)
    assert found.clips == 4
    assert found.top1 == 0.5
    assert found.top5 == 0.75
    assert found.per_class == {"a": 0.5, "b": 0.0, "c": 1.0}
    assert found.mean_class == 0.5
    assert found.top1_interval == interval(2, 4)


def test_the_mean_over_classes_weighs_classes_alike() -> None:
    table = ranked("abcdefg", "abcdefg", "abcdefg", "abcdefg")
    found = accuracy(table, np.array([0, 0, 0, 1]), NAMES)
    assert (found.top1, found.mean_class) == (0.75, 0.5)


def test_clips_without_a_label_are_left_out() -> None:
    table = ranked("abcdefg", "bacdefg", "cabdefg")
    found = accuracy(table, np.array([0, -1, 1]), NAMES)
    assert found == accuracy(table[[0, 2]], np.array([0, 1]), NAMES)
    assert found.clips == 2


def test_ties_go_to_the_class_of_the_lower_number() -> None:
    found = accuracy(np.full((2, 7), 1 / 7), np.array([0, 1]), NAMES)
    assert found.per_class == {"a": 1.0, "b": 0.0}


def test_with_at_most_five_classes_there_is_no_top_five() -> None:
    assert accuracy(np.full((2, 5), 0.2), np.array([0, 1]), NAMES[:5]).top5 is None
    assert accuracy(np.full((2, 6), 0.2), np.array([0, 1]), NAMES[:6]).top5 == 1.0


def test_without_labelled_clips_the_figures_are_not_numbers() -> None:
    found = accuracy(np.full((2, 7), 1 / 7), np.array([-1, -1]), NAMES)
    assert found.clips == 0
    assert math.isnan(found.top1) and math.isnan(found.mean_class)
    assert found.top1_interval == (0.0, 1.0)


def test_the_document_names_the_kind_of_column() -> None:
    document = accuracy(ranked("abcdefg"), np.array([0]), NAMES).to_json()
    assert document["kind"] == "class"
    assert set(document) == {
        "kind", "top1", "top1_interval", "top5", "mean_class", "per_class",
    }  # fmt: skip
    assert isinstance(document["top1_interval"], list)


def test_of_no_clip_there_is_no_accuracy_and_the_document_says_so() -> None:
    found = accuracy(np.zeros((0, 0)), np.zeros(0, np.int64), ["a", "b"])
    assert found.clips == 0 and found.top1_interval == (0.0, 1.0)
    document = found.to_json()
    assert document["top1"] is None and document["mean_class"] is None
