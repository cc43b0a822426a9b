"""Bootstrap intervals: keyed draws of clips or groups, held against SciPy's."""

import numpy as np
import pytest
from scipy.stats import bootstrap as theirs

from everest.metrics.resampling import (
    bootstrap,
    difference,
    share_of,
    times_drawn,
    units_of,
)
from fairness import believed


def half_right(count: int = 80, share: float = 0.7, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(count) < share


def each(count: int) -> np.ndarray:
    return np.arange(count)


def test_the_interval_of_a_share_is_that_of_an_independent_bootstrap() -> None:
    right = half_right()
    found = bootstrap({"top1": share_of(right)}, each(80), resamples=4000)["top1"]
    wanted = theirs(
        (right.astype(float),), np.mean, n_resamples=4000, method="percentile", rng=0
    ).confidence_interval
    assert found == pytest.approx((wanted.low, wanted.high), abs=0.02)


def test_every_clip_is_drawn_equally_often_and_as_many_as_there_are() -> None:
    drawn = np.concatenate(list(times_drawn(13, 600, seed=3)))
    assert drawn.shape == (600, 13)
    assert (drawn.sum(axis=1) == 13).all()
    assert believed(drawn.sum(axis=0)) > 1e-4
    assert len({row.tobytes() for row in drawn}) > 590


def test_the_draws_are_a_function_of_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = half_right()
    first = bootstrap({"top1": share_of(right)}, each(80), seed=5, resamples=300)
    monkeypatch.setattr("everest.metrics.resampling.AT_ONCE", 80 * 7)  # other parts, same draws
    assert bootstrap({"top1": share_of(right)}, each(80), seed=5, resamples=300) == first
    assert bootstrap({"top1": share_of(right)}, each(80), seed=6, resamples=300) != first


def test_clips_of_a_group_are_drawn_together_so_that_its_interval_is_wider() -> None:
    groups = np.repeat(np.arange(8), 10)
    right = np.repeat(half_right(8, 0.5, seed=1), 10)  # all clips of a group alike
    alone = bootstrap({"top1": share_of(right)}, each(80))["top1"]
    whole = bootstrap({"top1": share_of(right)}, groups)["top1"]
    assert alone is not None and whole is not None
    assert whole[1] - whole[0] > 2 * (alone[1] - alone[0])


def test_a_difference_over_the_same_clips_has_a_narrower_interval_than_its_parts() -> None:
    one = half_right()
    other = one.copy()
    other[:4] = ~other[:4]
    figures = {
        "one": share_of(one),
        "difference": difference(share_of(other), share_of(one)),
        "nothing": difference(share_of(one), share_of(one)),
    }
    found = bootstrap(figures, each(80))
    assert found["nothing"] == (0.0, 0.0)
    assert found["one"] is not None and found["difference"] is not None
    low, high = found["difference"]
    assert low <= other.mean() - one.mean() <= high
    assert high - low < (found["one"][1] - found["one"][0]) / 1.5


def test_a_clip_without_a_group_is_drawn_by_itself() -> None:
    assert units_of(["a", None, "a", None, "b"]).tolist() == [0, 1, 0, 2, 3]


def test_of_one_unit_there_is_no_interval() -> None:
    assert bootstrap({"top1": share_of(np.array([True, False]))}, np.array([0, 0])) == {
        "top1": None
    }
    assert bootstrap({"top1": share_of(np.array([], bool))}, np.array([], int)) == {"top1": None}


def test_a_figure_that_is_no_number_in_some_resample_has_no_interval() -> None:
    found = bootstrap({"odd": lambda weights: np.where(weights[:, 0] > 0, 1.0, np.nan)}, each(5))
    assert found == {"odd": None}
