"""The selection for other people's code, and the models by name."""

import pytest
import torch
from torch import Tensor

import everest as ev
from everest.masked import MaskedVideoAutoencoder
from everest.pairs import InformativePairs
from everest.selection import Budget, ReRo
from textures import clips_of, generator, keys_of, noise, noisy_clips, small_vit


def embeddings(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(0))


@pytest.mark.parametrize("keep", [0.3, 0.6, 7])
def test_tokens_of_a_models_embeddings_are_those_rero_keeps(keep: Budget) -> None:
    model, clips = small_vit(), noisy_clips(frames=12)
    positions, scores = ev.select_tokens(model.embed(model.patchify(clips.video)), keep=keep)
    look = model.look(clips)
    assert torch.equal(positions, ReRo(keep, None)(look).visible)
    torch.testing.assert_close(scores, look.change(), rtol=1e-4, atol=1e-5)
    assert not scores.requires_grad


def test_tokens_are_scored_by_their_distance_to_the_step_before() -> None:
    given = embeddings(2, 4, 2, 3, 5)
    positions, scores = ev.select_tokens(given, keep=0.3)
    assert positions.shape == (2, 7)
    assert scores.shape == (2, 4, 2, 3)
    wanted = (given[:, 1:] - given[:, :-1]).square().sum(dim=-1).sqrt()
    torch.testing.assert_close(scores[:, 1:], wanted)
    assert torch.equal(scores[:, 0], scores[:, 1])


def test_half_precision_embeddings_are_scored_in_full() -> None:
    given = embeddings(2, 4, 2, 3, 5).to(torch.bfloat16)
    scores = ev.select_tokens(given)[1]
    assert scores.dtype == torch.float32
    assert torch.equal(scores, ev.select_tokens(given.float())[1])


def test_frames_without_a_key_are_the_fullest_pairs() -> None:
    model, clips = small_vit(), noisy_clips(frames=12)
    found = ev.select_frames(model.embed(model.patchify(clips.video)), frames=8)
    steps = InformativePairs(1.5)(model.look(clips), draws=False)
    assert found.shape == (3, 8)
    assert torch.equal(found, torch.stack((2 * steps, 2 * steps + 1), dim=2).flatten(1))


def test_frames_with_a_key_are_the_pairs_that_training_draws() -> None:
    model, clips = small_vit(), noisy_clips(count=8, frames=12)
    found = ev.select_frames(model.embed(model.patchify(clips.video)), frames=8, key=clips.key)
    steps = InformativePairs(1.5)(model.look(clips), draws=True)
    assert torch.equal(found[:, ::2], 2 * steps)
    other = ev.select_frames(
        model.embed(model.patchify(clips.video)), frames=8, key=keys_of(8, seed=1)
    )
    assert not torch.equal(found, other)


def test_frames_of_another_tubelet_come_in_groups_of_it() -> None:
    found = ev.select_frames(embeddings(1, 5, 2, 2, 3), frames=9, tubelet=3)
    assert found.shape == (1, 9)
    groups = found.view(1, 3, 3)
    assert (groups[..., 0] % 3 == 0).all()
    assert torch.equal(groups - groups[..., :1], torch.arange(3).expand(1, 3, 3))


def test_pixel_patches_are_the_pixels_of_each_token() -> None:
    video = noise(2, 3, 4, 32, 48)
    patches = ev.pixel_patches(video)
    assert patches.shape == (2, 2, 2, 3, 3 * 2 * 16 * 16)
    cut = video[1, :, 2:4, 16:32, 32:48].float() / 255
    torch.testing.assert_close(patches[1, 1, 1, 2], cut.flatten())
    torch.testing.assert_close(ev.pixel_patches(video.float() / 255), patches)
    assert ev.pixel_patches(video, patch=8, tubelet=1).shape == (2, 4, 4, 6, 3 * 64)


