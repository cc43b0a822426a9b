"""Pixel targets: what is to be predicted, in which order, and the loss."""

import pytest
import torch
from torch import Tensor

from everest.targets.pixels import Pixels, SquaredError
from textures import clips_of, generator, noise, noisy_clips, small_vit

DIM = 3 * 2 * 8 * 8


def naive_targets(video: Tensor, patch: int) -> Tensor:
    """(B, C, T, H, W) uint8 -> (B, N, (p0 p1 p2 c)), token by token as METHOD.md 1.2 says it."""
    pixels = video.double() / 255
    B, C, T, H, W = pixels.shape
    found = []
    for t in range(T // 2):
        for y in range(H // patch):
            for x in range(W // patch):
                rows, columns = slice(y * patch, (y + 1) * patch), slice(x * patch, (x + 1) * patch)
                cube = pixels[:, :, 2 * t : 2 * t + 2, rows, columns]
                values = cube.permute(0, 2, 3, 4, 1).reshape(B, -1, C)  # (B, (p0 p1 p2), C)
                mean = values.mean(dim=1, keepdim=True)
                std = values.var(dim=1, unbiased=True, keepdim=True).sqrt()
                found.append(((values - mean) / (std + 1e-6)).flatten(1))
    return torch.stack(found, dim=1)


@pytest.mark.parametrize("channels", [1, 3])
def test_targets_are_pixels_normalised_a_token_and_channel(channels: int) -> None:
    video = noise(2, channels, 4, 16, 24)
    video[:, :, :, :8, :8] = 77  # a flat patch has targets of 0
    mean, std = (0.5,) * channels, (0.25,) * channels
    clips, model = clips_of(video), small_vit(channels=channels, mean=mean, std=std)
    positions = torch.tensor([[0, 3, 4, 11], [0, 1, 2, 10]])
    found = Pixels(2, 8, channels)(clips, model.look(clips), positions)
    wanted = naive_targets(video, 8)[torch.arange(2)[:, None], positions]
    assert found.shape == (2, 4, channels * 128)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
    assert not found[:, 0].any()


def test_targets_of_a_nearly_flat_patch_divide_by_the_same_small_number() -> None:
    video = torch.full((1, 3, 2, 8, 8), 90, dtype=torch.uint8)
    video[0, :, 0, 0, 0] = 91
    clips = clips_of(video)
    found = Pixels(2, 8, 3)(clips, small_vit().look(clips), torch.tensor([[0]]))
    wanted = naive_targets(video, 8)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-6)


def test_targets_without_normalising_are_pixels_from_0_to_1() -> None:
    clips = noisy_clips(count=1)
    look = small_vit().look(clips)
    found = Pixels(2, 8, 3, normalize=False)(clips, look, torch.tensor([[5]]))
    torch.testing.assert_close(found[0, 0], look.patches[0, 0, 1, 2].float() / 255)


def test_the_loss_is_the_mean_squared_error_of_each_clip() -> None:
    source = generator(0)
    predicted, wanted = (torch.randn(3, 4, 6, generator=source).double() for _ in range(2))
    loss = Pixels(2, 8, 3).loss(predicted, wanted)
    assert loss.shape == (3,)
    torch.testing.assert_close(loss, (predicted - wanted).square().mean(dim=(1, 2)))
    predicted.requires_grad_()
    assert torch.autograd.gradcheck(lambda rows: SquaredError.apply(rows, wanted), (predicted,))
