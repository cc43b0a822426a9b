"""TimeSformer: parity with its authors' code, its cost, and the weights that become it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from parity import Whole, captured, check_loss, clips_of, close, held, over

from everest.backbones.joint import JointConfig, JointTransformer
from everest.backbones.timesformer import TimeSformer, TimeSformerConfig
from everest.convert.backbones import read_backbone
from everest.convert.backbones_timesformer import LAYOUTS, fitted, from_image
from everest.convert.read import WeightsError, read_tensors
from everest.convert.renaming import to_theirs

RELEASED, HUGGING_FACE = LAYOUTS
TINY = TimeSformerConfig(16, 2, 2, frames=4, size=(32, 32), patch=8)
KINDS = ("weight", "bias")


@over("timesformer")
def test_logits_loss_and_gradients_are_the_authors(path: Path) -> None:
    check_loss(held(path, RELEASED))


@over("timesformer")
def test_the_first_block_and_the_features_are_the_authors(path: Path) -> None:
    model = held(path, RELEASED)
    _, (first, patches) = captured(
        model.reader.blocks[0], lambda: model.reader(model.clips(), None, None)
    )
    # Theirs are ordered with time innermost.
    rows = torch.cat((first[:, None], patches.transpose(1, 2).flatten(1, 2)), dim=1)
    close(rows[:1], model.tensor("block0"))
    with torch.no_grad():
        close(model.reader(model.clips(), None, None), model.tensor("features"))


@over("timesformer")
def test_a_clip_of_other_frames_and_size_is_read_as_the_authors_read_it(path: Path) -> None:
    model = held(path, RELEASED)
    if "resized_video" not in model.golden.tensors:
        pytest.skip("the file has no resized clip")
    with torch.no_grad():
        close(model.model(model.clips("resized_video")), model.tensor("resized_logits"))


def test_a_checkpoint_of_the_authors_training_is_read_out_of_its_wrapper(tmp_path: Path) -> None:
    theirs = names_of_theirs()
    content = {
        "epoch": 14,
        "model_state": {f"model.{name}": value for name, value in theirs.items()},
        "optimizer_state": {"state": {}, "param_groups": []},
        "cfg": "TIMESFORMER:\n  ATTENTION_TYPE: divided_space_time\n",
    }
    torch.save(content, tmp_path / "TimeSformer.pyth")
    tensors = read_tensors(tmp_path / "TimeSformer.pyth")
    weights = read_backbone(tensors, "TimeSformer.pyth", RELEASED, {"heads": 2})
    assert weights.config == TINY
    assert weights.classes == 5 and not weights.report.assumed
    reader = TimeSformer(weights.config)
    reader.load_state_dict(of_reader(weights.tensors))
    told = " ".join(weights.report.lines())
    assert "timesformer" in told and "split into the biases of queries and values" in told


def names_of_theirs() -> dict[str, torch.Tensor]:
    """A TimeSformer's tensors by the authors' names."""
    torch.manual_seed(0)
    tensors = {f"reader.{name}": value for name, value in TimeSformer(TINY).state_dict().items()}
    tensors["heads.0.linear.weight"], tensors["heads.0.linear.bias"] = (
        torch.randn(5, 16),
        torch.randn(5),
    )
    joined = {}
    for name, value in tensors.items():
        if name.endswith("q_bias"):
            values = tensors[name.replace("q_bias", "v_bias")]
            bias = torch.cat((value, torch.randn_like(value), values))
            joined[name.replace("q_bias", "qkv.bias")] = bias
        elif not name.endswith("v_bias"):
            joined[name] = value
    return to_theirs(joined, RELEASED.family)


def of_reader(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix("reader."): value
        for name, value in tensors.items()
        if name.startswith("reader.")
    }


def test_an_unknown_or_missing_tensor_is_refused_by_name() -> None:
    theirs = names_of_theirs()
    with pytest.raises(WeightsError, match=r"x\.pyth: .*does not know: reader\.blocks\.0\.gamma"):
        read_backbone({**theirs, "blocks.0.gamma": torch.ones(16)}, "x.pyth", RELEASED)
    del theirs["blocks.1.temporal_fc.bias"]
    with pytest.raises(WeightsError, match=r"x\.pyth: .*reader\.blocks\.1\.temporal_fc\.bias"):
        read_backbone(theirs, "x.pyth", RELEASED)


def test_loading_for_another_size_takes_places_by_the_flat_index_and_a_clip_by_rows() -> None:
    model = TimeSformer(TINY)
    ours = {f"reader.{name}": value for name, value in model.state_dict().items()}
    wanted = replace(TINY, frames=8, size=(64, 64))
    tensors = fitted(ours, TINY, wanted)
    other = TimeSformer(wanted)
    other.load_state_dict(of_reader(tensors))
    table, places = model.pos_embed[0, 1:], other.pos_embed[0, 1:]
    # 16 places to 64: the flat index repeats each four times, rows and columns twice each way.
    assert torch.equal(places, table.repeat_interleave(4, dim=0))
    square = table.unflatten(0, (4, 4)).repeat_interleave(2, dim=0).repeat_interleave(2, dim=1)
    assert torch.equal(model.places(8, 8)[1:], square.flatten(0, 1))
    assert torch.equal(other.time_embed[0], model.time_embed[0].repeat_interleave(2, dim=0))


def test_an_image_transformers_weights_read_a_still_clip_as_its_image() -> None:
    torch.manual_seed(0)
    image = JointTransformer(
        JointConfig(16, 2, 2, frames=1, size=(32, 32), patch=8, tubelet=None)
    ).eval()
    with torch.no_grad():
        for parameter in image.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
        image.time_embed.zero_()
    state = {name: value for name, value in image.state_dict().items() if name != "time_embed"}
    config = replace(TINY, mean=image.config.mean, std=image.config.std)
    model = TimeSformer(config).eval()
    found = model.load_state_dict(of_reader(from_image(state, config)), strict=False)
    assert not found.unexpected_keys
    anew = {"time_embed", *(f"blocks.{i}.temporal_fc.{part}" for i in (0, 1) for part in KINDS)}
    assert set(found.missing_keys) == anew
    assert torch.equal(model.blocks[1].temporal_attn.proj.weight, image.blocks[1].attn.proj.weight)
    picture = torch.randint(0, 256, (2, 1, 32, 32, 3), dtype=torch.uint8)
    with torch.no_grad():
        still = model(clips_of(picture.expand(-1, 4, -1, -1, -1)), None, None)
        torch.testing.assert_close(still, image(clips_of(picture), None, None))


@pytest.mark.slow
def test_hugging_faces_model_gives_the_same_logits() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    theirs = transformers.TimesformerForVideoClassification(
        transformers.TimesformerConfig(
            image_size=32,
            patch_size=8,
            num_frames=4,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            num_labels=5,
        )
    ).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    weights = read_backbone(theirs.state_dict(), "hf", HUGGING_FACE, {"heads": 2})
    model = Whole(TimeSformer(weights.config), 5).eval()
    model.load_state_dict(weights.tensors)
    video = torch.randint(0, 256, (2, 4, 32, 32, 3), dtype=torch.uint8)
    pixels = (video.permute(0, 1, 4, 2, 3) / 255 - 0.45) / 0.225
    with torch.no_grad():
        torch.testing.assert_close(
            model(clips_of(video)), theirs(pixel_values=pixels).logits, rtol=0, atol=1e-5
        )
