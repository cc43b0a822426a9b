"""Trajectory targets: lost points, and what the loss counts."""

import pytest
import torch
from torch import Tensor

from everest.clips import Clips
from everest.targets.trajectory import Trajectories
from textures import generator, noisy_clips, small_vit

GRID = (4, 2, 3)


def carrying(maps: Tensor) -> Clips:
    clips = noisy_clips(count=len(maps))
    return clips._replace(extra={"trajectory": maps})


def targets_of(maps: Tensor, positions: Tensor) -> Tensor:
    clips = carrying(maps)
    return Trajectories(2, 8)(clips, small_vit().look(clips), positions)


def maps_of(count: int = 1, seed: int = 0) -> Tensor:
    t, h, w = GRID
    return torch.randint(-20, 21, (count, t, 8, 2 * h, 2 * w), generator=generator(seed)).half()


EVERY = torch.arange(24)[None]


def test_only_the_positions_asked_for_are_made() -> None:
    maps = maps_of(2)
    every = targets_of(maps, EVERY.expand(2, -1))
    positions = torch.tensor([[0, 7, 23], [2, 3, 11]])
    assert torch.equal(targets_of(maps, positions), every[torch.arange(2)[:, None], positions])
    assert every.shape == (2, 24, 32)


def test_points_that_move_alike_have_no_shape() -> None:
    maps = torch.full((1, 4, 8, 4, 6), 3.0).half()
    assert not targets_of(maps, EVERY).any()


def test_a_lost_point_is_nan_and_takes_no_part_in_the_others() -> None:
    maps = maps_of()
    maps[0, 1, :, 2, 3] = torch.nan  # of token (1, 1, 1): its points (0, 1)
    found = targets_of(maps, EVERY)[0].view(*GRID, 8, 2, 2)
    token = found[1, 1, 1]
    assert token[:, 0, 1].isnan().all() and found.isnan().sum() == 8
    kept = maps[0, 1, :, 2:4, 2:4].float().flatten(1)[:, [0, 2, 3]] / 20
    wanted = (kept - kept.mean(1, keepdim=True)) / (kept.std(1, keepdim=True) + 1e-6)
    torch.testing.assert_close(token.flatten(1)[:, [0, 2, 3]], wanted)


def test_a_single_point_has_no_shape_and_a_lost_token_is_nan() -> None:
    maps = maps_of()
    maps[0, 0, :, 0:2, 0:2] = torch.nan
    lost = targets_of(maps, EVERY)[0]
    assert lost[0].isnan().all() and not lost[1:].isnan().any()
    maps[0, 0, :, 1, 0] = 7.0
    single = targets_of(maps, EVERY)[0, 0].view(8, 2, 2)
    assert not single[:, 1, 0].any() and single.isnan().sum() == 24


def test_the_loss_counts_what_is_not_lost_over_all_masked_tokens() -> None:
    target = Trajectories(2, 8)
    wanted = torch.randn(2, 5, 32, generator=generator(0))
    predicted = torch.randn(2, 5, 32, generator=generator(1)).requires_grad_()
    errors = (predicted - wanted).square()
    torch.testing.assert_close(target.loss(predicted, wanted), errors.sum((1, 2)) / 5)
    wanted[0, 1:], wanted[0, 0, 4:] = torch.nan, torch.nan
    found = target.loss(predicted, wanted)
    torch.testing.assert_close(found[0], errors[0, 0, :4].sum() / 5)
    wanted[1] = torch.nan
    found = target.loss(predicted, wanted)
    assert found[1] == 0
    (gradient,) = torch.autograd.grad(found.sum(), predicted)
    assert gradient.isfinite().all() and gradient.count_nonzero() == 4


def test_the_targets_follow_chosen_steps() -> None:
    maps = maps_of(2)
    clips, steps = carrying(maps), torch.tensor([[0, 2], [1, 3]])
    chosen = clips.at(steps, 2)
    look = small_vit().look(clips).at(steps)
    found = Trajectories(2, 8)(chosen, look, torch.arange(12).expand(2, -1))
    every = targets_of(maps, EVERY.expand(2, -1)).view(2, 4, 6, 32)
    assert torch.equal(found.view(2, 2, 6, 32), every[torch.arange(2)[:, None], steps])


def test_clips_without_maps_or_with_those_of_another_grid_are_refused() -> None:
    clips = noisy_clips(count=1)
    target, look = Trajectories(2, 8), small_vit().look(clips)
    assert not target.possible(clips)
    with pytest.raises(ValueError, match="--trajectories DIR"):
        target(clips, look, EVERY)
    clips = carrying(maps_of()[:, :, :, :3])
    assert target.possible(clips)
    with pytest.raises(ValueError, match=r"a grid of 4x2x3 tokens needs \(4, 8, 4, 6\)"):
        target(clips, look, EVERY)


def test_the_head_ends_between_minus_1_and_1() -> None:
    head = Trajectories(2, 8).head(24)
    assert [name for name, _ in head.named_parameters()] == [
        "0.weight", "0.bias", "2.weight", "2.bias",
    ]  # fmt: skip
    out = head(100 * torch.randn(50, 24, generator=generator(0)))
    assert out.shape == (50, 32) and -1 <= out.min() < -0.9 and 0.9 < out.max() <= 1
