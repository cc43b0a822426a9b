"""ViViT's factorised encoder: parity with its authors' code, and the weights that become it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from messages import packed
from parity import Held, captured, clips_of, close, held, over
from scipy.ndimage import zoom
from torch import Tensor, nn

from everest.backbones.joint import JointConfig, JointTransformer
from everest.backbones.vivit import ViViT, ViViTConfig, zoomed
from everest.convert import flax_names
from everest.convert.backbones import read_backbone
from everest.convert.backbones_vivit import LAYOUTS, fitted, from_image, told_by
from everest.convert.flax import read_flax
from everest.convert.read import WeightsError
from test_golden import GRADIENT_TOLERANCE, LOSS_TOLERANCE, load

(RELEASED,) = LAYOUTS
TINY = ViViTConfig(16, 2, 1, 2, frames=8, size=(32, 32), patch=8)


def released(path: Path) -> Held:
    assert load(path).config["gelu"] == "tanh"
    return held(path, RELEASED)


def norms(held: Held) -> dict[str, Tensor]:
    """Norms of our gradients by their names; of keys and queries joined here, each alone."""
    out = {}
    for name, parameter in held.model.named_parameters():
        assert parameter.grad is not None, name
        if name.endswith("qkv.weight"):
            for at, part in enumerate(parameter.grad.chunk(3)):
                out[f"{name}[{at}/3]"] = part.norm()
        else:
            out[name] = parameter.grad.norm()
    return {RELEASED.family.theirs(name) or name: norm for name, norm in out.items()}


def filled(module: nn.Module) -> nn.Module:
    """The module with weights far from their first ones."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.2)
    return module.eval()


def read(model: nn.Module, video: Tensor) -> Tensor:
    with torch.no_grad():
        return model(clips_of(video), None, None)


def loaded(model: nn.Module, tensors: dict[str, Tensor]) -> list[str]:
    """What the tensors leave as it was."""
    found = model.load_state_dict(
        {name.removeprefix("reader."): value for name, value in tensors.items()}, strict=False
    )
    assert not found.unexpected_keys
    return found.missing_keys


@over("vivit")
def test_logits_loss_and_gradients_are_the_authors(path: Path) -> None:
    model = released(path)
    with torch.no_grad():
        close(model.model(model.clips()), model.tensor("logits"))
    logits = model.model.train()(model.clips())
    loss = F.cross_entropy(logits, model.tensor("labels"))
    assert loss.item() == pytest.approx(model.golden.loss, abs=LOSS_TOLERANCE)
    loss.backward()
    ours = norms(model)
    for theirs, norm in model.golden.under("grad_norm.").items():
        if RELEASED.family.why_aside(theirs) is not None:
            assert norm < 1e-6, theirs  # a key's bias: rounding alone
            continue
        name = theirs.replace("/kernel", "/weight").replace("/scale", "/weight")
        torch.testing.assert_close(
            ours.pop(name), norm.reshape(()), rtol=GRADIENT_TOLERANCE, atol=1e-7, msg=name
        )
    assert not ours


@over("vivit")
def test_steps_vectors_and_features_are_the_authors(path: Path) -> None:
    model = released(path)

    def run() -> Tensor:
        return model.reader(model.clips(), None, None)

    steps, features = captured(model.reader.temporal, run)
    close(steps, model.tensor("spatial_cls"))
    close(features, model.tensor("features"))


@over("vivit")
def test_heads_are_told_by_the_shape_of_a_kernel(path: Path) -> None:
    golden = load(path)
    theirs = golden.under("weights.")
    assert told_by(theirs) == {"heads": golden.config["heads"]}
    assert not read_backbone(theirs, path.stem, RELEASED, told_by(theirs)).report.assumed
    assert told_by({}) == {}


@over("vivit")
def test_a_train_state_becomes_the_same_model_as_its_flat_tree(path: Path, tmp_path: Path) -> None:
    theirs = load(path).under("weights.")
    (tmp_path / "checkpoint_3").write_bytes(packed({"optimizer": {"target": nested(theirs)}}))
    np.savez(tmp_path / "flat.npz", **{name: value.numpy() for name, value in theirs.items()})
    first, second = (
        read_backbone(read_flax(tmp_path / name), name, RELEASED, told_by(theirs))
        for name in ("checkpoint_3", "flat.npz")
    )
    assert first.config == second.config
    assert first.tensors.keys() == second.tensors.keys()
    assert all(torch.equal(first.tensors[name], second.tensors[name]) for name in first.tensors)
    whole = read_backbone(theirs, path.stem, RELEASED, told_by(theirs))
    assert all(torch.equal(first.tensors[name], whole.tensors[name]) for name in whole.tensors)


