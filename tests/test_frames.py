"""Which source frames become a clip: METHOD.md 1.5, held against independent counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everest import frames, keys
from fairness import LEVEL, believed

TOTALS = st.integers(1, 400)
LENGTHS = st.integers(1, 32)
STRIDES = st.one_of(st.integers(1, 8), st.floats(0.2, 9))
PLACES = st.floats(0, 1, exclude_min=True, exclude_max=True)


@pytest.mark.parametrize(("total", "starts"), [(100, 37), (64, 1), (65, 2), (10, 1)])
def test_a_training_clip_may_start_at_every_place_it_fits(total: int, starts: int) -> None:
    drawn = [frames.window(total, 16, 4, (at + 0.5) / 2000)[0] for at in range(2000)]
    assert set(drawn) == set(range(starts))


def test_starts_of_training_clips_are_equally_likely() -> None:
    drawn = [
        frames.window(84, 16, 4, keys.uniform(keys.make_key(0, clip), "clip.start"))[0]
        for clip in range(4000)
    ]
    assert believed(np.bincount(drawn, minlength=21)) > LEVEL


def test_a_training_clip_goes_at_its_stride() -> None:
    assert frames.window(100, 5, 4, 0.5) == [40, 44, 48, 52, 56]


def test_a_clip_longer_than_its_video_repeats_the_last_frame_reached() -> None:
    assert frames.window(10, 6, 4, 0.99) == [0, 4, 8, 8, 8, 8]
    assert frames.middle(10, 6, 4) == [0, 4, 8, 8, 8, 8]
    assert frames.views(10, 6, 4, 2) == [[0, 4, 8, 8, 8, 8]] * 2
    assert frames.window(1, 4, 2, 0.5) == [0, 0, 0, 0]


def test_a_stride_may_be_a_fraction() -> None:
    assert frames.window(20, 4, 2.5, 0.001) == [0, 2, 5, 7]
    assert frames.window(20, 6, 0.5, 0.001) == [0, 0, 1, 1, 2, 2]


def test_the_middle_clip_leaves_as_much_on_either_side() -> None:
    found = frames.middle(101, 10, 4)
    assert found == list(range(30, 70, 4))
    assert found[0] == 30 and 101 - (found[0] + 40) == 31


def naive_end(total: int, length: int, stride: int, place: float) -> list[int]:
    """METHOD.md 1.5, fine-tuning clip, in numpy."""
    span = length * stride
    if total > span:
        ends = list(range(span, total))
        end = ends[int(place * len(ends))]
        return np.clip(np.linspace(end - span, end, length), 0, end - 1).astype(int).tolist()
    found = np.linspace(0, total, total // stride)
    found = np.concatenate((found, np.full(length - len(found), total)))
    return np.clip(found, 0, total - 1).astype(int).tolist()


@given(st.integers(8, 400), st.integers(2, 32), st.integers(1, 8), PLACES)
def test_a_fine_tuning_clip_ends_where_it_is_drawn(
    total: int, length: int, stride: int, place: float
) -> None:
    found = frames.drawn_end(total, length, stride, place)
    assert found == naive_end(total, length, stride, place)


def test_ends_of_fine_tuning_clips_go_from_the_span_to_the_last_frame() -> None:
    ends = {frames.drawn_end(70, 16, 4, (at + 0.5) / 600)[-1] + 1 for at in range(600)}
    assert ends == set(range(64, 70))


def naive_views(total: int, length: int, stride: int, count: int) -> list[list[int]]:
    """METHOD.md 1.5, dense test, as its sentence says it."""
    listed = list(range(0, total, stride))
    while len(listed) < length:
        listed.append(listed[-1])
    n = len(listed)
    starts = [int(c * max((n - length) / (count - 1), 0)) for c in range(count)]
    return [listed[start : start + length] for start in starts]


@given(TOTALS, st.integers(1, 16), st.integers(1, 6), st.integers(2, 10))
def test_views_are_spread_over_the_frames_at_the_stride(
    total: int, length: int, stride: int, count: int
) -> None:
    assert frames.views(total, length, stride, count) == naive_views(total, length, stride, count)


def test_five_views_reach_from_the_first_frame_to_the_last() -> None:
    found = frames.views(401, 16, 4, 5)
    assert [view[0] for view in found] == [0, 84, 168, 252, 340]
    assert found[-1][-1] == 400


def test_one_view_is_the_middle_one() -> None:
    assert frames.views(101, 10, 4, 1) == [frames.middle(101, 10, 4)]


# Segments


@given(TOTALS, LENGTHS)
def test_one_and_two_views_of_segments_are_the_published_ones(total: int, count: int) -> None:
    tick = total / count
    listed = sorted(
        [int(tick / 2 + tick * x) for x in range(count)] + [int(tick * x) for x in range(count)]
    )
    assert frames.segment_views(total, count, 2) == [listed[0::2], listed[1::2]]
    assert frames.segment_views(total, count, 1) == [listed[1::2]]


@given(TOTALS, LENGTHS, st.integers(2, 5))
def test_views_of_segments_lie_evenly_between_their_edges(
    total: int, count: int, views: int
) -> None:
    found = frames.segment_views(total, count, views)
    assert len(found) == views and found[0] == [int(total / count * x) for x in range(count)]
    for view, clip in enumerate(found):
        wanted = (np.arange(count) + view / views) * total / count
        assert np.abs(np.floor(wanted + 1e-9) - clip).max() <= 1
        assert np.abs(clip - wanted).max() < 1 + 1e-9


@given(st.integers(8, 400), st.lists(PLACES, min_size=1, max_size=8))
def test_each_segment_gives_a_frame_of_its_own(total: int, places: list[float]) -> None:
    found = frames.segments(total, places)
    tick = total / len(places)
    for number, frame in enumerate(found):
        assert int(tick * number) <= frame <= tick * (number + 1)
    assert len(found) == len(places) and found == sorted(found) and found[-1] < total


def test_every_frame_of_a_segment_is_equally_likely() -> None:
    drawn = np.array(
        [
            frames.segments(
                60, [keys.uniform(keys.make_key(0, clip), "clip.segment", at) for at in range(4)]
            )
            for clip in range(3000)
        ]
    )
    for number, column in enumerate(drawn.T):
        assert believed(np.bincount(column - 15 * number, minlength=15)) > LEVEL
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.06


@given(TOTALS, st.lists(PLACES, min_size=1, max_size=8), st.integers(1, 3), st.integers(1, 6))
def test_pairs_of_segments_are_spread_and_never_stretched(
    total: int, places: list[float], together: int, stride: int
) -> None:
    found = np.array(frames.segments(total, places, together=together, stride=stride))
    groups = found.reshape(len(places), together)
    reach, tick = (together - 1) * stride, total / len(places)
    assert found.min() >= 0 and found.max() < total
    if total > reach:
        assert (np.diff(groups, axis=1) == stride).all()
    if tick >= reach + 1:
        for number, group in enumerate(groups):
            assert int(tick * number) <= group[0] and group[-1] <= tick * (number + 1)


def test_a_pair_stands_in_the_middle_of_its_segment_in_evaluation() -> None:
    assert frames.segment_views(100, 2, 1, together=2, stride=4) == [[23, 27, 73, 77]]


def test_a_video_of_fewer_frames_than_segments_repeats_them() -> None:
    assert frames.segment_views(2, 4, 1) == [[0, 0, 1, 1]]
    assert frames.segments(1, [0.5] * 3, together=2, stride=4) == [0] * 6


@given(TOTALS, LENGTHS, STRIDES, PLACES, st.integers(1, 6))
def test_every_index_is_a_frame_of_the_video_and_none_goes_back(
    total: int, length: int, stride: float, place: float, count: int
) -> None:
    clips = [
        frames.window(total, length, stride, place),
        frames.drawn_end(total, length, stride, place),
        frames.middle(total, length, stride),
        *frames.views(total, length, stride, count),
    ]
    for clip in clips:
        assert len(clip) == length
        assert 0 <= min(clip) and max(clip) < total
        assert clip == sorted(clip)


@given(TOTALS, st.integers(1, 8), st.integers(1, 3), PLACES)
def test_a_longer_window_for_frame_selection_starts_with_the_same_rule(
    total: int, pairs: int, stride: int, place: float
) -> None:
    found = frames.window(total, 3 * pairs, stride, place)
    assert found == frames.at_stride(found[0], total, 3 * pairs, stride)
    assert found[0] + 3 * pairs * stride <= max(total, 3 * pairs * stride)


def test_spread_holds_both_ends() -> None:
    assert frames.spread(0, 10, 5) == [0, 2.5, 5, 7.5, 10]
    assert frames.spread(3, 10, 1) == [3]


@pytest.mark.parametrize(
    ("start", "end", "wanted"),
    [
        (None, None, (0, 100)),
        (1.0, None, (25, 75)),
        (None, 2.0, (0, 50)),
        (1.0, 2.0, (25, 25)),
        (1.0, 9.0, (25, 75)),  # an end past the video
        (9.0, 10.0, (99, 1)),  # a start past the video
        (2.0, 2.0, (50, 1)),
    ],
)
def test_a_span_in_seconds_has_at_least_one_frame(
    start: float | None, end: float | None, wanted: tuple[int, int]
) -> None:
    assert frames.span_of(100, 25.0, start, end) == wanted


def test_shifted_indices_count_from_the_spans_first_frame() -> None:
    assert frames.shifted([0, 4, 4], 25) == [25, 29, 29]
