"""Which frame pairs make the clip: drawn without replacement in proportion to their ReRo tokens in
training, the fullest in evaluation."""

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import combinations, permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from everest.classify import SingleLabel, VideoClassifier
from everest.clips import Clips
from everest.masked import Decoder, DecoderConfig, MaskedVideoAutoencoder
from everest.pairs import InformativePairs, pick, shares
from everest.selection import Look, ReRo
from everest.targets.pixels import Pixels
from fairness import LEVEL, believed
from textures import clips_of, generator, keys_of, noise, noisy_clips, small_vit

KEYS = 20_000
COUNTS = (6.0, 4.0, 2.5, 2.0, 1.0, 1.0)  # c of six candidate steps
TAU = 4  # of them are chosen
Rule = Callable[[Tensor, int], Tensor]  # (B, s) counts, tau -> (B, tau)


def law(c: tuple[float, ...], tau: int) -> dict[tuple[int, ...], float]:
    """The exact chance of every set when tau are drawn without replacement in proportion to c."""
    chances: dict[tuple[int, ...], float] = {}
    for chosen in combinations(range(len(c)), tau):
        total = 0.0
        for drawn in permutations(chosen):
            chance, left = 1.0, sum(c)
            for step in drawn:
                chance *= c[step] / left
                left -= c[step]
            total += chance
        chances[chosen] = total
    return chances


def belief(steps: Tensor, c: tuple[float, ...], tau: int) -> float:
    """The p-value of the chosen sets under the law."""
    chances = law(c, tau)
    seen = Counter(tuple(chosen) for chosen in steps.tolist())
    assert set(seen) <= set(chances)
    return believed([seen[chosen] for chosen in chances], list(chances.values()))


def many(c: tuple[float, ...], count: int = KEYS) -> Tensor:
    return torch.tensor(c).expand(count, -1)


def test_the_law_is_one_of_chance() -> None:
    chances = law(COUNTS, TAU)
    assert len(chances) == 15
    assert sum(chances.values()) == pytest.approx(1)
    assert law((1.0, 3.0), 1) == pytest.approx({(0,): 0.25, (1,): 0.75})


def test_training_draws_without_replacement_in_proportion_to_the_tokens() -> None:
    assert belief(pick(many(COUNTS), TAU, keys_of(KEYS)), COUNTS, TAU) > LEVEL


def with_replacement(c: Tensor, tau: int) -> Tensor:
    """Draws with replacement, takes doubles out and fills up with the fullest left."""
    rows = torch.multinomial(c, tau, replacement=True, generator=generator(0)).tolist()
    fullest = c[0].argsort(descending=True, stable=True).tolist()
    filled = [list(dict.fromkeys(row + fullest))[:tau] for row in rows]
    return torch.tensor(filled).sort(dim=1).values


def fullest_alone(c: Tensor, tau: int) -> Tensor:
    return pick(c, tau, None)


def regardless_of_tokens(c: Tensor, tau: int) -> Tensor:
    return pick(torch.ones_like(c), tau, keys_of(len(c)))


def tokens_times_noise(c: Tensor, tau: int) -> Tensor:
    drawn = torch.rand(c.shape, generator=generator(0))
    return (c * drawn).argsort(dim=1, descending=True)[:, :tau].sort(dim=1).values


@pytest.mark.parametrize(
    "rule", [with_replacement, fullest_alone, regardless_of_tokens, tokens_times_noise]
)
def test_a_wrong_rule_does_not_follow_the_law(rule: Rule) -> None:
    assert belief(rule(many(COUNTS), TAU), COUNTS, TAU) < 1e-12


def test_a_right_rule_of_another_make_follows_the_law() -> None:
    drawn = torch.multinomial(many(COUNTS), TAU, generator=generator(1))
    assert belief(drawn.sort(dim=1).values, COUNTS, TAU) > LEVEL


def test_tokens_of_a_clip_decide_how_often_its_pairs_are_drawn() -> None:
    # Six steps of two tokens; grey levels move so that five of twelve tokens are clearly above.
    grey = torch.tensor([[0, 0], [0, 40], [90, 90], [99, 150], [99, 151], [180, 151]])
    patches = grey.to(torch.uint8).view(1, 6, 1, 2, 1).expand(KEYS, -1, -1, -1, -1)
    look = Look(patches, keys_of(KEYS), torch.ones(1, 1))
    # changes: (0, 40) twice, (90, 50), (9, 60), (0, 1), (81, 0); the 5 highest: 90 81 60 50 + a tie
    c = (0.5, 0.5, 2.0, 1.0, 0.0, 1.0)
    pairs = InformativePairs(alpha=2.0, keep=5)
    assert shares(look.change()[:1], 5).tolist() == [list(c)]
    steps = pairs(look, draws=True)
    assert steps.shape == (KEYS, 3)
    seen = Counter(tuple(chosen) for chosen in steps.tolist())
    positive = {chosen: chance for chosen, chance in law(c, 3).items() if 4 not in chosen}
    assert set(seen) == set(positive)
    assert believed([seen[chosen] for chosen in positive], list(positive.values())) > LEVEL


