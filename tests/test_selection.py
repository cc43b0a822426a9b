"""Which tokens ReRo keeps, against a naive reference, and how many a budget means."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from everest import selection
from everest.selection import (
    AllTokens,
    Budget,
    Grid,
    RandomTokens,
    ReRo,
    Selector,
    Tube,
    count_of,
    size_of,
    take,
    top,
)
from everest.vit import IMAGENET_MEAN, IMAGENET_STD, VideoTransformer
from textures import clips_of, look_at, noise, noisy_clips, small_vit

PAPER: Grid = (8, 14, 14)  # 16 frames of 224 pixels


def naive_importance(model: VideoTransformer, video: Tensor) -> Tensor:
    """(B, C, T, H, W) uint8 -> (B, t, h, w) float64, as METHOD.md 1.2 says it, a step at a time."""
    convolve = model.patch_embed.proj
    own = nn.Conv3d(3, convolve.out_channels, convolve.kernel_size, convolve.stride).double()
    own.load_state_dict(convolve.state_dict())
    mean, std = (
        torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1, 1)
        for values in (IMAGENET_MEAN, IMAGENET_STD)
    )
    tokens = own((video.double() / 255 - mean) / std)  # (B, D, t, h, w)
    changes = [
        (tokens[:, :, step] - tokens[:, :, step - 1]).square().sum(dim=1).sqrt()
        for step in range(1, tokens.shape[2])
    ]
    return torch.stack([changes[0], *changes], dim=1).detach()


def naive_top(scores: list[float], count: int) -> list[int]:
    best = sorted(range(len(scores)), key=lambda place: (-scores[place], place))
    return sorted(best[:count])


def test_importance_is_the_distance_of_embeddings_of_neighbouring_steps() -> None:
    model = small_vit()
    clips = noisy_clips(frames=10)
    found = model.look(clips).change()
    assert found.shape == (3, 5, 2, 3)
    assert found.dtype == torch.float32
    torch.testing.assert_close(
        found.double(), naive_importance(model, clips.video), rtol=1e-5, atol=0
    )


def test_the_first_time_step_takes_the_scores_of_the_second() -> None:
    scores = small_vit().look(noisy_clips()).change()
    assert torch.equal(scores[:, 0], scores[:, 1])
    assert not torch.equal(scores[:, 1], scores[:, 2])


def test_rero_keeps_what_a_naive_sort_keeps() -> None:
    model = small_vit()
    clips = noisy_clips(frames=12, sides=(32, 24))
    wanted = naive_importance(model, clips.video).flatten(1).tolist()
    kept = ReRo(0.3, None)(model.look(clips)).visible
    assert kept.shape == (3, 21)
    assert kept.tolist() == [naive_top(scores, 21) for scores in wanted]


def test_ties_between_the_first_two_steps_go_to_the_first() -> None:
    patches = torch.zeros(1, 3, 1, 4, 6, dtype=torch.uint8)
    patches[:, 1:, 0, 2] = 9  # one place changes once, from step 0 to step 1: scored in both
    for count, wanted in ((3, [0, 2, 6]), (2, [2, 6]), (4, [0, 1, 2, 6])):
        assert ReRo(count, None)(look_at(patches)).visible.tolist() == [wanted]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.data())
def test_tied_scores_keep_the_earlier_positions(scores: list[int], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(scores)))
    assert top(torch.tensor([scores]).float(), count).tolist() == [naive_top(scores, count)]


def test_change_is_exactly_zero_where_two_patches_are_equal() -> None:
    video = noise(2, 3, 8, 16, 24)
    video[:, :, 4:6, :8, 8:16] = video[:, :, 2:4, :8, 8:16]  # step 2 repeats step 1 at (0, 1)
    scores = small_vit().look(clips_of(video)).change()
    assert (scores[:, 2, 0, 1] == 0).all()
    assert (scores == 0).sum() == 2  # and nowhere else


def test_a_still_clip_changes_nowhere() -> None:
    frame = noise(2, 3, 1, 16, 24)
    assert not small_vit().look(clips_of(frame.expand(-1, -1, 8, -1, -1))).change().any()


def test_scores_carry_no_gradient() -> None:
    model = small_vit()
    assert model.grey_weight().requires_grad
    assert not model.look(noisy_clips()).change().requires_grad


@pytest.mark.parametrize("steps", [0, 1, 3, 14])
def test_clips_scored_a_few_steps_at_once_score_the_same(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_vit()
    clips = noisy_clips(frames=14)
    whole = model.look(clips).change()
    numbers = model.look(clips).patches[0, 0].numel()
    monkeypatch.setitem(selection.SCORED_AT_ONCE, "cpu", steps * numbers)
    torch.testing.assert_close(model.look(clips).change(), whole, rtol=1e-6, atol=0)


def test_chosen_steps_are_scored_between_chosen_neighbours() -> None:
    model = small_vit()
    clips = noisy_clips(frames=12)
    steps = torch.tensor([[0, 2, 5], [1, 2, 3], [0, 4, 5]])
    found = model.look(clips).at(steps)
    assert found.grid == (3, 2, 3)
    wanted = model.look(clips.at(steps, 2))
    assert torch.equal(found.patches, wanted.patches)
    torch.testing.assert_close(found.change(), wanted.change())


def test_bfloat16_autocast_keeps_nearly_the_same_tokens() -> None:
    model = small_vit()
    clips = noisy_clips(frames=16, sides=(64, 64))
    kept = ReRo(0.3, None)(model.look(clips)).visible
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = ReRo(0.3, None)(model.look(clips)).visible
    shared = [len(set(a) & set(b)) for a, b in zip(kept.tolist(), rounded.tolist(), strict=True)]
    assert min(shared) >= 0.95 * kept.shape[1]


def test_bfloat16_autocast_still_gives_zero_for_equal_patches() -> None:
    video = noise(1, 3, 1, 16, 24).expand(-1, -1, 8, -1, -1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not small_vit().look(clips_of(video)).change().any()


def test_take_brings_the_rows_at_the_positions() -> None:
    rows = torch.arange(12).view(2, 3, 2)
    taken = take(rows, torch.tensor([[0, 2], [1, 2]]))
    assert taken.tolist() == [[[0, 1], [4, 5]], [[8, 9], [10, 11]]]


# Budgets


@pytest.mark.parametrize(
    ("selector", "counts"),
    [
        (ReRo(0.3, 0.1), (156, 314)),
        (ReRo(470, 156), (156, 314)),
        (ReRo(0.3, None), (470, 0)),
        (ReRo(0.6, None), (940, 0)),
        (RandomTokens(0.3, 0.1), (156, 314)),
        (Tube(0.1), (160, 1408)),
        (Tube(160), (160, 1408)),
        (AllTokens(), (1568, 0)),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, tuple) else str(value),
)
def test_counts_of_a_clip_of_the_paper_are_the_papers(
    selector: Selector, counts: tuple[int, int]
) -> None:
    assert size_of(PAPER) == 1568
    assert selector.counts(PAPER) == counts


HIDDEN = {0.3: 0.7, 0.1: 0.9, 0.6: 0.4, 0.25: 0.75, 0.5: 0.5, 0.2: 0.8, 0.4: 0.6}


@pytest.mark.parametrize(("share", "hidden"), HIDDEN.items())
def test_shares_are_truncated_as_the_authors_truncate(share: float, hidden: float) -> None:
    for total in range(64, 4000):
        assert count_of(share, total, "--keep") == int((1 - hidden) * total)


def test_the_authors_truncation_differs_from_the_plain_product() -> None:
    assert int(0.1 * 1960) == 196
    assert count_of(0.1, 1960, "--visible") == 195


def test_tube_hides_the_authors_count_of_places() -> None:
    for side in range(2, 40):
        hidden = int(0.9 * side * side)
        if hidden < side * side:
            wanted = (4 * (side * side - hidden), 4 * hidden)
            assert Tube(0.1).counts((4, side, side)) == wanted


@pytest.mark.parametrize("grid", [(8, 14, 14), (16, 14, 14), (8, 20, 22), (3, 14, 14)])
def test_a_count_is_a_budget_whatever_the_clips_size(grid: Grid) -> None:
    assert ReRo(470, 156).counts(grid) == (156, 314)
    assert RandomTokens(470, 156).counts(grid) == (156, 314)


REFUSED: list[tuple[Callable[[], Selector], str]] = [
    (lambda: ReRo(0, None), "--keep 0:"),
    (lambda: ReRo(0.0, None), r"--keep 0\.0"),
    (lambda: ReRo(-3, None), "--keep -3"),
    (lambda: ReRo(-0.5, None), r"--keep -0\.5"),
    (lambda: ReRo(1.5, None), r"--keep 1\.5"),
    (lambda: ReRo(float("nan"), None), "--keep nan"),
    (lambda: ReRo(1, None), r"--keep 1 .*--keep 1\.0"),
    (lambda: ReRo(1569, None), "--keep 1569.*1568"),
    (lambda: ReRo(0.0001, None), r"--keep 0\.0001"),
    (lambda: ReRo(0.3, 0.3), r"--visible 0\.3 .*--keep 0\.3"),
    (lambda: ReRo(0.1, 0.3), r"--visible 0\.3 .*--keep 0\.1"),
    (lambda: ReRo(470, 470), "--visible 470 .*--keep 470"),
    (lambda: ReRo(0.3, 0), "--visible 0:"),
    (lambda: ReRo(0.3, 1), r"--visible 1 .*--visible 1\.0"),
    (lambda: RandomTokens(1.5, None), r"--keep 1\.5"),
    (lambda: RandomTokens(0.3, 471), "--visible 471 "),
    (lambda: Tube(1.0), r"--visible 1\.0"),
    (lambda: Tube(1.5), r"--visible 1\.5"),
    (lambda: Tube(0), "--visible 0"),
    (lambda: Tube(1568), "--visible 1568"),
    (lambda: Tube(161), "--visible 161.*8"),
]


@pytest.mark.parametrize(("make", "told"), REFUSED, ids=[told for _, told in REFUSED])
def test_a_budget_that_cannot_be_met_is_refused_with_its_value(
    make: Callable[[], Selector], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        make().counts(PAPER)


def test_a_refused_budget_is_refused_by_the_selection_too() -> None:
    look = look_at(noise(1, 4, 2, 3, 6))
    for selector in (ReRo(25, None), RandomTokens(25, None), Tube(25), ReRo(12, 12)):
        with pytest.raises(ValueError, match=r"24 tokens|below 24|12 tokens"):
            selector(look)


@pytest.mark.parametrize("keep", [1.0, 24])
def test_keeping_everything_is_allowed(keep: Budget) -> None:
    look = look_at(noise(1, 4, 2, 3, 6))
    assert ReRo(keep, None)(look).visible.tolist() == [list(range(24))]


def test_a_single_time_step_is_refused_by_rero_and_read_by_random() -> None:
    look = look_at(noise(2, 1, 4, 4, 6))
    with pytest.raises(ValueError, match="time step"):
        ReRo(0.5, None)(look)
    with pytest.raises(ValueError, match="one time step"):
        look.change()
    assert RandomTokens(0.5, None)(look).visible.shape == (2, 8)
