"""An epoch in which each class comes equally often is drawn, and the same whenever asked for."""

from collections import Counter
from pathlib import Path

import pytest

from everest.balancing import balanced, first_class_column, told_of_balance
from everest.index import Row
from everest.loading import Loader
from everest.reading import Framing
from everest.sampling import Sampling

RARE = [0] * 20 + [1] * 3 + [2] * 5  # clips of each class


def taken(labels: list[int], seed: int = 0, epoch: int = 0) -> Counter[int]:
    return Counter(labels[place] for place, _ in balanced(labels, seed, epoch))


@pytest.mark.parametrize("labels", [RARE, [0, 1], [2] * 9 + [5], list(range(7))])
@pytest.mark.parametrize("epoch", range(3))
def test_classes_come_equally_often_to_one_and_an_epoch_keeps_its_length(
    labels: list[int], epoch: int
) -> None:
    counts = taken(labels, epoch=epoch)
    assert sum(counts.values()) == len(labels)
    assert counts.keys() == set(labels)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_over_many_epochs_each_class_is_the_one_that_comes_once_more() -> None:
    more: Counter[int] = Counter()
    for epoch in range(60):
        counts = taken(RARE, epoch=epoch)
        more.update(name for name, count in counts.items() if count == 10)
    assert set(more) == {0, 1, 2}


def test_clips_of_a_class_come_equally_often_to_one() -> None:
    counts = Counter(place for place, _ in balanced(RARE, 0, 0))
    for label in (0, 1, 2):
        own = [counts[place] for place, of in enumerate(RARE) if of == label]
        assert max(own) - min(own) <= 1


def test_a_clip_that_comes_again_takes_its_next_turn() -> None:
    turns: dict[int, list[int]] = {}
    for place, turn in balanced(RARE, 0, 0):
        turns.setdefault(place, []).append(turn)
    assert all(sorted(own) == list(range(len(own))) for own in turns.values())
    assert max(map(len, turns.values())) > 1


def test_an_epoch_is_a_function_of_seed_and_number() -> None:
    assert balanced(RARE, 3, 4) == balanced(RARE, 3, 4)
    assert balanced(RARE, 3, 4) != balanced(RARE, 3, 5)
    assert balanced(RARE, 3, 4) != balanced(RARE, 4, 4)
    places = [place for place, _ in balanced(RARE, 3, 4)]
    assert places != sorted(places)


def test_every_clip_of_a_large_class_gets_its_epoch() -> None:
    seen = {place for epoch in range(20) for place, _ in balanced(RARE, 0, epoch)}
    assert seen == set(range(len(RARE)))


def test_a_clip_without_a_label_is_left_out() -> None:
    labels = [0, -1, 1, -1, 1]
    counts = taken(labels)
    assert -1 not in counts and sum(counts.values()) == 5
    assert balanced([-1, -1], 0, 0) == []


def test_what_balancing_does_is_told() -> None:
    told = told_of_balance([*RARE, -1, -1], "label", ("a", "b", "c"))
    assert "10 clips of each class of 'label'" in told
    assert "each of the 3 of 'b' 3.3 times" in told
    assert "of the 20 of 'a' 0.5 times" in told
    assert told.endswith("2 clips without a label left out")
    assert "no training clip has a label" in told_of_balance([-1], "label", ("a",))


def test_the_first_column_of_classes_is_the_one_that_is_balanced() -> None:
    columns = {"score": (), "tags": ("a",), "digit": ("a", "b"), "noun": ("c", "d")}
    assert first_class_column(columns, {"score": "number", "tags": "multi"}) == "digit"
    assert first_class_column({"score": ()}, {"score": "number"}) is None


# In a loader


def loader(tmp_path: Path, labels: list[int], balance: str | None = "label") -> Loader:
    """A loader of files that are not there: their order is what matters."""
    rows = [
        Row(str(tmp_path / f"{number}.mp4"), {"label": label}, "train", None, None, None, 8, 8.0)
        for number, label in enumerate(labels)
    ]
    framing = Framing((8, 8))
    sampling = Sampling(4, 1, None, framing, framing, seed=5)
    return Loader(rows, sampling, balance=balance)


def test_a_loader_takes_each_class_equally_often(tmp_path: Path) -> None:
    made = loader(tmp_path, RARE)
    labels = Counter(RARE[row] for row, _ in made.order(0))
    assert sorted(labels.values()) == [9, 9, 10]
    assert len(made) == len(RARE)
    plain = loader(tmp_path, RARE, balance=None)
    assert Counter(RARE[row] for row, _ in plain.order(0)) == Counter(RARE)


def test_clips_of_one_video_in_one_epoch_have_their_own_keys(tmp_path: Path) -> None:
    made = loader(tmp_path, RARE)
    keys = [made.training_item(*view, 0).key for view in made.order(0)]
    assert len(set(keys)) == len(keys)


def test_a_batch_and_a_resume_take_the_same_clips(tmp_path: Path) -> None:
    made = loader(tmp_path, RARE)

    def keys(batch: int, start: int = 0) -> list[int]:
        return [key for clips in made.epoch(2, batch, start=start) for key in clips.key.tolist()]

    whole = keys(4)
    assert len(whole) == 28
    assert keys(7) == whole and keys(4, start=3) == whole[12:]
    assert loader(tmp_path, RARE).order(2) == made.order(2)
