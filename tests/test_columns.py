"""Figures of label columns of each kind, held against scikit-learn and SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    mean_squared_error,
    top_k_accuracy_score,
)

from everest.metrics.calibration import calibration
from everest.metrics.columns import Column, document, figures_of
from everest.metrics.confusion import confusion, f1_of, most_confused, surest_mistakes
from everest.metrics.multi import precision
from everest.metrics.numbers import errors


def guesses(count: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (count, classes) that are right more often than chance, and labels."""
    source = np.random.default_rng(seed)
    labels = source.integers(0, classes, count)
    logits = source.normal(size=(count, classes)) + 1.5 * np.eye(classes)[labels]
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True), labels


def column(said: np.ndarray, labels: np.ndarray, kind: str = "class") -> Column:
    names = tuple(f"c{number}" for number in range(said.shape[1])) if said.ndim == 2 else ()
    return Column(kind, names, said, labels, np.arange(len(labels)))  # type: ignore[arg-type]


@given(st.integers(2, 9), st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_figures_of_classes_are_those_of_scikit_learn(classes: int, seed: int) -> None:
    said, labels = guesses(40, classes, seed)
    found = document(column(said, labels), resamples=20)
    predicted = said.argmax(axis=1)
    assert found["top1"] == pytest.approx((predicted == labels).mean())
    assert found["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    present = np.unique(labels)
    seen = np.isin(labels, present)
    assert found["mean_class"] == pytest.approx(
        np.mean([(predicted == labels)[labels == one].mean() for one in present])
    )
    if set(predicted) <= set(present):
        assert found["mean_class"] == pytest.approx(
            balanced_accuracy_score(labels[seen], predicted[seen])
        )
    every = list(range(classes))
    assert found["confusion"] == confusion_matrix(labels, predicted, labels=every).tolist()
    if classes > 5:
        wanted = top_k_accuracy_score(labels, said, k=5, labels=every)
        assert found["top5"] == pytest.approx(wanted)


def test_the_resampled_figures_over_all_clips_once_are_the_figures() -> None:
    said, labels = guesses(60, 7)
    labels[labels == 3] = 2  # a class that is never a label, but predicted
    whole = column(said, labels)
    found = document(whole, resamples=20)
    for name, figure in figures_of(whole).items():
        assert figure(np.ones((1, 60)))[0] == pytest.approx(found[name])
        twice = np.repeat([[2.0, 0.0]], 30, axis=1).reshape(1, 60)
        drawn = whole.part(np.flatnonzero(twice[0]))
        assert figure(twice)[0] == pytest.approx(document(drawn, resamples=20)[name])


def test_intervals_hold_their_figures_and_are_found_for_each() -> None:
    said, labels = guesses(60, 7)
    found = document(column(said, labels), resamples=400)
    for name in ("top1", "top5", "mean_class", "macro_f1"):
        low, high = found[f"{name}_bootstrap"]
        assert low <= found[name] <= high and high - low > 0.02


def test_clips_without_a_label_count_nowhere() -> None:
    said, labels = guesses(30, 4)
    hidden = labels.copy()
    hidden[::3] = -1
    part = document(column(said, hidden), resamples=50)
    assert part["clips"] == 20
    assert part == document(column(said[hidden >= 0], hidden[hidden >= 0]), resamples=50)
    assert document(column(said, np.full(30, -1)), resamples=50)["clips"] == 0


def test_a_class_that_is_neither_label_nor_prediction_has_no_f1() -> None:
    counts = confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 3)
    assert np.isnan(f1_of(counts)[2]) and f1_of(counts)[:2] == pytest.approx([2 / 3, 2 / 3])


def test_calibration_bins_are_those_of_scikit_learn() -> None:
    said, labels = guesses(300, 4)
    sure, right = said.max(axis=1), said.argmax(axis=1) == labels
    found = calibration(said, labels, 15)
    shares, means = calibration_curve(right, sure, n_bins=15, strategy="uniform")
    filled = [each for each in found.bins if each.clips]
    assert [each.accuracy for each in filled] == pytest.approx(list(shares))
    assert [each.confidence for each in filled] == pytest.approx(list(means))
    weights = np.array([each.clips for each in filled]) / 300
    assert found.error == pytest.approx(float((weights * np.abs(shares - means)).sum()))


def test_the_last_bin_holds_full_confidence() -> None:
    found = calibration(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0]), 4)
    assert [each.clips for each in found.bins] == [0, 0, 0, 2]
    assert found.error == pytest.approx(0.5)


