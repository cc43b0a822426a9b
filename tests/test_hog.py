"""HOG targets: their values by the formula, their order by golden figures, and the loss."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from everest.targets.hog import Hog, histograms
from textures import clips_of, generator, noise, small_vit

GOLDEN = Path(__file__).parent / "golden" / "mme_targets.safetensors"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# What the authors' Sobel filters add by chance in the golden file, fitted to its values.
BIAS = (-0.23625383, -0.06275725)


def slow_histograms(video: Tensor, bias: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """(B, C, T, H, W) uint8 -> (B, t, C, 9, H/8, W/8), by the formula, in double precision."""
    pixels = video.double().numpy() / 255
    mean, std = (np.array(values).reshape(1, -1, 1, 1, 1) for values in (MEAN, STD))
    frames = ((pixels - mean) / std)[:, :, 1::2].transpose(0, 2, 1, 3, 4)  # (B, t, C, H, W)
    B, t, C, H, W = frames.shape
    wide = np.pad(frames, ((0, 0),) * 3 + ((1, 1),) * 2, mode="edge")
    across, down = np.full_like(frames, bias[0]), np.full_like(frames, bias[1])
    kernel = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    for row in range(3):
        for column in range(3):
            part = wide[..., row : row + H, column : column + W]
            across += kernel[row, column] * part
            down += kernel.T[row, column] * part
    size, angle = np.hypot(across, down), np.arctan2(down, across) / np.pi * 9
    low = np.floor(angle)
    votes = np.zeros((9, B, t, C, H, W))
    places = np.indices(size.shape)
    np.add.at(votes, (low.astype(int) % 9, *places), size * (1 - (angle - low)))
    np.add.at(votes, ((low.astype(int) + 1) % 9, *places), size * (angle - low))
    cells = votes.reshape(9, B, t, C, H // 8, 8, W // 8, 8).mean((5, 7))
    return cells.transpose(1, 2, 3, 0, 4, 5)


def by_tokens(maps: np.ndarray) -> Tensor:
    """(B, t, C, 9, 2h, 2w) -> (B, N, C*9*2*2), token by token."""
    B, t, high, wide = (maps.shape[axis] for axis in (0, 1, 4, 5))
    rows = [
        maps[:, step, :, :, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].reshape(B, -1)
        for step in range(t)
        for y in range(high // 2)
        for x in range(wide // 2)
    ]
    return torch.from_numpy(np.stack(rows, axis=1))


def targets_of(video: Tensor, positions: Tensor) -> Tensor:
    clips = clips_of(video)
    return Hog(2, 16, 3, MEAN, STD)(clips, small_vit(patch=16).look(clips), positions)


def test_the_formula_gives_the_authors_values_once_their_bias_is_added() -> None:
    golden = load_file(GOLDEN)
    video = golden["video"].permute(0, 4, 1, 2, 3)[:, :, :4]
    found = torch.from_numpy(slow_histograms(video, BIAS)).flatten(2, 3).transpose(1, 2)
    torch.testing.assert_close(found.float(), golden["hog"][:, :, :2], rtol=0, atol=3e-6)


def test_targets_are_histograms_by_the_formula() -> None:
    video = load_file(GOLDEN)["video"].permute(0, 4, 1, 2, 3)[:, :, :4]
    positions = torch.tensor([[0, 3, 5, 17, 31], [1, 15, 16, 24, 30]])
    found = targets_of(video, positions)
    wanted = by_tokens(slow_histograms(video))[torch.arange(2)[:, None], positions]
    assert found.shape == (2, 5, 108) and found.dtype == torch.float32
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=2e-6)


def test_a_frame_wider_than_high_keeps_rows_and_columns_apart() -> None:
    video = noise(1, 3, 4, 32, 48)
    positions = torch.arange(12)[None]
    wanted = by_tokens(slow_histograms(video))
    torch.testing.assert_close(targets_of(video, positions).double(), wanted, rtol=1e-5, atol=2e-6)


def test_only_the_second_frame_of_a_tubelet_counts() -> None:
    video, positions = noise(1, 3, 4, 32, 32), torch.arange(8)[None]
    before = targets_of(video, positions)
    video[:, :, ::2] = 0
    assert torch.equal(targets_of(video, positions), before)
    video[:, :, 1::2] = 0
    assert not targets_of(video, positions).any()


@pytest.mark.parametrize(("turned", "bin"), [(False, 0), (True, 4)])
def test_a_ramp_votes_for_its_own_direction_alone(turned: bool, bin: int) -> None:
    """METHOD.md 2.2: the authors' code loses a level ramp altogether."""
    ramp = torch.arange(0, 128, 4, dtype=torch.uint8).expand(32, 32)
    frame = ramp.T if turned else ramp
    video = frame.expand(1, 3, 2, 32, 32).clone()
    found = targets_of(video, torch.arange(4)[None]).view(4, 3, 9, 2, 2)
    inside = found[0, :, :, 1, 1]  # away from the frame's edges
    size = 8 * 4 / 255 / torch.tensor(STD)
    wanted = torch.zeros(3, 9)
    wanted[:, bin] = size * (0.5 if turned else 1.0)
    if turned:
        wanted[:, 5] = size * 0.5  # a quarter turn lies between two bins
    torch.testing.assert_close(inside, wanted, rtol=1e-5, atol=1e-6)


def test_many_rows_at_once_are_the_same_as_few() -> None:
    across, down = (noise(64, 16, 48, seed=seed).to(torch.int16) - 128 for seed in (0, 1))
    whole = histograms(across, down, 3)
    parts = [
        histograms(across[part : part + 7], down[part : part + 7], 3) for part in range(0, 64, 7)
    ]
    assert torch.equal(whole, torch.cat(parts))
    assert (whole >= 0).all()


def test_the_loss_is_the_squared_error_of_a_token() -> None:
    target = Hog(2, 16, 3, MEAN, STD)
    predicted, wanted = (torch.rand(2, 5, 108, generator=generator(seed)) for seed in (0, 1))
    errors = (predicted - wanted).square().sum(dim=2)
    torch.testing.assert_close(target.loss(predicted, wanted), errors.mean(dim=1))
    wanted[0, :3] = torch.nan
    found = target.loss(predicted.requires_grad_(), wanted)
    torch.testing.assert_close(found[0], errors[0, 3:].mean())
    (gradient,) = torch.autograd.grad(found.sum(), predicted)
    assert not gradient[0, :3].any() and gradient[0, 3:].all()


def test_the_head_is_two_layers_that_end_between_0_and_1() -> None:
    target = Hog(2, 16, 3, MEAN, STD)
    head = target.head(24)
    assert {name: tuple(value.shape) for name, value in head.state_dict().items()} == {
        "0.weight": (512, 24),
        "0.bias": (512,),
        "2.weight": (108, 512),
        "2.bias": (108,),
    }
    out = head(100 * torch.randn(50, 24, generator=generator(0)))
    assert out.shape == (50, 108) and 0 <= out.min() < 0.1 and 0.9 < out.max() <= 1
    assert target.dim == 108 and target.frozen() == []


def test_a_patch_that_is_not_made_of_cells_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--patch 14: .* multiple of 8"):
        Hog(2, 14, 3, MEAN, STD)
    with pytest.raises(ValueError, match="give 1 numbers"):
        Hog(2, 16, 1, MEAN, STD)
