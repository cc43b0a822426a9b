"""Which clips of a batch stand side by side: never two of one video, where that can be."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everest.augment.neighbours import apart, repeated


@given(st.lists(st.integers(0, 4), max_size=12))
def test_neighbours_differ_wherever_there_is_an_order_in_which_they_do(rows: list[int]) -> None:
    order = apart(rows)
    assert sorted(order) == list(range(len(rows)))
    pairs = [(rows[order[at]], rows[order[at + 1]]) for at in range(0, len(rows) - 1, 2)]
    paired = [row for pair in pairs for row in pair]
    most = max(Counter(paired).values(), default=0)
    if most <= len(pairs):
        assert all(one != other for one, other in pairs)
    else:  # too many of one: every pair that can has one of it
        assert sum(one == other for one, other in pairs) == most - len(pairs)


def test_positions_stay_where_nothing_is_wrong() -> None:
    assert apart([1, 2, 3, 1, 2, 1]) == list(range(6))
    assert apart([1, 1, 2, 3, 4, 5]) == [0, 2, 1, 3, 4, 5]


@pytest.mark.parametrize("videos", [2, 3, 4, 7, 16])
@pytest.mark.parametrize("repeats", [1, 2, 3, 4])
def test_repeats_of_one_video_are_no_neighbours(videos: int, repeats: int) -> None:
    places = repeated(videos, repeats)
    assert sorted(places) == sorted((v, r) for v in range(videos) for r in range(repeats))
    for at in range(0, len(places) - 1, 2):
        assert places[at][0] != places[at + 1][0]


def test_a_repeat_meets_another_partner() -> None:
    places = [video for video, _ in repeated(8, 2)]
    pairs = [frozenset(places[at : at + 2]) for at in range(0, 16, 2)]
    assert len(set(pairs)) == 8


def test_without_repeats_a_batch_stays_in_its_order() -> None:
    assert repeated(5, 1) == [(place, 0) for place in range(5)]
