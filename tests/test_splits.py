"""The drawn split: by class, by group, the same wherever and however the files are listed."""

from collections import Counter, defaultdict
from itertools import count

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from everest.entries import Entry, SourceError
from everest.splits import assign_splits


def clips(classes: dict[str, int], root: str = "/data") -> list[Entry]:
    return [
        Entry(f"{root}/{name}/{number}.mp4", labels=(name,))
        for name, size in classes.items()
        for number in range(size)
    ]


def counts(entries: list[Entry]) -> dict[str, Counter[str | None]]:
    found: defaultdict[str, Counter[str | None]] = defaultdict(Counter)
    for entry in entries:
        found[str(entry.labels[0])][entry.split] += 1
    return found


def trained(entries: list[Entry]) -> set[str]:
    return {entry.path for entry in entries if entry.split == "train"}


def test_each_class_is_split_in_the_share_asked_for() -> None:
    entries = clips({"a": 100, "b": 10, "c": 7, "d": 3})
    assign_splits(entries, 0.8, seed=0)
    found = counts(entries)
    assert {name: found[name]["train"] for name in found} == {"a": 80, "b": 8, "c": 6, "d": 2}
    assert all(entry.split in ("train", "val") for entry in entries)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.8, 0.99])
def test_a_class_of_two_is_on_both_sides_and_one_of_one_in_train(share: float) -> None:
    entries = clips({"a": 2, "b": 1, "c": 2})
    assign_splits(entries, share, seed=1)
    found = counts(entries)
    assert found["a"] == found["c"] == {"train": 1, "val": 1}
    assert found["b"] == {"train": 1}


def test_the_seed_decides_and_the_order_and_place_of_the_files_do_not() -> None:
    entries, moved = clips({"a": 20, "b": 20}), clips({"a": 20, "b": 20}, root="/other/place")
    moved.reverse()
    assign_splits(entries, 0.5, seed=3)
    assign_splits(moved, 0.5, seed=3)
    assert {path.removeprefix("/data") for path in trained(entries)} == {
        path.removeprefix("/other/place") for path in trained(moved)
    }
    again = clips({"a": 20, "b": 20})
    assign_splits(again, 0.5, seed=4)
    assert trained(again) != trained(entries)


def test_every_file_is_drawn_as_often_as_any_other() -> None:
    number_of_seeds, size, share = 600, 10, 0.7
    drawn: Counter[str] = Counter()
    for seed in range(number_of_seeds):
        entries = clips({"a": size})
        assign_splits(entries, share, seed)
        drawn.update(trained(entries))
    expected = number_of_seeds * share
    deviation = (number_of_seeds * share * (1 - share)) ** 0.5
    assert len(drawn) == size
    assert all(abs(number - expected) < 4.5 * deviation for number in drawn.values())


def test_spans_of_one_file_stay_together() -> None:
    entries = [
        Entry(f"/v/{file}.mp4", labels=(f"c{span % 2}",), start=span, end=span + 1)
        for file in range(10)
        for span in range(4)
    ]
    assign_splits(entries, 0.8, seed=0)
    sides = defaultdict(set)
    for entry in entries:
        sides[entry.path].add(entry.split)
    assert all(len(side) == 1 for side in sides.values())
    assert len(trained(entries)) == 8


def test_a_group_is_never_torn_and_classes_stay_on_both_sides() -> None:
    number = count()
    entries = [
        Entry(f"/v/{next(number)}.mp4", labels=(name,), group=f"person {person}")
        for person in range(12)
        for name in "abc"
        for _ in range(1 + person % 4)
    ]
    assign_splits(entries, 0.75, seed=0)
    sides = defaultdict(set)
    for entry in entries:
        sides[entry.group].add(entry.split)
    assert all(len(side) == 1 for side in sides.values())
    for found in counts(entries).values():
        assert abs(found["train"] - 0.75 * found.total()) <= 2


@settings(max_examples=100, deadline=None)
@given(
    groups=st.lists(
        st.lists(st.sampled_from("abcde"), min_size=1, max_size=6), min_size=2, max_size=12
    ),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 1000),
)
def test_whatever_the_groups_none_is_torn_and_train_has_every_class(
    groups: list[list[str]], share: float, seed: int
) -> None:
    entries = [
        Entry(f"/v/{index}/{position}.mp4", labels=(name,), group=str(index))
        for index, names in enumerate(groups)
        for position, name in enumerate(names)
    ]
    try:
        assign_splits(entries, share, seed)
    except SourceError as refused:
        assume("none is left for validation" not in str(refused))
        raise
    sides = defaultdict(set)
    for entry in entries:
        sides[entry.group].add(entry.split)
    assert all(len(side) == 1 for side in sides.values())
    assert len(trained(entries)) < len(entries)
    for found in counts(entries).values():
        assert found["train"] > 0


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=2, max_size=8), share=st.floats(0.05, 0.95))
def test_ungrouped_classes_deviate_by_less_than_a_clip_from_the_share(
    sizes: list[int], share: float
) -> None:
    entries = clips({"more": 2, **{f"class {index}": size for index, size in enumerate(sizes)}})
    assign_splits(entries, share, seed=0)
    for found in counts(entries).values():
        size = found.total()
        wanted = min(max(share * size, 1), max(size - 1, 1))
        assert abs(found["train"] - wanted) <= 0.5 + 1e-9


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2, 80.0, float("nan")])
def test_a_share_that_leaves_a_side_empty_is_refused(share: float) -> None:
    with pytest.raises(SourceError, match="above 0 and below 1"):
        assign_splits(clips({"a": 4}), share, seed=0)


def test_one_group_alone_cannot_be_split() -> None:
    entries = [Entry(f"/v/{number}.mp4", group="g") for number in range(3)]
    with pytest.raises(SourceError, match="at least two groups"):
        assign_splits(entries, 0.8, seed=0)
    entries[0].group = "h"
    assign_splits(entries, 0.8, seed=0)
    assert {entry.split for entry in entries} == {"train", "val"}


def test_classes_of_one_clip_each_cannot_be_split() -> None:
    with pytest.raises(SourceError, match="none is left for validation"):
        assign_splits(clips({"a": 1, "b": 1}), 0.8, seed=0)
    assign_splits(clips({"a": 1, "b": 2}), 0.8, seed=0)
