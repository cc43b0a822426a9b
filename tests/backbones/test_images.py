"""Image transformers' files, as video models that start from them read them."""

import pytest
import torch

from everest.backbones.joint import JointConfig, JointTransformer
from everest.backbones.placing import read
from everest.convert.images import central, image_vit
from everest.convert.read import WeightsError

CONFIG = JointConfig(16, 2, 2, frames=1, size=(32, 32), patch=8, tubelet=None)


def theirs() -> dict[str, torch.Tensor]:
    """A small image transformer's tensors by the usual names."""
    torch.manual_seed(0)
    state = JointTransformer(CONFIG).state_dict()
    del state["time_embed"]
    out = {}
    for name, value in state.items():
        if name.endswith("q_bias"):
            stem = name.removesuffix("q_bias")
            out[f"{stem}qkv.bias"] = torch.randn(48)
        elif not name.endswith("v_bias"):
            out[name] = value
    return {**out, "head.weight": torch.randn(5, 16), "head.bias": torch.randn(5)}


def test_biases_are_split_and_the_head_is_left_out() -> None:
    given = theirs()
    found = image_vit(given, "vit.pth")
    assert torch.equal(found["blocks.1.attn.q_bias"], given["blocks.1.attn.qkv.bias"][:16])
    assert torch.equal(found["blocks.1.attn.v_bias"], given["blocks.1.attn.qkv.bias"][32:])
    reader = JointTransformer(CONFIG)
    missing = reader.load_state_dict(found, strict=False)
    assert missing.missing_keys == ["time_embed"] and not missing.unexpected_keys


def test_other_files_are_refused_with_what_was_looked_for() -> None:
    with pytest.raises(WeightsError, match=r"x\.pth: no image transformer; looked for cls_token"):
        image_vit({"conv1.weight": torch.ones(1)}, "x.pth")
    with pytest.raises(WeightsError, match=r"x\.pth: .* with dist_token, which no video model"):
        image_vit({**theirs(), "dist_token": torch.ones(1, 1, 16)}, "x.pth")


def test_an_inflated_kernel_sees_the_central_frame_alone() -> None:
    kernel = torch.randn(4, 3, 2, 2)
    inflated = central(kernel, 3)
    assert torch.equal(inflated[:, :, 1], kernel)
    assert inflated[:, :, [0, 2]].abs().max() == 0


@pytest.mark.slow
def test_hugging_faces_image_transformer_gives_the_same_features() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    image = transformers.ViTForImageClassification(
        transformers.ViTConfig(
            image_size=32,
            patch_size=8,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            layer_norm_eps=1e-6,
        )
    ).eval()
    with torch.no_grad():
        for parameter in image.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    reader = JointTransformer(CONFIG).eval()
    found = reader.load_state_dict(image_vit(image.state_dict(), "hf"), strict=False)
    assert found.missing_keys == ["time_embed"] and not found.unexpected_keys
    video = torch.randint(0, 256, (2, 3, 1, 32, 32), dtype=torch.uint8)
    pixels = (video[:, :, 0] / 255 - 0.5) / 0.5
    with torch.no_grad():
        theirs_first = image.vit(pixel_values=pixels).last_hidden_state[:, 0]
        torch.testing.assert_close(
            read(reader, video, torch.arange(2)), theirs_first, rtol=0, atol=1e-5
        )