def test_a_still_clip_gives_distinct_pairs_uniformly() -> None:
    patches = torch.zeros(1, 12, 1, 1, 2, dtype=torch.uint8).expand(KEYS, -1, -1, -1, -1)
    look = Look(patches, keys_of(KEYS), torch.ones(1, 2))
    steps = InformativePairs(alpha=1.5, keep=0.3)(look, draws=True)
    assert steps.shape == (KEYS, 8)
    assert (steps[:, 1:] > steps[:, :-1]).all()
    seen = Counter(tuple(chosen) for chosen in steps.tolist())
    assert believed([seen[chosen] for chosen in combinations(range(12), 8)]) > LEVEL


def test_steps_without_tokens_come_last_and_in_any_order() -> None:
    steps = pick(many((4.0, 0.0, 0.0, 0.0, 2.0, 1.0), 6000), 4, keys_of(6000)).tolist()
    assert all({0, 4, 5} <= set(chosen) for chosen in steps)
    extra = [(set(chosen) - {0, 4, 5}).pop() for chosen in steps]
    assert believed([extra.count(step) for step in (1, 2, 3)]) > LEVEL


def test_evaluation_takes_the_fullest_and_ties_go_to_the_earlier() -> None:
    counts = torch.tensor([[1.0, 3.0, 2.0, 0.0, 3.0, 2.0], [1.0] * 6])
    assert pick(counts, 3, None).tolist() == [[1, 2, 4], [0, 1, 2]]


def test_evaluation_does_not_hear_of_the_key() -> None:
    look = small_vit().look(noisy_clips(count=2, frames=12))
    other = Look(look.patches, look.key + 1, look.weight)
    pairs = InformativePairs(1.5)
    assert torch.equal(pairs(look, draws=False), pairs(other, draws=False))
    assert not torch.equal(
        torch.cat([pairs(Look(look.patches, look.key + n, look.weight), True) for n in range(9)]),
        torch.cat([pairs(look, True) for n in range(9)]),
    )


def naive_shares(scores: list[list[int]], kept: int) -> list[Fraction]:
    """Tokens a step: 1 above the cut, and the places left shared among those at the cut."""
    ranked = sorted((score for step in scores for score in step), reverse=True)
    cut = ranked[kept - 1]
    left = kept - sum(score > cut for score in ranked)
    part = Fraction(left, ranked.count(cut))
    return [
        sum((Fraction(1) if score > cut else part if score == cut else Fraction(0)) for score in s)
        + Fraction(0)
        for s in scores
    ]


@given(
    st.integers(1, 6).flatmap(
        lambda wide: st.lists(
            st.lists(st.integers(0, 3), min_size=wide, max_size=wide), min_size=2, max_size=8
        )
    ),
    st.data(),
)
@settings(deadline=None)
def test_tokens_tied_at_the_cut_count_as_fractions(
    scores: list[list[int]], data: st.DataObject
) -> None:
    kept = data.draw(st.integers(1, len(scores) * len(scores[0])))
    found = shares(torch.tensor(scores).float()[None, :, None], kept)[0]
    wanted = naive_shares(scores, kept)
    assert sum(wanted) == kept
    torch.testing.assert_close(found, torch.tensor([float(share) for share in wanted]))


@given(st.floats(1.0, 6.0), st.integers(1, 200))
def test_chosen_inverts_candidates(alpha: float, steps: int) -> None:
    pairs = InformativePairs(alpha)
    assert pairs.chosen(pairs.candidates(steps)) == steps


@pytest.mark.parametrize(("steps", "candidates"), [(8, 12), (16, 24), (5, 7), (1, 1)])
def test_alpha_one_and_a_half_looks_at_half_as_many_again(steps: int, candidates: int) -> None:
    assert InformativePairs(1.5).candidates(steps) == candidates