def test_the_pair_with_most_mistakes_comes_first_with_its_surest_clips() -> None:
    said = np.array(
        [[0.2, 0.8, 0], [0.1, 0.9, 0], [0.4, 0.6, 0], [0, 0.3, 0.7], [1, 0, 0], [0.05, 0, 0.95]]
    )
    labels = np.array([0, 0, 0, 1, 0, 1])
    first, second = most_confused(said, labels, clips=2)
    assert (first.label, first.predicted, first.clips, first.share) == (0, 1, 3, 0.75)
    assert first.worst == (1, 0)
    assert (second.label, second.predicted, second.worst) == (1, 2, (5, 3))
    assert surest_mistakes(said, labels, 3) == [5, 1, 0]


def tags(count: int = 50, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(seed)
    labels = (source.random((count, classes)) < 0.3).astype(np.float32)
    said = np.round(np.clip(0.4 * labels + source.random((count, classes)) * 0.6, 0, 1), 1)
    return said, labels  # rounded: many ties


def test_average_precision_is_that_of_scikit_learn_with_ties() -> None:
    said, labels = tags()
    found = precision(said, labels, ["a", "b", "c", "d"])
    wanted = [average_precision_score(labels[:, at], said[:, at]) for at in range(4)]
    assert list(found.per_class.values()) == pytest.approx(wanted)
    assert found.map == pytest.approx(np.mean(wanted))


def test_weighted_average_precision_is_that_of_clips_drawn_so_often() -> None:
    said, labels = tags()
    figure = figures_of(column(said, labels, "multi"))["map"]
    drawn = np.random.default_rng(1).integers(0, 50, 50)
    weights = np.bincount(drawn, minlength=50)[None].astype(float)
    wanted = [average_precision_score(labels[drawn, at], said[drawn, at]) for at in range(4)]
    assert figure(weights)[0] == pytest.approx(np.mean(wanted))


def test_labels_that_are_not_known_and_classes_without_a_clip_are_left_out() -> None:
    said, labels = tags()
    labels[:, 3] = 0
    labels[::2] = np.nan
    found = precision(said, labels, ["a", "b", "c", "d"])
    assert set(found.per_class) == {"a", "b", "c"} and found.clips == 25
    wanted = average_precision_score(labels[1::2, 0], said[1::2, 0])
    assert found.per_class["a"] == pytest.approx(wanted)
    assert np.isnan(precision(said, np.zeros_like(labels), "abcd").map)


def test_figures_of_numbers_are_those_of_scikit_learn_and_scipy() -> None:
    source = np.random.default_rng(0)
    labels = 1e6 + source.normal(size=40)  # far from 0: sums of squares would lose digits
    said = labels + 0.5 * source.normal(size=40)
    found = errors(said, np.append(labels[:39], np.nan))
    assert found.clips == 39
    assert found.mse == pytest.approx(mean_squared_error(labels[:39], said[:39]))
    assert found.pearson == pytest.approx(pearsonr(labels[:39], said[:39]).statistic)
    drawn = source.integers(0, 40, 40)
    weights = np.bincount(drawn, minlength=40)[None].astype(float)
    figure = figures_of(column(said, labels, "number"))
    assert figure["pearson"](weights)[0] == pytest.approx(
        pearsonr(labels[drawn], said[drawn]).statistic
    )


def test_a_constant_prediction_has_no_correlation() -> None:
    found = errors(np.full(5, 2.0), np.arange(5.0)).to_json()
    assert found["pearson"] is None and found["mse"] == pytest.approx(2.0)
    assert errors(np.zeros(2), np.full(2, np.nan)).to_json()["mse"] is None