def nested(flat: dict[str, Tensor]) -> dict[str, object]:
    """A flat tree as maps within maps."""
    tree: dict[str, object] = {}
    for name, value in flat.items():
        *above, last = name.split("/")
        place = tree
        for part in above:
            place = place.setdefault(part, {})  # type: ignore[assignment]
        place[last] = value
    return tree


def test_tables_are_stretched_as_an_order_one_zoom_does_it() -> None:
    torch.manual_seed(0)
    table = torch.randn(1 + 12, 4)
    stretched = zoomed(table, (3, 4), (5, 2))
    assert torch.equal(stretched[0], table[0])
    expected = zoom(table[1:].reshape(3, 4, 4).numpy(), (5 / 3, 2 / 4, 1), order=1)
    torch.testing.assert_close(stretched[1:].reshape(5, 2, 4), torch.from_numpy(expected))


def test_weights_of_one_clip_read_another_as_the_model_itself_stretches_them() -> None:
    model, wanted = filled(ViViT(TINY)), replace(TINY, frames=16, size=(48, 24))
    ours = {f"reader.{name}": value for name, value in model.state_dict().items()}
    other = ViViT(wanted).eval()
    assert not loaded(other, fitted(ours, TINY, wanted))
    video = torch.randint(0, 256, (2, 16, 48, 24, 3), dtype=torch.uint8)
    torch.testing.assert_close(read(other, video), read(model, video))


def test_an_image_transformers_weights_read_the_central_frame_of_a_step() -> None:
    image = filled(
        JointTransformer(JointConfig(16, 2, 2, frames=1, size=(32, 32), patch=8, tubelet=None))
    )
    state = {name: value for name, value in image.state_dict().items() if name != "time_embed"}
    with torch.no_grad():
        image.time_embed.zero_()
    model = filled(ViViT(TINY))
    for block, other in zip(model.spatial.blocks, image.blocks, strict=True):
        block.mlp.gelu = other.mlp.gelu  # of which image models have the exact form
    missing = loaded(model, from_image(state, TINY))
    assert missing and all(name.startswith("temporal.") for name in missing)
    video = torch.randint(0, 256, (1, 8, 32, 32, 3), dtype=torch.uint8)
    steps, _ = captured(model.temporal, lambda: read(model, video))
    for step in range(4):
        frame = read(image, video[:, 2 * step + 1 : 2 * step + 2])
        torch.testing.assert_close(steps[:, step], frame, rtol=1e-4, atol=1e-5)


def as_flax(image: dict[str, Tensor]) -> dict[str, Tensor]:
    """A ViT's tensors as the original image files have them, with a head."""
    out = {"head/kernel": torch.zeros(16, 3), "head/bias": torch.zeros(3)}
    for name, value in image.items():
        if name.endswith("attn.qkv.weight"):
            stem = flax_names.IMAGE.theirs(f"{name}[0/3]")
            assert stem is not None
            for part, piece in zip(flax_names.PARTS, value.chunk(3), strict=True):
                renamed = stem.replace("query/weight", f"{part}/kernel")
                out[renamed] = piece.T.reshape(16, 2, 8)
            continue
        theirs = flax_names.IMAGE.theirs(name)
        assert theirs is not None
        if value.ndim > 1 and theirs.endswith("/weight"):
            theirs = theirs.replace("/weight", "/kernel")
            value = value.permute(*range(2, value.ndim), 1, 0)
            value = value.reshape(2, 8, 16) if "/out/" in theirs else value
        elif theirs.endswith(("query/bias", "value/bias")):
            value = value.reshape(2, 8)
            out[theirs.replace("query/", "key/").replace("value/", "key/")] = value
        out[theirs.replace("/weight", "/scale")] = value
    return out


def test_the_original_image_files_give_the_same_plain_names() -> None:
    torch.manual_seed(0)
    image = JointTransformer(JointConfig(16, 2, 2, frames=1, size=(32, 32), patch=8, tubelet=None))
    plain = {name: value for name, value in image.state_dict().items() if name != "time_embed"}
    found = flax_names.image_vit(as_flax(plain), "ViT.npz")
    assert found.keys() == plain.keys()
    assert all(torch.equal(found[name], plain[name]) for name in plain)
    hybrid = {**as_flax(plain), "conv_root/kernel": torch.zeros(7, 7, 3, 64)}
    with pytest.raises(WeightsError, match="with conv_root/weight, which no video model here has"):
        flax_names.image_vit(hybrid, "R50.npz")
    with pytest.raises(WeightsError, match="no image transformer of Flax, it has no cls"):
        flax_names.image_vit({}, "other.npz")
