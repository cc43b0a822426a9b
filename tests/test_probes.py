"""Probes on made-up features: they find what is there, and nothing where nothing is."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from everest.build import create_model
from everest.clips import Clips as VideoClips
from everest.machine import choose as choose_machine
from everest.probes import Probe, scales
from everest.probes import attentive as attentive_probe
from everest.probes import features as probe_features
from everest.probes import nearest as nearest_probe
from everest.probes.attentive import Attentive, AttentivePool
from everest.probes.features import Tokens, TokenStore, read_features, step_means, trunk
from everest.probes.linear import Linear
from everest.probes.nearest import Nearest
from everest.probes.setting import Clips, Question, choose, folds
from everest.selection import AllTokens, ReRo
from textures import clips_of, noise

CLASSES = 4
KINDS = ["knn", "linear", "attentive"]
Made = tuple[np.ndarray, np.ndarray]


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def clusters(clips: int = 120, numbers: int = 16, *, seed: int = 0) -> Made:
    """Vectors (clips, numbers) around one centre a class, far from the origin, and their labels."""
    random = draws(seed)
    labels = np.arange(clips) % CLASSES
    vectors = 50 + 3 * random.normal(size=(CLASSES, numbers))[labels]
    return (vectors + random.normal(size=vectors.shape)).astype(np.float32), labels


def probe_of(kind: str, vectors: np.ndarray) -> Probe:
    if kind == "knn":
        return Nearest(vectors, 5)
    if kind == "linear":
        return Linear(vectors)
    tokens = np.repeat(vectors[:, None], 3, axis=1).astype(np.float16)
    steps = np.tile(np.arange(3, dtype=np.uint16), (len(vectors), 1))
    return Attentive(Tokens(tokens, steps), np.arange(len(vectors)), (2, 3), epochs=20)


def answer(
    probe: Probe, labels: np.ndarray, learnt: int, choice: float | None = None
) -> np.ndarray:
    """What the probe says of the clips after the first `learnt`, which it learns from."""
    places = np.arange(len(labels))
    value = choice if choice is not None else probe.choices[len(probe.choices) // 2]
    (shares,) = probe.answers(places[:learnt], labels[:learnt], CLASSES, places[learnt:], [value])
    return shares


def top1(shares: np.ndarray, labels: np.ndarray) -> float:
    return float((shares.argmax(axis=1) == labels[-len(shares) :]).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_a_probe_finds_classes_that_are_apart(kind: str) -> None:
    vectors, labels = clusters()
    shares = answer(probe_of(kind, vectors), labels, 60)
    assert shares.shape == (60, CLASSES)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert top1(shares, labels) >= 0.95


@pytest.mark.parametrize("kind", KINDS)
def test_a_probe_is_at_chance_where_labels_say_nothing(kind: str) -> None:
    vectors, labels = clusters(480)
    shuffled = draws(1).permutation(labels)
    shares = answer(probe_of(kind, vectors), shuffled, 240)
    assert 0.14 < top1(shares, shuffled) < 0.36  # 0.25, and four standard errors


@pytest.mark.parametrize("kind", KINDS)
def test_a_probe_says_the_same_each_time(kind: str) -> None:
    vectors, labels = clusters()
    first, again = (answer(probe_of(kind, vectors), labels, 60) for _ in range(2))
    assert np.array_equal(first, again)


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_without_training_clips_is_never_named(kind: str) -> None:
    vectors, labels = clusters()
    probe = probe_of(kind, vectors)
    known = np.flatnonzero(labels < 3)[:60]
    (shares,) = probe.answers(known, labels[known], CLASSES, np.arange(90, 120), [probe.choices[0]])
    if kind != "attentive":  # which has a logit for every class, and learns that this stays away
        assert (shares[:, 3] == 0).all()
    assert (shares.argmax(axis=1) != 3).all()


def test_a_number_that_never_changes_does_not_blow_up() -> None:
    vectors = np.full((5, 2), 0.1, np.float32)
    vectors[:, 1] = np.arange(5)
    mean, scale = scales(vectors)
    assert scale[0] == 1 and scale[1] == pytest.approx(2**0.5)
    assert np.abs((vectors - mean) / scale).max() < 2


# kNN


def test_neighbours_vote_by_their_cosine(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, labels = clusters(40, 5)
    shares = answer(Nearest(vectors, 7), labels, 30)
    mean, scale = scales(vectors[:30])
    standard = (vectors - mean) / scale
    for number, asked in enumerate(standard[30:]):
        cosines = [
            float(asked @ one / np.linalg.norm(asked) / np.linalg.norm(one))
            for one in standard[:30]
        ]
        nearest = sorted(range(30), key=lambda at: -cosines[at])[:7]
        votes = np.zeros(CLASSES)
        for at in nearest:
            votes[labels[at]] += np.exp(cosines[at] / nearest_probe.TEMPERATURE)
        np.testing.assert_allclose(shares[number], votes / votes.sum(), rtol=1e-3, atol=1e-6)
    monkeypatch.setattr(nearest_probe, "AT_ONCE", 90)  # three clips at once
    np.testing.assert_allclose(answer(Nearest(vectors, 7), labels, 30), shares, rtol=1e-4)


def test_more_neighbours_than_clips_are_all_clips() -> None:
    vectors, labels = clusters(20, 5)
    assert np.array_equal(
        answer(Nearest(vectors, 500), labels, 10), answer(Nearest(vectors, 10), labels, 10)
    )


def test_no_neighbour_is_refused() -> None:
    with pytest.raises(ValueError, match="--neighbours 0: give at least 1"):
        Nearest(np.zeros((3, 2)), 0)


# Linear


def test_more_numbers_than_clips_change_no_answer_of_the_linear_probe() -> None:
    from sklearn.linear_model import LogisticRegression

    vectors, labels = clusters(60, 100)
    shares = answer(Linear(vectors), labels, 40, 0.01)
    mean, scale = scales(vectors[:40])
    plain = LogisticRegression(C=0.01, max_iter=1000, tol=1e-8)
    plain.fit((vectors[:40] - mean) / scale, labels[:40])
    wanted = plain.predict_proba((vectors[40:] - mean) / scale)
    np.testing.assert_allclose(shares, wanted, atol=1e-3)


def test_the_linear_probe_names_the_only_class_it_knows() -> None:
    vectors, _ = clusters(6)
    found = list(
        Linear(vectors).answers(np.arange(3), np.full(3, 2), CLASSES, np.arange(3, 6), [0.1, 1.0])
    )
    assert len(found) == 2
    assert (found[1] == np.eye(CLASSES)[2]).all()


# Attentive


def test_a_single_query_is_attention_with_keys_and_values_of_its_own() -> None:
    B, L, D, H = 2, 7, 12, 3
    torch.manual_seed(0)
    pool = AttentivePool(D, H, 1, CLASSES)
    query = torch.randn(H, D // H)
    key, value = torch.randn(H, D // H, D), torch.randn(H, D // H, D)
    with torch.no_grad():
        pool.query.copy_(torch.einsum("he,hed->hd", query, key) * (D // H) ** -0.5)
        pool.value.copy_(value.transpose(1, 2))
        pool.head.weight.copy_(torch.randn(CLASSES, D))
    tokens = torch.randn(B, L, D)
    keys = torch.einsum("bld,hed->bhle", tokens, key)
    values = torch.einsum("bld,hed->bhle", tokens, value)
    asked = query[None, :, None].expand(B, -1, -1, -1)
    read = F.scaled_dot_product_attention(asked, keys, values).flatten(1)
    torch.testing.assert_close(pool(tokens, torch.ones(B, 1, L)), pool.head(pool.norm(read)))


def needles(clips: int) -> tuple[Tokens, np.ndarray]:
    """Clips of noise whose class stands in the one token, somewhere, that is marked."""
    random = draws()
    labels = np.arange(clips) % CLASSES
    values = random.normal(size=(clips, 10, 12))
    values[:, :, 0] = 0
    values[:, :, 1 : 1 + CLASSES] = 3 * np.eye(CLASSES)[random.integers(CLASSES, size=(clips, 10))]
    place = random.integers(10, size=clips)
    values[np.arange(clips), place, 0] = 8
    values[np.arange(clips), place, 1 : 1 + CLASSES] = 3 * np.eye(CLASSES)[labels]
    return Tokens(values.astype(np.float16), np.zeros((clips, 10), np.uint16)), labels


def test_the_attentive_probe_learns_which_token_tells() -> None:
    tokens, labels = needles(480)
    shares = answer(Attentive(tokens, np.arange(480), (2, 1), epochs=60), labels, 320)
    average = answer(Linear(tokens.values.astype(np.float32).mean(axis=1)), labels, 320)
    assert top1(average, labels) < 0.6
    assert top1(shares, labels) > 0.9


def test_the_attentive_probe_looks_within_time_steps_where_asked() -> None:
    random = draws()
    labels = np.arange(160) % 2
    values = random.normal(size=(160, 6, 4)).astype(np.float16)
    values[:, :, 0] += np.where((np.arange(6) < 3) == labels[:, None], 3, -3)  # order alone tells
    steps = np.tile((np.arange(6) // 3).astype(np.uint16), (160, 1))
    tokens, rows = Tokens(values, steps), np.arange(160)
    together, apart = (
        top1(answer(Attentive(tokens, rows, (2, count)), labels, 80), labels) for count in (1, 2)
    )
    assert apart > 0.95
    assert together < 0.7


def test_the_seed_decides_the_attentive_probe_and_memory_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens, labels = needles(40)
    rows = np.arange(40)

    def shares(seed: int) -> np.ndarray:
        return answer(Attentive(tokens, rows, (2, 1), epochs=2, seed=seed), labels, 24)

    state = torch.random.get_rng_state()
    first = shares(0)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not np.array_equal(shares(1), first)
    monkeypatch.setattr(attentive_probe, "AT_ONCE", 3 * 120)  # three clips at once
    np.testing.assert_allclose(shares(0), first, atol=1e-5)


def test_a_clip_answers_by_its_own_tokens() -> None:
    tokens, labels = needles(40)
    order = draws(3).permutation(50)[:40]  # tokens lie by index row, and rows are missing
    values = np.zeros((50, 10, 12), np.float16)
    values[order] = tokens.values
    moved = Tokens(values, np.zeros((50, 10), np.uint16))
    first, second = (
        answer(Attentive(held, rows, (2, 1), epochs=2), labels, 24)
        for held, rows in ((tokens, np.arange(40)), (moved, order))
    )
    assert np.array_equal(first, second)


# Choosing


class Told:
    """A probe whose answers are right for one choice alone; it remembers what it was asked."""

    name = "told"
    setting = "strength"
    choices: tuple[float, ...] = (1.0, 2.0, 3.0)

    def __init__(self, labels: np.ndarray, good: float) -> None:
        self.labels = labels
        self.good = good
        self.learnt: list[set[int]] = []
        self.asked: list[set[int]] = []

    def answers(
        self,
        train: np.ndarray,
        labels: np.ndarray,
        classes: int,
        asked: np.ndarray,
        choices: Sequence[float],
    ) -> Iterator[np.ndarray]:
        self.learnt.append(set(train.tolist()))
        self.asked.append(set(asked.tolist()))
        for choice in choices:
            named = self.labels[asked] if choice == self.good else 1 - self.labels[asked]
            yield np.eye(classes)[named]


def question(parts: dict[str, Sequence[int]], labels: np.ndarray, units: Sequence[Any]) -> Question:
    clips = {part: Clips(np.array(at), labels[list(at)]) for part, at in parts.items()}
    return Question(2, clips.pop("train"), units, clips)


def test_a_setting_is_chosen_on_val_where_test_is_there_too() -> None:
    labels = np.arange(12) % 2
    probe = Told(labels, good=2.0)
    parts = {"train": range(6), "val": range(6, 9), "test": range(9, 12)}
    chosen = choose(probe, question(parts, labels, range(6)))
    assert (chosen.value, chosen.how) == (2.0, "validation")
    assert probe.asked == [{6, 7, 8}]


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_part_alone_chooses_nothing(part: str) -> None:
    labels = np.arange(12) % 2
    probe = Told(labels, good=3.0)
    chosen = choose(probe, question({"train": range(9), part: range(9, 12)}, labels, range(9)))
    assert (chosen.value, chosen.how) == (3.0, "folds")
    assert set().union(*probe.asked) == set(range(9))
    assert sum(map(len, probe.asked)) == 9
    for learnt, asked in zip(probe.learnt, probe.asked, strict=True):
        assert learnt | asked == set(range(9)) and not learnt & asked


def test_equal_choices_go_to_the_first() -> None:
    labels = np.zeros(6, np.int64)
    parts = {"train": range(4), "test": range(4, 6)}
    assert choose(Told(labels, good=9.0), question(parts, labels, range(4))).value == 1.0


def test_what_is_given_is_not_chosen() -> None:
    vectors, labels = clusters(12)
    parts = {"train": range(8), "test": range(8, 12)}
    chosen = choose(Nearest(vectors, 3), question(parts, labels % 2, range(8)))
    assert (chosen.value, chosen.how) == (3, "given")


def test_folds_keep_groups_whole_and_spread_classes() -> None:
    labels = np.arange(60) % 3
    units = [number // 4 for number in range(60)]
    found = folds(labels, units, seed=0)
    assert set(found) == set(range(5))
    for unit in range(15):
        assert len(set(found[unit * 4 : unit * 4 + 4])) == 1
    for fold in range(5):
        counts = np.bincount(labels[found == fold], minlength=3)
        assert counts.sum() == 12 and counts.min() >= 3
    assert not np.array_equal(found, folds(labels, units, seed=1))
    assert set(folds(np.array([0, 1]), ["a", "b"], seed=0)) == {0, 1}


# Features


class Given:
    """Batches of given clips, some of which could not be read."""

    def __init__(self, clips: VideoClips, views: int, unread: Sequence[int] = ()) -> None:
        count = len(clips.row)
        weight = torch.tensor([float(slot not in unread) for slot in range(count)])
        self.clips = clips._replace(row=torch.arange(count) // views, weight=weight)

    def evaluation(self, batch: int, *, views: int = 1, crops: int = 1) -> Iterator[VideoClips]:
        for start in range(0, len(self.clips.row), batch):
            yield self.clips.part(start, start + batch)


SHAPE: dict[str, Any] = {"frames": 8, "size": 32, "patch": 8}
GRID = (4, 4, 4)
PLACE = choose_machine("cpu", "float32")


def tiny_model(**fields: Any) -> Any:
    torch.manual_seed(0)
    return create_model("24x2x3", **SHAPE, **fields).eval()


def test_the_mean_of_each_time_step_is_what_a_classifier_over_steps_pools() -> None:
    classifier = tiny_model(classes=2, pool="steps", encoder_norm="keep", keep=0.4)
    clips = clips_of(noise(3, 3, 8, 32, 32))
    with torch.inference_mode():
        wanted = classifier(clips)["features"]
    found = read_features(trunk(classifier), Given(clips, 1), PLACE, GRID, pool="steps")
    np.testing.assert_allclose(found.vectors, wanted.numpy(), atol=1e-5)
    assert found.vectors.shape == (3, 4 * 24)


def test_the_mean_over_tokens_is_what_a_model_gives_as_features() -> None:
    model = tiny_model()
    model.select = ReRo(0.4, None)
    clips = clips_of(noise(3, 3, 8, 32, 32))
    with torch.inference_mode():
        wanted = model(clips)["features"]
    found = read_features(trunk(model), Given(clips, 1), PLACE, GRID, pool="mean")
    np.testing.assert_allclose(found.vectors, wanted.numpy(), atol=1e-6)


def test_frame_selection_comes_before_the_features() -> None:
    model = tiny_model(frame_select=True, alpha=2.0, classes=2, pool="steps", encoder_norm="keep")
    clips = clips_of(noise(2, 3, 16, 32, 32))
    with torch.inference_mode():
        wanted = model(clips)["features"]
    found = read_features(trunk(model), Given(clips, 1), PLACE, GRID, pool="steps")
    np.testing.assert_allclose(found.vectors, wanted.numpy(), atol=1e-5)


def test_a_step_that_kept_no_token_is_zero() -> None:
    tokens = torch.randn(1, 3, 2)
    found = step_means(tokens, torch.tensor([[0, 1, 5]]), (3, 2, 1)).view(3, 2)
    torch.testing.assert_close(found[0], tokens[0, :2].mean(dim=0))
    assert not found[1].any()
    torch.testing.assert_close(found[2], tokens[0, 2])


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_views_are_averaged_over_those_that_could_be_read(batch: int, tmp_path: Path) -> None:
    model = tiny_model()
    model.select = AllTokens()
    clips = clips_of(noise(6, 3, 8, 32, 32))
    with torch.inference_mode():
        out = model(clips)
    each, tokens = out["features"].numpy(), out["tokens"].numpy()
    store = TokenStore(tmp_path, 3, 2)
    batches = Given(clips, 2, unread=(2, 4, 5))
    found = read_features(
        trunk(model), batches, PLACE, GRID, pool="mean", views=2, batch=batch, store=store
    )
    assert found.rows.tolist() == [0, 1] and found.missing == 1
    np.testing.assert_allclose(found.vectors[0], each[:2].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found.vectors[1], each[3], atol=1e-6)
    assert found.tokens is not None
    assert found.tokens.values.shape == (3, 2 * 64, 24)
    np.testing.assert_allclose(found.tokens.values[0], np.concatenate(tokens[:2]), atol=5e-3)
    np.testing.assert_allclose(found.tokens.values[1], np.concatenate(tokens[[3, 3]]), atol=5e-3)
    assert found.tokens.steps[0].tolist() == 2 * [step for step in range(4) for _ in range(16)]


def test_tokens_that_the_disk_has_no_room_for_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        probe_features.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10**9})
    )
    store = TokenStore(tmp_path, 100_000, 1)
    with pytest.raises(ValueError, match=r"100,000 clips take 15\.4 GB.*1\.0 GB are free"):
        store.put(0, 0, np.zeros((100, 768), np.float32), np.zeros(100, np.int64))
    assert list(tmp_path.iterdir()) == []
