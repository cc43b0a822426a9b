"""The clips of an epoch, and their order, depend on the seed and nothing else."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from everest.augment.clip import Changes
from everest.augment.mixing import Mixing
from everest.augment.spec import parse
from everest.clips import Clips
from everest.crops import Sides
from everest.index import Row
from everest.loading import Loader, Sampling, evaluation_framing
from everest.reading import Clip, Framing
from filming import number, write_film

FPS = 25
FRAMES = 40  # of a video
SIDES: Sides = (32, 64)
STILL = Framing(SIDES, crop="center")


def sampling_of(frames: int = 4, stride: float = 1, **more: object) -> Sampling:
    base = Sampling(frames, stride, None, STILL, evaluation_framing(STILL))
    return replace(base, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """Seven videos whose frames carry their numbers; the label is the number of the video."""
    folder = tmp_path_factory.mktemp("films")
    return [
        Row(
            str(write_film(folder / f"{number}.mp4", FRAMES)),
            {"label": number},
            None,
            None,
            None,
            None,
            FRAMES,
            FPS,
            SIDES[1],
            SIDES[0],
        )
        for number in range(7)
    ]


@pytest.fixture
def loader_of() -> Iterator[Callable[..., Loader]]:
    made: list[Loader] = []

    def make(rows: list[Row], sampling: Sampling | None = None, **more: object) -> Loader:
        made.append(Loader(rows, sampling or sampling_of(), **more))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for loader in made:
        loader.close()


def assert_same(one: list[Clips], other: list[Clips]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        for left, right in zip(a[:5], b[:5], strict=True):
            if isinstance(left, dict):
                assert left.keys() == right.keys()
                assert all(left[name].equal(right[name]) for name in left)
            else:
                assert left.equal(right)


def order_of(batches: list[Clips]) -> list[int]:
    return [row for clips in batches for row in clips.row.tolist()]


def numbers_of(clips: Clips, slot: int = 0) -> list[int]:
    """The numbers that the frames of a clip carry."""
    return [number(frame) for frame in clips.video[slot].permute(1, 2, 3, 0).numpy()]


# Shape and order


def test_a_batch_has_the_clips_and_all_that_belongs_to_them(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    clips = next(loader_of(rows).epoch(0, 3))
    assert clips.video.shape == (3, 3, 4, *SIDES) and clips.video.dtype == torch.uint8
    assert clips.weight.tolist() == [1, 1, 1]
    assert clips.labels["label"].tolist() == clips.row.tolist()
    assert clips.key.dtype == torch.int64 and len(set(clips.key.tolist())) == 3


@pytest.mark.parametrize("workers", [1, 2])
def test_clips_are_the_same_for_any_number_of_processes(
    workers: int, rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    framing = Framing((24, 24), crop="multiscale", flip=0.5)
    sampling = sampling_of(training=framing, evaluation=evaluation_framing(framing))
    alone = loader_of(rows, sampling, clips_per_video=2)
    many = loader_of(rows, sampling, clips_per_video=2, workers=workers)
    for epoch in (0, 1):
        assert_same(list(alone.epoch(epoch, 4)), list(many.epoch(epoch, 4)))
    assert_same(list(alone.evaluation(4, views=2)), list(many.evaluation(4, views=2)))


def test_the_order_is_a_function_of_seed_and_epoch(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return order_of(list(loader_of(rows, sampling_of(seed=seed)).epoch(epoch, 1)))

    assert order(0, 0) == order(0, 0)
    assert sorted(order(0, 0)) == list(range(len(rows)))
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_another_epoch_shows_other_frames_of_the_same_video(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    loader = loader_of(rows[:1])
    starts = {numbers_of(next(loader.epoch(epoch, 1)))[0] for epoch in range(6)}
    assert len(starts) > 2


def test_the_last_part_of_a_batch_is_left_out(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    batches = list(loader_of(rows).epoch(0, 3))
    assert [len(clips.weight) for clips in batches] == [3, 3]
    assert len(set(order_of(batches))) == 6


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("start", [1, 2, 3])
def test_an_epoch_begun_in_its_middle_gives_the_rest(
    start: int, workers: int, rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    whole = list(loader_of(rows).epoch(1, 2))
    assert_same(list(loader_of(rows, workers=workers).epoch(1, 2, start=start)), whole[start:])


def test_evaluation_shows_every_row_once_in_order_with_a_smaller_last_batch(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    batches = list(loader_of(rows).evaluation(4))
    assert [len(clips.weight) for clips in batches] == [4, 3]
    assert order_of(batches) == list(range(7))
    middle = list(range(18, 22))
    assert [numbers_of(batches[0], slot) for slot in range(4)] == [middle] * 4


def test_views_are_spread_over_the_video(rows: list[Row], loader_of: Callable[..., Loader]) -> None:
    batches = list(loader_of(rows[:2]).evaluation(1, views=3))
    assert [numbers_of(clips) for clips in batches[:3]] == [
        [0, 1, 2, 3],
        [18, 19, 20, 21],
        [36, 37, 38, 39],
    ]
    assert order_of(batches) == [0, 0, 0, 1, 1, 1]


def test_crops_of_a_view_lie_along_the_longer_side(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    square = evaluation_framing(Framing((32, 32)))
    sampling = sampling_of(training=square, evaluation=square)
    clips = next(loader_of(rows[:1], sampling).evaluation(3, crops=3))
    whole = next(loader_of(rows[:1]).evaluation(1)).video[0]
    for slot, left in enumerate((0, 16, 32)):
        assert clips.video[slot].equal(whole[:, :, :, left : left + 32])


# Spans, strides and repeats


def test_a_span_in_seconds_bounds_the_frames_of_its_clips(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    row = replace(rows[0], start=0.4, end=0.8)  # frames 10 to 19
    loader = loader_of([row])
    seen = {at for epoch in range(40) for at in numbers_of(next(loader.epoch(epoch, 1)))}
    assert seen == set(range(10, 20))
    assert numbers_of(next(loader.evaluation(1))) == [13, 14, 15, 16]


def test_a_clip_longer_than_its_video_repeats_the_last_frame(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    loader = loader_of([replace(rows[0], end=3 / FPS)], sampling_of(frames=6))
    assert numbers_of(next(loader.evaluation(1))) == [0, 1, 2, 2, 2, 2]


def test_a_stride_leaves_frames_out(rows: list[Row], loader_of: Callable[..., Loader]) -> None:
    assert numbers_of(next(loader_of(rows, sampling_of(stride=5)).evaluation(1))) == [
        10,
        15,
        20,
        25,
    ]


def test_a_rate_in_frames_a_second_is_held_against_the_videos_own(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    loader = loader_of(rows, sampling_of(fps=5.0))
    found = numbers_of(next(loader.evaluation(1)))
    assert np.diff(found).tolist() == [5, 5, 5]


@pytest.mark.parametrize(
    ("seconds", "fps", "clips"), [(0.5, 25, 1), (10, 25, 1), (10.1, 25, 2), (61, 8, 7), (0, 0, 1)]
)
def test_auto_takes_a_clip_of_each_started_ten_seconds(
    seconds: float, fps: float, clips: int, rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    row = replace(rows[0], frames=max(round(seconds * fps), 1), fps=fps)
    assert len(loader_of([row], clips_per_video="auto")) == clips
    assert len(loader_of([row, row], clips_per_video=3)) == 6


def test_clips_of_one_video_have_keys_of_their_own(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    loader = loader_of(rows[:2], clips_per_video=4)
    keys = [clips.key.item() for epoch in (0, 1) for clips in loader.epoch(epoch, 1)]
    assert len(keys) == len(set(keys)) == 16


# Segments


def test_segment_clips_take_a_frame_of_each_part_of_the_video(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    loader = loader_of(rows[:1], sampling_of(together=1))
    drawn = np.array([numbers_of(next(loader.epoch(epoch, 1))) for epoch in range(30)])
    assert ((drawn // 10) == [0, 1, 2, 3]).all()
    assert all(len(set(column)) > 4 for column in drawn.T)
    assert numbers_of(next(loader.evaluation(1))) == [5, 15, 25, 35]
    views = list(loader.evaluation(1, views=2))
    assert [numbers_of(clips) for clips in views] == [[0, 10, 20, 30], [5, 15, 25, 35]]


def test_candidate_pairs_of_segments_are_neighbours_spread_over_the_video(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    loader = loader_of(rows[:1], sampling_of(8, 2, together=2))
    drawn = np.array([numbers_of(next(loader.epoch(epoch, 1))) for epoch in range(20)])
    assert (np.diff(drawn.reshape(-1, 2), axis=1) == 2).all()
    assert ((drawn[:, ::2] // 10) == [0, 1, 2, 3]).all()
    assert numbers_of(next(loader.evaluation(1))) == [4, 6, 14, 16, 24, 26, 34, 36]


# Repeats and mixing


CHANGED = Framing((24, 24), crop="area", flip=0.5, changes=Changes(parse("rand-m7-n2-inc1"), 0.4))
MIXING = Mixing(0.8, 1.0, 0.1, {"label": 7})


def changed_loader(
    make: Callable[..., Loader], rows: list[Row], *, mixing: Mixing | None = MIXING, **more: object
) -> Loader:
    sampling = sampling_of(training=CHANGED, evaluation=evaluation_framing(CHANGED))
    return make(rows, sampling, mixing=mixing, **more)


def test_changed_repeated_and_mixed_batches_are_the_same_for_any_number_of_processes(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    alone, many = (
        changed_loader(loader_of, rows, repeats=2, clips_per_video=2, workers=workers)
        for workers in (0, 2)
    )
    for epoch in (0, 1):
        assert_same(list(alone.epoch(epoch, 4)), list(many.epoch(epoch, 4)))
    resumed = changed_loader(loader_of, rows, repeats=2, clips_per_video=2)
    assert_same(list(resumed.epoch(1, 4, start=2)), list(alone.epoch(1, 4))[2:])


def test_a_decode_gives_as_many_clips_as_repeats_and_steps_stay_as_many(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    once = list(changed_loader(loader_of, rows, mixing=None).epoch(0, 3))
    loader = changed_loader(loader_of, rows, mixing=None, repeats=3)
    asked = 0
    read = loader.reader.map

    def counting(requests: Iterator) -> Iterator:
        nonlocal asked
        for clip in read(requests):
            asked += 1
            yield clip

    loader.reader.map = counting  # type: ignore[method-assign, assignment]
    batches = list(loader.epoch(0, 3))
    assert asked == 6 and len(batches) == len(once) == 2
    for clips, single in zip(batches, once, strict=True):
        assert clips.video.shape == (9, 3, 4, 24, 24)
        assert clips.part(0, 3).video.equal(single.video)
        assert clips.part(0, 3).key.equal(single.key)
        assert sorted(clips.row.tolist()) == sorted(single.row.tolist() * 3)
        assert clips.labels["label"].tolist() == clips.row.tolist()
        assert len(set(clips.key.tolist())) == 9
        assert len({video.numpy().tobytes() for video in clips.video}) == 9


@pytest.mark.parametrize(("repeats", "views"), [(2, 1), (3, 2)])
def test_mixed_neighbours_are_never_of_one_video(
    repeats: int, views: int, rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    loader = changed_loader(loader_of, rows, repeats=repeats, clips_per_video=views)
    for epoch in range(3):
        for clips in loader.epoch(epoch, 4):
            pairs = clips.row.view(-1, 2)
            assert (pairs[:, 0] != pairs[:, 1]).all()
            shares = clips.labels["label"]
            assert shares.shape == (4 * repeats, 7)
            # Of each clip's label, and of its neighbour's, beyond what smoothing gives to all.
            large = shares.topk(3).values
            assert (large[:, 2] < 0.1 / 7 + 1e-6).all()
            assert shares.gather(1, clips.row[:, None]).min() > 0.1 / 7 - 1e-6


def test_mixed_clips_are_the_unmixed_ones_mixed(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    plain = next(changed_loader(loader_of, rows, mixing=None).epoch(0, 6))
    assert_same([next(changed_loader(loader_of, rows).epoch(0, 6))], [MIXING(plain)])


def test_evaluation_is_never_changed_repeated_or_mixed(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    plain = sampling_of(training=Framing((24, 24)), evaluation=evaluation_framing(CHANGED))
    loader = changed_loader(loader_of, rows, repeats=2)
    assert_same(list(loader.evaluation(4)), list(loader_of(rows, plain).evaluation(4)))
    assert evaluation_framing(CHANGED).changes is None


def test_all_clips_of_a_decode_that_failed_have_weight_0_and_do_not_mix(
    rows: list[Row], tmp_path: Path, loader_of: Callable[..., Loader]
) -> None:
    faulty = broken(rows, tmp_path)
    clips = next(changed_loader(loader_of, faulty, repeats=2).epoch(0, 7))
    is_bad = (clips.row == 2) | (clips.row == 3)
    assert clips.weight.tolist() == (~is_bad).float().tolist() and int(is_bad.sum()) == 4
    assert not clips.video[is_bad].any()
    beside = is_bad.view(-1, 2).flip(1).flatten()
    kept = clips.labels["label"].gather(1, clips.row[:, None])[:, 0]
    assert kept[is_bad | beside].allclose(torch.tensor(0.9 + 0.1 / 7))
    assert (kept[~is_bad & ~beside] < 0.9 + 0.1 / 7 - 1e-6).any()


# Bad files


def broken(rows: list[Row], folder: Path) -> list[Row]:
    """The rows, one of them a file that is none and one known to be bad."""
    path = folder / "2.mp4"
    path.write_bytes(b"no film")
    return [
        *rows[:2],
        replace(rows[2], path=str(path)),
        replace(rows[3], bad="0 bytes", frames=0, fps=0.0),
        *rows[4:],
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_file_keeps_its_slot_as_zeros_with_weight_0_and_is_listed(
    workers: int, rows: list[Row], tmp_path: Path, loader_of: Callable[..., Loader]
) -> None:
    faulty = broken(rows, tmp_path)
    loader = loader_of(faulty, workers=workers)
    good = loader_of(rows)
    for epoch in (0, 1):
        batches, whole = list(loader.epoch(epoch, 7)), list(good.epoch(epoch, 7))
        assert order_of(batches) == order_of(whole)
        clips, other = batches[0], whole[0]
        assert clips.key.equal(other.key)
        unread = [slot for slot, row in enumerate(clips.row.tolist()) if row in (2, 3)]
        assert [slot for slot, weight in enumerate(clips.weight) if not weight] == unread
        for slot in range(7):
            wanted = other.video[slot] if slot not in unread else other.video[slot] * 0
            assert clips.video[slot].equal(wanted)
    listed = loader.bad_files()
    assert [entry["path"] for entry in listed] == sorted((faulty[2].path, faulty[3].path))
    by_path = {entry["path"]: entry["reason"] for entry in listed}
    assert by_path[faulty[3].path] == "0 bytes"
    assert faulty[2].path not in by_path[faulty[2].path] and by_path[faulty[2].path]


def test_a_row_without_a_frame_counts_as_bad(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    loader = loader_of([replace(rows[0], frames=0), rows[1]])
    assert [entry["path"] for entry in loader.bad_files()] == [rows[0].path]
    assert next(loader.evaluation(2)).weight.tolist() == [0, 1]


EARLIER, LATER = range(FRAMES // 2), range(FRAMES // 2, FRAMES)


class HalfBad:
    """Stands for a file half of which cannot be decoded: counts what it is asked for."""

    def __init__(self, bad: range) -> None:
        self.bad = bad  # frames
        self.asked = 0

    def map(self, requests: Iterator) -> Iterator:
        taken = []
        for request in requests:
            taken.append(request)  # reads three ahead, as processes would
            if len(taken) < 3:
                continue
            yield self.read(taken.pop(0))
        yield from map(self.read, taken)

    def read(self, request: object) -> object:
        from everest.workers import Failure

        self.asked += 1
        if set(self.bad).intersection(request.indices):  # type: ignore[attr-defined]
            return Failure("a frame cannot be decoded")
        return Clip(np.full((4, *SIDES, 3), 7, np.uint8))

    def close(self) -> None:
        pass


def weights_of(batches: Iterator[Clips]) -> list[float]:
    return [weight for clips in batches for weight in clips.weight.tolist()]


def test_a_file_bad_in_parts_is_tried_until_the_epoch_ends_and_set_aside_from_the_next_on(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    loader = loader_of(rows[:1], clips_per_video=8)
    loader.reader = half = HalfBad(LATER)  # type: ignore[assignment]
    first = weights_of(loader.epoch(0, 2))
    assert 0 < sum(first) < 8 and half.asked == 8
    assert weights_of(loader.epoch(1, 2)) == [0.0] * 8 and half.asked == 8


def test_a_resume_sets_the_same_files_aside_at_the_same_time(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    whole, stopped, resumed = (loader_of(rows[:1], clips_per_video=8) for _ in range(3))
    for loader in (whole, stopped, resumed):
        loader.reader = HalfBad(LATER)  # type: ignore[assignment]
    epochs = [weights_of(whole.epoch(epoch, 2)) for epoch in (0, 1)]
    begun = stopped.epoch(0, 2)
    before = weights_of(iter([next(begun), next(begun), next(begun)]))
    assert 0.0 in before
    resumed.restore(stopped.set_aside())
    rest = [weights_of(resumed.epoch(0, 2, start=3)), weights_of(resumed.epoch(1, 2))]
    assert [before + rest[0], rest[1]] == epochs
    assert resumed.bad_files() == whole.bad_files()


@pytest.mark.parametrize(
    ("bad", "weights"), [(LATER, [1, 1, 0, 0, 0]), (EARLIER, [0, 0, 0, 1, 1])], ids=str
)
def test_views_of_a_file_bad_in_parts_do_not_depend_on_each_other(
    bad: range, weights: list[float], rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    loader = loader_of(rows[:1])
    loader.reader = HalfBad(bad)  # type: ignore[assignment]
    assert weights_of(loader.evaluation(5, views=5)) == weights


def test_a_negative_number_of_processes_is_refused(rows: list[Row]) -> None:
    with pytest.raises(ValueError, match="--workers -1: give the number"):
        Loader(rows, sampling_of(), -1)


def test_the_time_that_training_waits_for_clips_is_counted(
    rows: list[Row], loader_of: Callable[..., Loader]
) -> None:
    loader = loader_of(rows)
    assert loader.waited == 0
    list(loader.epoch(0, 7))
    assert 0 < loader.waited < 60
