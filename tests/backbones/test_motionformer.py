"""Motionformer: parity with its authors' code, its cost, and the weights that become it."""

from dataclasses import replace
from pathlib import Path

import torch
from parity import captured, check_loss, clips_of, close, held, over
from torch import Tensor

from everest.backbones.joint import JointConfig, JointTransformer
from everest.backbones.motionformer import Motionformer, MotionformerConfig
from everest.convert.backbones import read_backbone
from everest.convert.backbones_motionformer import LAYOUTS, fitted, from_image
from test_golden import load

(RELEASED,) = LAYOUTS
TINY = MotionformerConfig(16, 2, 2, frames=4, size=(32, 32), patch=8)


@over("motionformer")
def test_logits_loss_and_gradients_are_the_authors(path: Path) -> None:
    check_loss(held(path, RELEASED))


@over("motionformer")
def test_what_a_path_is_projected_to_gives_the_papers_logits(path: Path) -> None:
    model = held(path, RELEASED, values="projected")
    with torch.no_grad():
        close(model.model(model.clips()), model.tensor("logits_projected_values"))


@over("motionformer")
def test_tokens_first_block_and_features_are_the_authors(path: Path) -> None:
    model = held(path, RELEASED)
    block = model.reader.blocks[0]

    def run() -> Tensor:
        return model.reader(model.clips(), None, None)

    tokens, rows = captured(block, run)
    close(tokens[:1], model.tensor("tokens"))
    close(rows[:1], model.tensor("block0"))
    _, attended = captured(block.attn, run)
    close(attended[:1], model.tensor("attention0"))
    with torch.no_grad():
        close(run(), model.tensor("features"))


@over("motionformer")
def test_the_shares_of_a_path_are_the_authors(path: Path) -> None:
    model = held(path, RELEASED)
    attention = model.reader.blocks[0].attn
    found = []

    def noted(paths: Tensor) -> Tensor:
        found.append(type(attention).shares(attention, paths))
        return found[-1]

    attention.shares = noted
    with torch.no_grad():
        model.reader(model.clips(), None, None)
    close(found[0][:1].transpose(1, 2), model.tensor("temporal_weights0"))


@over("motionformer")
def test_the_embedding_of_single_frames_is_left_aside_with_the_reason(path: Path) -> None:
    theirs = load(path).under("weights.")
    weights = read_backbone(theirs, path.stem, RELEASED, {"heads": 3})
    aside = {name: why for name, why in weights.report.unused}
    assert set(aside) == {"patch_embed.proj.weight", "patch_embed.proj.bias"}
    assert all("never uses" in why for why in aside.values())


def test_weights_of_224_pixels_read_another_size_as_the_model_itself_stretches_them() -> None:
    torch.manual_seed(0)
    model = Motionformer(TINY).eval()
    with torch.no_grad():
        model.temp_embed.normal_()
    wanted = replace(TINY, frames=8, size=(48, 24))
    other = Motionformer(wanted).eval()
    ours = {f"reader.{name}": value for name, value in model.state_dict().items()}
    tensors = fitted(ours, TINY, wanted)
    other.load_state_dict({name.removeprefix("reader."): tensors[name] for name in tensors})
    clips = clips_of(torch.randint(0, 256, (2, 8, 48, 24, 3), dtype=torch.uint8))
    with torch.no_grad():
        torch.testing.assert_close(other(clips, None, None), model(clips, None, None))


def test_an_image_transformers_embedding_stands_at_the_central_frame() -> None:
    torch.manual_seed(0)
    config = JointConfig(16, 2, 2, frames=1, size=(48, 48), patch=8, tubelet=None)
    image = JointTransformer(config)
    state = {name: value for name, value in image.state_dict().items() if name != "time_embed"}
    model = Motionformer(TINY)
    tensors = from_image(state, TINY)
    found = model.load_state_dict(
        {name.removeprefix("reader."): value for name, value in tensors.items()}, strict=False
    )
    assert not found.unexpected_keys
    assert {name.split(".")[-2] for name in found.missing_keys if "." in name} == {
        "proj_q",
        "proj_kv",
        "fc",
    }
    video = torch.rand(1, 3, 4, 32, 32)
    with torch.no_grad():
        tubelets = model.patch_embed(model.patch_embed.cut(video))
        frames = image.patch_embed(image.patch_embed.cut(video[:, :, 1::2]))
    torch.testing.assert_close(tubelets, frames)
    assert model.pos_embed.shape == (1, 1 + 4 * 4, 16)


def test_a_token_takes_of_its_own_path_alone() -> None:
    torch.manual_seed(0)
    attention = Motionformer(TINY).blocks[0].attn
    paths = torch.randn(1, 6, 3, 16)  # 3 steps of 2 tokens
    with torch.no_grad():
        before = attention.shares(paths)
        other = paths.clone()
        other[:, 4] = torch.randn(3, 16)
        after = attention.shares(other)
    changed = (before != after).flatten(2).any(dim=2)
    assert changed.tolist() == [[False, False, False, False, True, False]]
