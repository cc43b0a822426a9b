"""One contract for all selectors: what every selection is, and that each token has its chance."""

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from everest.selection import (
    AllTokens,
    Budget,
    Grid,
    Look,
    RandomTokens,
    ReRo,
    Selector,
    Tube,
    size_of,
)
from fairness import equally_often
from textures import keys_of, look_at, noise, noisy_clips, small_vit


@st.composite
def budgets(draw: st.DrawFn, total: int) -> tuple[Budget, Budget | None]:
    """(keep, visible) that a clip of `total` tokens can meet, as counts or as shares."""
    kept = draw(st.integers(3, total))
    visible = draw(st.one_of(st.none(), st.integers(2, kept - 1)))
    if draw(st.booleans()):
        return kept, visible
    share = min((kept + 0.5) / total, 1.0)
    return share, None if visible is None else (visible + 0.5) / total


@st.composite
def selectors(draw: st.DrawFn, grid: Grid) -> Selector:
    t, h, w = grid
    kind = draw(st.sampled_from(("rero", "random", "tube", "all")))
    if kind == "all":
        return AllTokens()
    if kind == "tube":
        assume(h * w > 1)
        shown = draw(st.integers(1, h * w - 1))
        return Tube(t * shown if t * shown > 1 else 0.999)
    return {"rero": ReRo, "random": RandomTokens}[kind](*draw(budgets(size_of(grid))))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Selector, Look]:
    grid = draw(st.tuples(st.integers(2, 6), st.integers(1, 5), st.integers(1, 5)))
    assume(size_of(grid) >= 4)
    clips = draw(st.integers(1, 5))
    seed = draw(st.integers(0, 10**6))
    moving = noise(clips, *grid, 4, seed=seed)
    still = draw(st.booleans())  # a clip full of ties
    return draw(selectors(grid)), look_at(moving * (0 if still else 1), seed=seed)


@given(cases())
@settings(max_examples=150, deadline=None)
def test_every_selector_keeps_the_contract(case: tuple[Selector, Look]) -> None:
    select, look = case
    patches = look.patches.clone()
    found = select(look)
    assert (found.visible.shape[1], found.masked.shape[1]) == select.counts(look.grid)
    assert found.visible.dtype == found.masked.dtype == torch.int64
    for positions in found:
        assert (positions[:, 1:] > positions[:, :-1]).all()  # ascending, none twice
    for visible, masked in zip(found.visible.tolist(), found.masked.tolist(), strict=True):
        chosen = set(visible) | set(masked)
        assert len(chosen) == len(visible) + len(masked)  # disjoint
        assert chosen <= set(range(size_of(look.grid)))
    assert torch.equal(look.patches, patches)
    again = select(Look(look.patches, look.key, look.weight))
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))


@given(cases(), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_tokens_are_the_same_for_any_split_of_the_batch(
    case: tuple[Selector, Look], size: int
) -> None:
    select, look = case
    together = select(look)
    parts = [
        select(Look(patches, key, look.weight))
        for patches, key in zip(look.patches.split(size), look.key.split(size), strict=True)
    ]
    assert torch.equal(together.visible, torch.cat([part.visible for part in parts]))
    assert torch.equal(together.masked, torch.cat([part.masked for part in parts]))


def test_tokens_of_a_real_embedding_are_the_same_for_any_split_of_the_batch() -> None:
    model = small_vit()
    clips = noisy_clips(count=6, frames=16, sides=(32, 32))
    together = ReRo(0.3, 0.1)(model.look(clips))
    parts = [ReRo(0.3, 0.1)(model.look(clips.part(at, at + 2))) for at in (0, 2, 4)]
    assert torch.equal(together.visible, torch.cat([part.visible for part in parts]))
    assert torch.equal(together.masked, torch.cat([part.masked for part in parts]))


def test_a_tube_shows_the_same_places_at_every_step() -> None:
    found = Tube(0.25)(look_at(noise(3, 4, 4, 4, 6)))
    places = found.visible.view(3, 4, -1) - torch.arange(4)[:, None] * 16
    assert (places == places[:, :1]).all()
    assert places.shape == (3, 4, 4)


# Fairness: each token equally often visible

CLIPS = 4000


def looked(grid: Grid) -> Look:
    """One still clip under many keys."""
    patches = torch.zeros(1, *grid, 2, dtype=torch.uint8).expand(CLIPS, -1, -1, -1, -1)
    return Look(patches, keys_of(CLIPS), torch.ones(1, 2))


def often(positions: Tensor, total: int) -> np.ndarray:
    return np.bincount(positions.flatten().numpy(), minlength=total)


def test_random_tokens_show_and_hide_each_token_equally_often() -> None:
    found = RandomTokens(12, 4)(looked((3, 3, 4)))
    assert equally_often(often(found.visible, 36), CLIPS, 4 / 36)
    assert equally_often(often(found.masked, 36), CLIPS, 8 / 36)


def test_a_tube_shows_each_place_equally_often() -> None:
    found = Tube(0.2)(looked((3, 4, 5)))
    assert equally_often(often(found.visible, 60), CLIPS, 4 / 20)


def test_rero_deals_each_kept_token_equally_often() -> None:
    patches = noise(1, 3, 3, 4, 6).expand(CLIPS, -1, -1, -1, -1)
    look = Look(patches, keys_of(CLIPS), torch.randn(5, 6, generator=torch.Generator()))
    found = ReRo(15, 5)(look)
    kept = torch.cat(found, dim=1).sort(dim=1).values
    assert (kept == kept[0]).all()
    assert equally_often(often(found.visible, 36)[kept[0].numpy()], CLIPS, 5 / 15)


def test_the_fairness_test_sees_the_first_tokens_favoured() -> None:
    favoured = torch.arange(4).expand(CLIPS, -1).clone()
    favoured[::2] = RandomTokens(4, None)(looked((3, 3, 4))).visible[::2]
    assert not equally_often(often(favoured, 36), CLIPS, 4 / 36)


def test_another_key_shows_other_tokens() -> None:
    for select in (ReRo(15, 5), RandomTokens(15, 5), Tube(0.4)):
        patches = noise(1, 3, 3, 4, 6).expand(2, -1, -1, -1, -1)
        found = select(look_at(patches)).visible
        assert not torch.equal(found[0], found[1])