def test_pixel_patches_stand_in_for_a_models_embeddings() -> None:
    video = noise(1, 3, 8, 32, 32)
    video[:, :, :, :16] = video[:, :, :1, :16]  # the upper half stands still
    positions, scores = ev.select_tokens(ev.pixel_patches(video), keep=0.5)
    assert not scores[:, :, 0].any()
    assert positions.tolist() == [[2, 3, 6, 7, 10, 11, 14, 15]]


@pytest.mark.parametrize(
    ("shape", "keep", "told"),
    [
        ((2, 4, 6, 5), 0.3, r"\(2, 4, 6, 5\).*\(B, t, h, w, D\)"),
        ((2, 1, 2, 3, 5), 0.3, "t at least 2"),
        ((2, 4, 2, 3, 5), 0.0, r"keep 0\.0"),
        ((2, 4, 2, 3, 5), 1.5, r"keep 1\.5"),
        ((2, 4, 2, 3, 5), 25, "keep 25.*24 tokens"),
        ((2, 4, 2, 3, 5), 1, r"keep 1 .*keep 1\.0"),
    ],
)
def test_embeddings_or_budgets_that_cannot_be_used_are_refused(
    shape: tuple[int, ...], keep: Budget, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        ev.select_tokens(embeddings(*shape), keep=keep)


@pytest.mark.parametrize(
    ("frames", "tubelet", "told"),
    [
        (7, 2, "frames 7.*tubelet, 2"),
        (10, 2, "frames 10.*8 candidates"),
        (0, 2, "frames 0"),
        (-2, 2, "frames -2"),
        (8, 3, "frames 8.*tubelet, 3"),
    ],
)
def test_frames_that_cannot_be_chosen_are_refused(frames: int, tubelet: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ev.select_frames(embeddings(1, 4, 2, 2, 3), frames=frames, tubelet=tubelet)


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((1, 3, 5, 32, 32), "5 frames.*multiple of 2"),
        ((1, 3, 4, 40, 32), "40x32"),
        ((1, 3, 4, 32, 20), "32x20"),
        ((3, 4, 32, 32), r"\(3, 4, 32, 32\).*\(B, C, T, H, W\)"),
    ],
)
def test_a_video_that_does_not_divide_into_patches_is_refused(
    shape: tuple[int, ...], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        ev.pixel_patches(torch.zeros(shape))


# Models by name


def test_a_model_is_made_by_name() -> None:
    model = ev.create_model(
        "24x2x3", method="videomae", frames=8, size=32, patch=8, visible=0.25, decoder_depth=1
    )
    assert isinstance(model, MaskedVideoAutoencoder)
    out = model(clips_of(noise(1, 3, 8, 32, 32)))
    assert out["visible"].shape[1] == 4 * 4
    assert out["masked"].shape[1] == 4 * 12


def test_frame_selection_is_a_field_like_any_other() -> None:
    model = ev.create_model(
        "24x2x3", classes=3, frames=8, size=32, patch=8, frame_select=True, alpha=2.0
    )
    out = model(clips_of(noise(2, 3, 16, 32, 32)))
    assert out["steps"].shape == (2, 4)
    assert out["logits.label"].shape == (2, 3)


@pytest.mark.parametrize(
    ("model", "fields", "told"),
    [
        ("vit-x", {}, "vit-x: choose one of vit-ti, vit-s"),
        ("24x2x5", {}, "24x2x5"),
        ("24x2x3", {"frmaes": 8}, "frmaes.*frames"),
        ("24x2x3", {"frames": 7}, "--frames 7"),
        ("24x2x3", {"size": 100}, "--size 100.*96 and 112"),
        ("24x2x3", {"keep": 1.5}, r"--keep 1\.5"),
        ("24x2x3", {"visible": 0.3}, r"--visible 0\.3"),
        ("24x2x3", {"method": "mcm"}, "mcm: choose one of everest, videomae"),
        ("24x2x3", {"select": "all"}, "--select all"),
    ],
)
def test_a_model_that_cannot_be_built_is_refused(
    model: str, fields: dict[str, object], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        ev.create_model(model, **fields)  # type: ignore[arg-type]
