"""The video transformer: patches, embedding, positions, what its features are of, first weights."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from everest.blocks import Attention
from everest.masked import Decoder, DecoderConfig, MaskedVideoAutoencoder
from everest.positions import sinusoid
from everest.selection import RandomTokens, ReRo, take
from everest.targets.pixels import Pixels
from everest.vit import SIZES, VideoTransformer, VitConfig
from textures import (
    clips_of,
    noise,
    noisy_clips,
    small_config,
    small_vit,
)

# Patches and embedding


def test_a_patch_is_ordered_frame_row_column_channel() -> None:
    video = noise(2, 3, 4, 16, 24)
    patches = small_vit().patchify(video)
    assert patches.shape == (2, 2, 2, 3, 3 * 2 * 8 * 8)
    assert patches.dtype == torch.uint8
    cut = video[1, :, 2:4, 8:16, 16:24]  # step 1, row 1, column 2
    assert torch.equal(patches[1, 1, 1, 2], cut.permute(1, 2, 3, 0).flatten())


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("shape", [(2, 8, 8), (4, 16, 40), (10, 24, 8)])
def test_embedding_equals_normalising_by_hand_and_a_convolution(
    channels: int, shape: tuple[int, int, int]
) -> None:
    mean = tuple(0.1 + 0.15 * number for number in range(channels))
    std = tuple(0.2 + 0.05 * number for number in range(channels))
    model = small_vit(channels=channels, mean=mean, std=std)
    video = noise(2, channels, *shape)
    scale = torch.tensor(std).view(-1, 1, 1, 1)
    normal = (video.float() / 255 - torch.tensor(mean).view(-1, 1, 1, 1)) / scale
    wanted = model.patch_embed.proj(normal).permute(0, 2, 3, 4, 1)  # (B, t, h, w, D)
    tokens = model.embed(model.patchify(video))
    assert tokens.shape == (2, shape[0] // 2, shape[1] // 8, shape[2] // 8, 24)
    torch.testing.assert_close(tokens, wanted, rtol=1e-5, atol=1e-5)


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 5), st.sampled_from((1, 2, 3)))
@settings(max_examples=25, deadline=None)
def test_any_frames_and_sides_are_read(t: int, h: int, w: int, tubelet: int) -> None:
    model = VideoTransformer(small_config(tubelet=tubelet))
    clips = clips_of(noise(1, 3, t * tubelet, h * 8, w * 8))
    assert model.grid(*clips.video.shape[2:]) == (t, h, w)
    features = model(clips, None, None)
    assert features.shape == (1, 24)
    assert features.isfinite().all()


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((5, 16, 16), "--frames 5: .*tubelet, 2; nearest are 4 and 6"),
        ((1, 16, 16), "--frames 1: .*nearest are 2 and 4"),
        ((4, 20, 16), "--size 20.*patch, 8; nearest are 16 and 24"),
        ((4, 16, 100), "--size .*100.*nearest are 96 and 104"),
        ((4, 4, 16), "--size 4.*nearest are 8 and 16"),
    ],
)
def test_sizes_that_leave_a_remainder_are_refused(shape: tuple[int, int, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        small_vit().patchify(noise(1, 3, *shape))


def test_another_number_of_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="1 channels, the model 3"):
        small_vit().patchify(noise(1, 1, 4, 16, 16))


@pytest.mark.parametrize("wrong", [{"mean": (0.5,)}, {"std": (0.5, 0.5)}])
def test_a_mean_for_other_channels_is_refused(wrong: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(ValueError, match="3 channels"):
        small_config(**wrong)


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="20"):
        VitConfig(20, 1, 3)


def test_sizes_are_those_of_the_paper() -> None:
    assert SIZES["vit-s"] == (384, 12, 6)
    assert SIZES["vit-b"] == (768, 12, 12)
    assert SIZES["vit-l"] == (1024, 24, 16)
    assert SIZES["vit-h"] == (1280, 32, 16)


def test_the_released_fine_tuned_vit_b_has_as_many_parameters() -> None:
    with torch.device("meta"):
        model = VideoTransformer(VitConfig(*SIZES["vit-b"], norm=False))
        head = nn.ModuleList((nn.LayerNorm(768), nn.Linear(768, 400)))
    count = sum(parameter.numel() for part in (model, head) for parameter in part.parameters())
    tensors = len(list(model.parameters())) + len(list(head.parameters()))
    assert (tensors, round(count / 1e6, 2)) == (162, 86.53)  # METHOD.md 2.7


def test_positions_are_interleaved_sine_and_cosine_of_the_flat_place() -> None:
    table = sinusoid(30, 8)
    for place in (0, 1, 7, 29):
        for channel in range(8):
            angle = place / 10000 ** (2 * (channel // 2) / 8)
            wanted = math.cos(angle) if channel % 2 else math.sin(angle)
            assert table[place, channel].item() == pytest.approx(wanted, abs=1e-6)


def test_a_longer_clip_leaves_earlier_positions_as_they_were() -> None:
    model = small_vit()
    tokens = torch.zeros(1, 6, 24)
    places = torch.arange(6)[None]
    before = model.place(tokens, places, (1, 2, 3))
    assert torch.equal(model.place(tokens, places, (9, 2, 3)), before)
    assert torch.equal(before[0], sinusoid(6, 24))


# Gradients and first weights


def autoencoder(encoder: VideoTransformer) -> MaskedVideoAutoencoder:
    torch.manual_seed(1)
    decoder = Decoder(DecoderConfig(12, 1, 3), 24, {Pixels(2, 8, 3): 1.0})
    return MaskedVideoAutoencoder(encoder, ReRo(0.6, 0.2), [decoder])


def test_the_embeddings_gradient_comes_from_visible_rows_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder, clips = small_vit(), noisy_clips()
    model = autoencoder(encoder).train()
    embed, embedded = encoder.embed, []

    def recorded(patches: Tensor) -> Tensor:
        tokens = embed(patches)
        tokens.retain_grad()
        embedded.append((patches, tokens))
        return tokens

    monkeypatch.setattr(encoder, "embed", recorded)
    out = model(clips)
    out["loss"].sum().backward()
    ((patches, tokens),) = embedded
    rows = encoder.patchify(clips.video).flatten(1, 3)
    assert torch.equal(patches, take(rows, out["visible"]))
    # d loss / d weight = sum over the visible rows of (gradient of the token) x (its pixels)
    normal = patches.float() * encoder.pixel_scale - encoder.pixel_shift
    wanted = torch.einsum("bvd,bvp->dp", tokens.grad, normal)
    found = encoder.patch_embed.proj.weight.grad
    assert found is not None
    ordered = found.permute(0, 2, 3, 4, 1).flatten(1)
    torch.testing.assert_close(ordered, wanted, rtol=1e-4, atol=1e-5)


def test_linear_layers_start_by_xavier_and_their_biases_at_zero() -> None:
    torch.manual_seed(0)
    model = VideoTransformer(VitConfig(96, 2, 3))
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert len(linear) == 8
    for module in linear:
        limit = math.sqrt(6 / (module.in_features + module.out_features))
        assert 0.98 * limit < module.weight.abs().max() <= limit
        assert module.bias is None or not module.bias.any()
    for block in model.blocks:
        assert not block.attn.q_bias.any() and not block.attn.v_bias.any()  # type: ignore


def test_query_and_value_have_a_bias_and_keys_have_none() -> None:
    names = {name for name, _ in Attention(24, 3).named_parameters()}
    assert names == {"qkv.weight", "q_bias", "v_bias", "proj.weight", "proj.bias"}


def test_norms_add_one_millionth() -> None:
    norms = [module for module in small_vit().modules() if isinstance(module, nn.LayerNorm)]
    assert len(norms) == 5
    assert {norm.eps for norm in norms} == {1e-6}


def test_random_tokens_of_one_step_clips_are_read() -> None:
    model, clips = small_vit(), noisy_clips(frames=2, sides=(32, 32))
    chosen = RandomTokens(0.5, None)(model.look(clips))
    assert model(clips, None, chosen).shape == (3, 24)
