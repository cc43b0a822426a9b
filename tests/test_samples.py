"""The generated clips hold their label in the motion and nowhere else."""

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from everest.samples import DIRECTIONS, _digits_by_split, draw_samples, make_samples

CHANCE = 1 / len(DIRECTIONS)
FRAMES, SIDE = 6, 64
SMALL = {"train": 3, "val": 2, "test": 2, "size": 32, "frames": 4}


def decode(path: Path) -> np.ndarray:
    import av

    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@dataclass(frozen=True)
class Set:
    """All clips of a folder as they come out of their files."""

    grey: np.ndarray  # (N, T, S/4, S/4) float, from 0 to 1
    label: np.ndarray  # (N,)
    is_train: np.ndarray  # (N,) bool

    def hits(self, model: object, features: np.ndarray, label: np.ndarray) -> tuple[int, int]:
        """Trains on the train clips; returns the right answers on test clips and their number."""
        flat = features.reshape(len(features), -1)
        model.fit(flat[self.is_train], label[self.is_train])
        is_right = model.predict(flat[~self.is_train]) == label[~self.is_train]
        return int(is_right.sum()), len(is_right)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Set:
    folder = tmp_path_factory.mktemp("samples")
    table = make_samples(folder, train=320, val=0, test=160, size=SIDE, frames=FRAMES)
    listed = rows(table)
    videos = np.stack([decode(folder / row["path"]).mean(-1) for row in listed]) / 255
    small = videos.reshape(len(videos), FRAMES, SIDE // 4, 4, SIDE // 4, 4).mean((3, 5))
    names = sorted(DIRECTIONS)
    label = np.array([names.index(row["label"]) for row in listed])
    return Set(small, label, np.array([row["split"] == "train" for row in listed]))


def models() -> list:
    return [LogisticRegression(C=0.1, max_iter=1000), KNeighborsClassifier(5)]


@pytest.mark.parametrize("model", models(), ids=["linear", "neighbours"])
@pytest.mark.parametrize("time", [0, FRAMES // 2, FRAMES - 1])
def test_one_frame_tells_nothing_of_the_label(clips: Set, model, time):
    right, total = clips.hits(model, clips.grey[:, time], clips.label)
    interval = binomtest(right, total, CHANCE).proportion_ci(0.999, method="exact")
    assert interval.low <= CHANCE <= interval.high, f"{right} of {total}"


@pytest.mark.parametrize("model", models(), ids=["linear", "neighbours"])
def test_the_same_classifiers_do_tell_from_one_frame_where_the_digit_is(clips: Set, model):
    frames = clips.grey[:, FRAMES // 2]
    bright = np.maximum(frames - np.median(frames, axis=2, keepdims=True), 0)
    half = bright.shape[1] // 2
    is_left = (bright[:, :, :half].sum((1, 2)) > bright[:, :, half:].sum((1, 2))).astype(int)
    right, total = clips.hits(model, frames, is_left)
    assert binomtest(right, total, 0.5, alternative="greater").pvalue < 0.001, f"{right} of {total}"


@pytest.mark.parametrize("model", models(), ids=["linear", "neighbours"])
def test_two_frames_tell_the_label(clips: Set, model):
    middle = FRAMES // 2
    change = clips.grey[:, middle + 1] - clips.grey[:, middle - 1]
    down, right_ = np.gradient(clips.grey[:, middle], axis=(1, 2))
    flow = np.stack([(change * down).mean((1, 2)), (change * right_).mean((1, 2))], 1)
    flow /= np.abs(flow).max(axis=1, keepdims=True)
    right, total = clips.hits(model, flow, clips.label)
    assert right / total > 0.95


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_digit_moves_the_way_its_label_says(direction):
    drawn = draw_samples({"train": 24, "val": 0, "test": 0}, size=32, frames=3, seed=2)
    clip = next(clip for clip in drawn if clip.label == direction)
    grey = clip.video.astype(float).mean(-1)
    change = np.diff(grey, axis=0)
    peaks = np.fft.ifft2(np.fft.fft2(change[1]) * np.fft.fft2(change[0]).conj()).real
    step = np.unravel_index(peaks.argmax(), peaks.shape)
    assert tuple((np.array(step) + 16) % 32 - 16) == DIRECTIONS[direction]


def test_files_hold_the_frames_that_were_asked_for(tmp_path: Path):
    table = make_samples(tmp_path / "a b", train=2, val=1, test=1, size=48, frames=5)
    assert table == tmp_path / "a b" / "labels.csv"
    assert len(rows(table)) == len(list((tmp_path / "a b" / "videos").iterdir())) == 4
    for row in rows(table):
        assert decode(table.parent / row["path"]).shape == (5, 48, 48, 3)


def test_files_look_like_the_clips_that_were_drawn(tmp_path: Path):
    table = make_samples(tmp_path, train=1, val=0, test=0)
    [clip] = draw_samples({"train": 1, "val": 0, "test": 0}, size=64, frames=16, seed=0)
    got = decode(tmp_path / rows(table)[0]["path"])
    assert np.abs(got.astype(int) - clip.video).mean() < 3


def test_directions_are_balanced_to_one_clip_in_every_split(tmp_path: Path):
    table = make_samples(tmp_path, train=8, val=5, test=4, size=32, frames=2)
    for split, count in {"train": 8, "val": 5, "test": 4}.items():
        labels = Counter(row["label"] for row in rows(table) if row["split"] == split)
        assert sum(labels.values()) == count
        assert set(labels) == set(DIRECTIONS)
        assert max(labels.values()) - min(labels.values()) <= 1


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(tmp_path: Path):
    folders = [tmp_path / name for name in "abc"]
    for folder, seed in zip(folders, (3, 3, 4), strict=True):
        make_samples(folder, seed=seed, **SMALL)
    first, second, other = (
        [path.read_bytes() for path in sorted(folder.rglob("*.*"))] for folder in folders
    )
    assert first == second
    assert not set(first) & set(other)


def test_a_clip_does_not_depend_on_how_many_there_are():
    few = draw_samples({"train": 0, "val": 4, "test": 4}, size=32, frames=2, seed=0)
    many = draw_samples({"train": 9, "val": 4, "test": 4}, size=32, frames=2, seed=0)
    last_few, last_many = list(few)[-1], list(many)[-1]
    assert (last_few.video == last_many.video).all()
    assert (last_few.label, last_few.name) == (last_many.label, last_many.name)


def test_no_digit_image_is_in_two_splits():
    images = _digits_by_split(16, seed=0)
    known = {split: {image.tobytes() for image in part} for split, part in images.items()}
    assert sum(len(part) for part in images.values()) == 1797
    assert all(len(part) > 100 for part in known.values())
    assert not known["train"] & (known["val"] | known["test"])
    assert not known["val"] & known["test"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"size": 33}, "size 33"),
        ({"size": 16}, "size 16"),
        ({"frames": 1}, "frames 1"),
        ({"train": -1}, "-1"),
        ({"train": 0, "val": 0, "test": 0}, "at least 1"),
    ],
)
def test_arguments_that_make_no_clips_are_refused_before_anything_is_written(
    wrong, reason, tmp_path: Path
):
    with pytest.raises(ValueError, match=reason):
        make_samples(tmp_path / "new", **{**SMALL, **wrong})
    assert not (tmp_path / "new").exists()
    assert make_samples(tmp_path / "new", **SMALL).exists()


def test_samples_are_never_mixed_with_older_ones(tmp_path: Path):
    make_samples(tmp_path, **SMALL)
    before = (tmp_path / "labels.csv").read_bytes()
    with pytest.raises(ValueError, match="already holds samples"):
        make_samples(tmp_path, **SMALL)
    assert (tmp_path / "labels.csv").read_bytes() == before
