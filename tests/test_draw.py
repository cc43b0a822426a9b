"""Every draw is a fair function of (key, purpose), the same in plain integers and in tensors."""

from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from everest import draw, keys
from fairness import LEVEL, believed, equally_often
from textures import keys_of

BITS = 64
WORDS = st.integers(-(1 << 63), (1 << 63) - 1)
BINS = 16


def binned(values: Tensor, bins: int = BINS) -> np.ndarray:
    return (values * bins).long().numpy()


def table(first: Tensor, second: Tensor, bins: int = BINS) -> np.ndarray:
    """How often each pair of bins occurs together."""
    return np.bincount(binned(first, bins) * bins + binned(second, bins), minlength=bins**2)


@given(st.lists(WORDS, min_size=1, max_size=4), st.text(max_size=12), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_plain_and_tensor_numbers_are_equal(words: list[int], purpose: str, count: int) -> None:
    key = torch.tensor(words)
    drawn, fractions = draw.bits(key, purpose, count), draw.uniform(key, purpose, count)
    orders = draw.order(key, purpose, count)
    for clip, word in enumerate(words):
        assert drawn[clip].tolist() == [
            keys.signed(keys.bits(word, purpose, counter)) for counter in range(count)
        ]
        assert fractions[clip].tolist() == [
            keys.uniform(word, purpose, counter) for counter in range(count)
        ]
        assert orders[clip].tolist() == keys.order(word, purpose, count)


@given(WORDS, st.integers(1, 10**9), st.integers(0, 99))
def test_a_whole_number_below_a_limit_is_below_it(key: int, limit: int, counter: int) -> None:
    assert 0 <= keys.below(key, "place", limit, counter) < limit


def test_the_extreme_bits_give_numbers_inside_the_open_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(draw, "bits", lambda key, purpose, count: torch.tensor([[0, -1]]))
    low, high = draw.uniform(torch.tensor([0]), "any", 2)[0].tolist()
    assert 0 < low == 0.5 / 2**23
    assert 1 > high == 1 - 0.5 / 2**23


@given(WORDS)
def test_signed_words_keep_their_bits(word: int) -> None:
    assert keys.signed(word & keys.WORD) == word


def test_neighbouring_keys_draw_uniformly() -> None:
    for key in (keys_of(20_000), torch.arange(100_000), torch.arange(20_000) << 40):
        counts = np.bincount(binned(draw.uniform(key, "a", 1)[:, 0], 64), minlength=64)
        assert believed(counts) > LEVEL


def test_one_key_draws_uniformly() -> None:
    drawn = draw.uniform(torch.tensor([7]), "a", 20_000)[0]
    assert believed(np.bincount(binned(drawn, 64), minlength=64)) > LEVEL


def test_the_uniformity_test_sees_a_bias_of_some_per_cent() -> None:
    drawn = draw.uniform(torch.arange(100_000), "a", 1)[:, 0] ** 1.05
    assert believed(np.bincount(binned(drawn, 64), minlength=64)) < LEVEL


def test_every_bit_is_fair() -> None:
    words = draw.bits(keys_of(10_000), "a", 1)[:, 0]
    ones = np.array([int((words >> place & 1).sum()) for place in range(BITS)])
    assert equally_often(ones, 10_000, 0.5)


def test_purposes_are_independent() -> None:
    key = keys_of(20_000)
    purposes = ("selection.deal", "selection.random", "pairs", "path.0.attention", "path.0.mlp")
    drawn = {purpose: draw.uniform(key, purpose, 1)[:, 0] for purpose in purposes}
    for first, second in product(purposes, purposes):
        if first < second:
            assert believed(table(drawn[first], drawn[second])) > LEVEL, (first, second)


def test_counters_of_one_key_are_independent() -> None:
    drawn = draw.uniform(keys_of(20_000), "a", 3)
    for first, second in ((0, 1), (1, 2), (0, 2)):
        assert believed(table(drawn[:, first], drawn[:, second])) > LEVEL


@pytest.mark.parametrize("place", range(4), ids=("seed", "epoch", "clip", "view"))
def test_keys_that_differ_by_one_are_independent(place: int) -> None:
    parts = [[3, 5, clip, 2] for clip in range(8_000)]
    moved = [[part + (number == place) for number, part in enumerate(own)] for own in parts]
    first, second = (
        draw.uniform(torch.tensor([keys.make_key(*own) for own in listed]), "a", 1)[:, 0]
        for listed in (parts, moved)
    )
    assert believed(table(first, second, 8)) > LEVEL


def test_one_bit_of_a_key_changes_half_the_bits_drawn() -> None:
    key = keys_of(400)
    before = draw.bits(key, "a", 1)[:, 0]
    for place in range(BITS):
        turned = key ^ torch.tensor(keys.signed(1 << place))
        changed = before ^ draw.bits(turned, "a", 1)[:, 0]
        ones = sum(int((changed >> bit & 1).sum()) for bit in range(BITS))
        assert abs(ones / (400 * BITS) - 0.5) < 0.02, place


def test_keys_of_seed_epoch_clip_and_view_are_all_different() -> None:
    made = {keys.make_key(*parts) for parts in product(range(6), range(-1, 6), range(60), range(3))}
    assert len(made) == 6 * 7 * 60 * 3
    assert keys.make_key(1, 2) != keys.make_key(2, 1)
    assert keys.make_key(0) != keys.make_key(0, 0)


def test_an_order_is_each_permutation_equally_often() -> None:
    orders = draw.order(keys_of(12_000), "a", 4).tolist()
    counts = [
        orders.count(list(wanted)) for wanted in permutations(range(4))
    ]  # 24 permutations, all there are
    assert sum(counts) == 12_000
    assert believed(counts) > LEVEL


def test_an_order_holds_every_place_once() -> None:
    orders = draw.order(keys_of(5), "a", 470)
    assert torch.equal(orders.sort(dim=1).values, torch.arange(470).expand(5, -1))
    assert len({tuple(order) for order in orders.tolist()}) == 5


def test_whole_numbers_below_a_limit_are_equally_often() -> None:
    drawn = [keys.below(key, "a", 13) for key in keys_of(13_000).tolist()]
    assert believed(np.bincount(drawn, minlength=13)) > LEVEL


def test_draws_of_a_clip_do_not_depend_on_the_rest_of_the_batch() -> None:
    key = keys_of(6)
    together = draw.bits(key, "a", 9)
    assert torch.equal(together, torch.cat([draw.bits(part, "a", 9) for part in key.split(2)]))
    assert torch.equal(together[:, :4], draw.bits(key, "a", 4))