@pytest.mark.parametrize("alpha", [0.9, 0.0, -1.5, float("nan"), float("inf")])
def test_alpha_below_one_or_without_end_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=f"--alpha {alpha}"):
        InformativePairs(alpha)
    assert InformativePairs(1.0).candidates(8) == 8


def test_alpha_one_leaves_the_clip_as_it_is() -> None:
    look = small_vit().look(noisy_clips())
    assert InformativePairs(1.0)(look, draws=True).tolist() == [[0, 1, 2, 3]] * 3


def test_frame_selection_counts_with_its_own_keep() -> None:
    patches = torch.zeros(1, 3, 1, 4, 1, dtype=torch.uint8)
    patches[0, 1:, 0, 0] = 200  # step 1 has the one token that changes most, and step 0 its copy
    patches[0, 2, 0, :] += torch.tensor([[5], [5], [5], [5]], dtype=torch.uint8)
    look = Look(patches, keys_of(1), torch.ones(1, 1))
    assert InformativePairs(1.5, keep=2)(look, draws=False).tolist() == [[0, 1]]
    assert InformativePairs(1.5, keep=6)(look, draws=False).tolist() == [[0, 2]]


@pytest.mark.parametrize("keep", [0.0, 1.5, 1000])
def test_a_keep_that_cannot_be_met_is_refused(keep: float) -> None:
    look = small_vit().look(noisy_clips(frames=12))
    with pytest.raises(ValueError, match=f"--keep {keep}"):
        InformativePairs(1.5, keep)(look, draws=True)


# In the models


def autoencoder(frames: InformativePairs | None) -> MaskedVideoAutoencoder:
    torch.manual_seed(0)
    encoder = small_vit()
    decoder = Decoder(DecoderConfig(12, 1, 3), 24, {Pixels(2, 8, 3): 1.0})
    return MaskedVideoAutoencoder(encoder, ReRo(0.5, 0.2), [decoder], frames)


def classifier(frames: InformativePairs | None) -> VideoClassifier:
    torch.manual_seed(0)
    return VideoClassifier(small_vit(), {"label": SingleLabel(24, 3)}, ReRo(0.6, None), frames)


def busy_middle() -> Clips:
    """Six candidate steps, of which 1, 2, 3 and 4 change and the ends stand still."""
    video = noise(3, 3, 12, 16, 24)
    video[:, :, 2:4] = video[:, :, :2]  # step 1 repeats 0: nothing at 0 and 1
    video[:, :, 10:] = video[:, :, 8:10]  # step 5 repeats 4
    clips = clips_of(video, labels={"label": torch.tensor([0, 1, 2])})
    return clips._replace(extra={"trace": torch.arange(18).view(3, 6)})


@pytest.mark.parametrize("make", [autoencoder, classifier])
@pytest.mark.parametrize("training", [True, False])
def test_a_model_reads_its_chosen_pairs_in_clip_time(
    make: Callable[[InformativePairs | None], MaskedVideoAutoencoder | VideoClassifier],
    training: bool,
) -> None:
    clips = busy_middle()
    out = make(InformativePairs(1.5)).train(training)(clips)
    steps = out["steps"]
    assert steps.shape == (3, 4)
    # The same as a model without frame selection that is given those pairs as its clip.
    plain = make(None).train(training)(clips.at(steps, 2))
    assert "steps" not in plain
    assert torch.equal(out["visible"], plain["visible"])
    assert int(out["visible"].max()) < 4 * 2 * 3
    torch.testing.assert_close(out["loss"], plain["loss"], rtol=0, atol=0)


@pytest.mark.parametrize("make", [autoencoder, classifier])
def test_pairs_that_change_are_read_in_evaluation(
    make: Callable[[InformativePairs | None], MaskedVideoAutoencoder | VideoClassifier],
) -> None:
    steps = make(InformativePairs(1.5)).eval()(busy_middle())["steps"]
    assert all({2, 3, 4} <= set(chosen) for chosen in steps.tolist())


def test_chosen_steps_take_whole_pairs_and_what_goes_with_them() -> None:
    clips = busy_middle()
    chosen = clips.at(torch.tensor([[0, 3], [1, 2], [4, 5]]), 2)
    assert chosen.video.shape == (3, 3, 4, 16, 24)
    assert torch.equal(chosen.video[0], clips.video[0][:, [0, 1, 6, 7]])
    assert torch.equal(chosen.video[2], clips.video[2][:, [8, 9, 10, 11]])
    assert chosen.extra["trace"].tolist() == [[0, 3], [7, 8], [16, 17]]
    assert chosen.labels is clips.labels
