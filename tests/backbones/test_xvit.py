"""XViT: parity with its authors' code, how frames mix, and the weights that become it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from parity import Held, captured, check_loss, clips_of, close, held, over
from torch import Tensor

from everest.backbones.joint import JointConfig, JointTransformer
from everest.backbones.xvit import XViT, XViTConfig, mixed
from everest.convert.backbones import read_backbone
from everest.convert.backbones_xvit import LAYOUTS, fitted, from_image
from everest.convert.read import WeightsError
from test_golden import load

(RELEASED,) = LAYOUTS
TINY = XViTConfig(16, 2, 2, frames=4, size=(32, 32), patch=8)


def released(path: Path) -> Held:
    """The model of a golden file; every block mixes, one channel in eight from each side."""
    config = load(path).config
    assert config["shift_div"] == 8 and config["head_eps"] == 1e-5
    assert config["mixing_blocks"] == list(range(config["depth"]))
    model = held(path, RELEASED)
    assert model.reader.config.frames == config["segments"]
    return model


def made(config: XViTConfig) -> XViT:
    """A model whose times differ from zero."""
    torch.manual_seed(0)
    model = XViT(config).eval()
    with torch.no_grad():
        model.temp_embed.normal_()
        model.pos_embed.normal_()
    return model


def video_of(frames: int, height: int = 32, width: int = 32, count: int = 1) -> Tensor:
    torch.manual_seed(1)
    return torch.randint(0, 256, (count, frames, height, width, 3), dtype=torch.uint8)


def read(model: XViT, video: Tensor) -> Tensor:
    with torch.no_grad():
        return model(clips_of(video), None, None)


@over("xvit")
def test_logits_loss_and_gradients_are_the_authors(path: Path) -> None:
    check_loss(released(path))


@over("xvit")
def test_tokens_first_block_and_frames_vectors_are_the_authors(path: Path) -> None:
    model = released(path)
    frames = model.tensor("tokens").shape[0]

    def run() -> Tensor:
        return model.reader(model.clips(), None, None)

    tokens, rows = captured(model.reader.blocks[0], run)
    close(tokens.flatten(0, 1)[:frames], model.tensor("tokens"))
    close(rows.flatten(0, 1)[:frames], model.tensor("block0"))
    vectors, _ = captured(model.reader.consensus, run)
    close(vectors, model.tensor("frame_cls"))
    _, read_over = captured(model.reader.consensus.block, run)
    close(read_over, model.tensor("temporal_out"))


@over("xvit")
def test_the_head_that_is_never_reached_is_left_aside_with_the_reason(path: Path) -> None:
    weights = read_backbone(load(path).under("weights."), path.stem, RELEASED)
    assert {name for name, _ in weights.report.unused} == {"new_fc.weight", "new_fc.bias"}
    assert "heads" in weights.report.assumed


def test_channels_come_from_the_frame_after_and_the_frame_before() -> None:
    rows = torch.arange(3.0)[None, :, None, None].expand(1, 3, 2, 16) + 1  # frame t holds t + 1
    out = mixed(rows)[0, :, 0]
    assert out[:, 0:2].tolist() == [[2, 2], [3, 3], [0, 0]]
    assert out[:, 2:4].tolist() == [[0, 0], [1, 1], [2, 2]]
    assert out[:, 4:].tolist() == [[1] * 12, [2] * 12, [3] * 12]


def test_frames_of_one_half_hear_nothing_of_the_other_before_the_last_layer() -> None:
    model, video = made(TINY), video_of(8)
    other = video.clone()
    other[:, 5:] = 255 - other[:, 5:]

    def vectors(video: Tensor) -> Tensor:
        return captured(model.consensus, lambda: read(model, video))[0][0]

    changed = (vectors(video) != vectors(other)).any(dim=1)
    assert changed.tolist() == [False] * 4 + [True] * 4
    assert not torch.allclose(read(model, video), read(model, other))


def test_both_halves_have_the_same_times() -> None:
    times = made(TINY).times(8)
    assert torch.equal(times[:4], times[4:])


@pytest.mark.parametrize("frames", [2, 6])
def test_frames_that_leave_a_part_of_those_that_mix_are_refused(frames: int) -> None:
    with pytest.raises(ValueError, match=f"--frames {frames}: must be a multiple of the 4 frames"):
        read(made(TINY), video_of(frames))


def test_the_frames_vectors_are_dropped_in_training_alone() -> None:
    model, video = made(replace(TINY, dropout=0.5)), video_of(4, count=6)
    plain = read(model, video)
    assert not torch.allclose(read(model.train(), video), plain)
    assert torch.equal(read(model.eval(), video), read(made(TINY), video))


def test_weights_of_one_size_read_another_as_the_model_itself_stretches_them() -> None:
    model, wanted = made(TINY), replace(TINY, size=(48, 24))
    ours = {f"reader.{name}": value for name, value in model.state_dict().items()}
    other = XViT(wanted).eval()
    tensors = fitted(ours, TINY, wanted)
    other.load_state_dict({name.removeprefix("reader."): tensors[name] for name in tensors})
    video = video_of(4, 48, 24)
    torch.testing.assert_close(read(other, video), read(model, video))
    with pytest.raises(WeightsError, match="no rule that fits them to 8; give a multiple of 4"):
        fitted(ours, TINY, replace(TINY, frames=8))


def test_an_image_transformers_weights_read_each_frame_as_the_image_model_does() -> None:
    torch.manual_seed(0)
    image = JointTransformer(
        JointConfig(16, 2, 2, frames=1, size=(32, 32), patch=8, tubelet=None)
    ).eval()
    state = {name: value for name, value in image.state_dict().items() if name != "time_embed"}
    model = XViT(replace(TINY, frames=1)).eval()
    tensors = from_image(state, model.config)
    found = model.load_state_dict(
        {name.removeprefix("reader."): value for name, value in tensors.items()}, strict=False
    )
    assert not found.unexpected_keys
    assert all(name.startswith("consensus.") for name in found.missing_keys)
    for block in model.blocks:  # of one frame all that mixes in is zeros: let those be zero too
        with torch.no_grad():
            block.attn.qkv.weight.unflatten(0, (3, 16))[1:, :4] = 0
            block.attn.v_bias[:4] = 0
    for name, value in model.blocks.state_dict().items():
        image.blocks.state_dict()[name].copy_(value)
    video = video_of(1)
    vectors, _ = captured(model.consensus, lambda: read(model, video))
    with torch.no_grad():
        torch.testing.assert_close(vectors[:, 0], image(clips_of(video), None, None))


@over("xvit")
def test_a_file_with_more_in_its_blocks_is_refused(path: Path) -> None:
    theirs = load(path).under("weights.")
    theirs["base_model.blocks.0.temporal_fc.weight"] = torch.zeros(3)
    with pytest.raises(WeightsError, match=r"does not know: reader\.blocks\.0\.temporal_fc"):
        read_backbone(theirs, "a.pth", RELEASED)
