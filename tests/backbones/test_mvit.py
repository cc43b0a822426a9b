"""MViT: parity with its authors' code, its grids, and the files that become it."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from parity import Held, Whole, captured, check_loss, clips_of, close, over
from torch import Tensor

from everest.backbones.mvit import SIZES, MViT, MViTConfig
from everest.convert.backbones import read_backbone
from everest.convert.backbones_mvit import LAYOUTS, fitted
from everest.convert.read import WeightsError, read_tensors
from test_golden import load

SLOWFAST, PYTORCHVIDEO = LAYOUTS
TINY = MViTConfig(16, 3, 1, (1,), (1, 2, 2), frames=4, size=(32, 32))
SMALL = MViTConfig(16, 4, 1, (2,), (1, 4, 4), 4, (64, 64), (3, 8, 8), (2, 8, 8), (1, 0, 0))
RENAMED = (
    ("cls_token", "cls_positional_encoding.cls_token"),
    ("pos_embed_", "cls_positional_encoding.pos_embed_"),
    ("patch_embed.proj.", "patch_embed.patch_model."),
    ("norm.", "norm_embed."),
    ("head.projection.", "head.proj."),
)


def released(path: Path) -> Held:
    """The model of a golden file; what no weights tell stands in its config."""
    golden = load(path)
    config = golden.config
    assert config["mlp_ratio"] == 4 and config["eps"] == 1e-6
    assert config["pool_kernel"] == [3, 3, 3]
    assert config["dim_mul"] == config["head_mul"] == config["q_pool"]
    told: dict[str, Any] = {
        "reach": tuple(config["kv_stride"]),
        "stride": tuple(config["patch_stride"]),
        "padding": tuple(config["patch_padding"]),
        "frames": config["frames"],
        "size": (config["image_size"],) * 2,
    }
    weights = read_backbone(golden.weights(), path.stem, SLOWFAST, told)
    assert not weights.report.missing and not weights.report.assumed
    pixels = {name: tuple(config[f"pixel_{name}"]) for name in ("mean", "std")}
    model = Whole(MViT(replace(weights.config, **pixels)), config["classes"])
    model.load_state_dict(weights.tensors)
    return Held(golden, SLOWFAST, model.eval())


def theirs_of(config: MViTConfig) -> dict[str, Tensor]:
    """Tensors of a model of this config by SlowFast's names."""
    torch.manual_seed(0)
    model = MViT(config)
    head = {"weight": torch.randn(3, model.features), "bias": torch.randn(3)}
    return {
        **model.state_dict(),
        **{f"head.projection.{name}": value for name, value in head.items()},
    }


def by_pytorchvideo(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """SlowFast's tensors by pytorchvideo's names, pools under both of the names it gives them."""
    out = {}
    for name, tensor in theirs.items():
        for begin, other in RENAMED:
            if name.startswith(begin):
                name = other + name.removeprefix(begin)
        match = re.fullmatch(r"(.*\.attn)\.qkv\.(\w+)", name)
        if match:
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                out[f"{match[1]}.{part}.{match[2]}"] = piece
            continue
        out[name] = tensor
        match = re.fullmatch(r"(.*\.attn)\.(pool|norm)_(\w)\.(\w+)", name)
        if match:
            out[f"{match[1]}._attention_pool_{match[3]}.{match[2]}.{match[4]}"] = tensor
    return out


@over("mvit")
def test_logits_loss_and_gradients_are_the_authors(path: Path) -> None:
    check_loss(released(path))


@over("mvit")
def test_the_first_blocks_and_the_features_are_the_authors(path: Path) -> None:
    model = released(path)

    def run() -> Tensor:
        return model.reader(model.clips(), None, None)

    for number in (0, 1):
        _, rows = captured(model.reader.blocks[number], run)
        close(rows[:1], model.tensor(f"block{number}"))
    with torch.no_grad():
        close(run(), model.tensor("features"))


def test_grids_heads_and_strides_of_the_base_model_are_the_published_ones() -> None:
    shapes = SIZES["mvit-b"].shapes()
    assert [shape.heads for shape in shapes] == [1, 2, 2] + [4] * 11 + [8, 8]
    assert [shape.width for shape in shapes] == [96, 192, 192] + [384] * 11 + [768] * 2
    assert [at for at, shape in enumerate(shapes) if shape.wider != shape.width] == [0, 2, 13]
    assert [shape.grid[1] for shape in shapes] == [56, 56, 28, 28] + [14] * 11 + [7]
    assert [shape.reach[1] for shape in shapes] == [8, 4, 4] + [2] * 11 + [1, 1]
    assert {shape.grid[0] for shape in shapes} == {8}


def test_keys_are_four_times_as_many_where_a_stage_begins() -> None:
    answering = [1 + 8 * shape.answering[1] ** 2 for shape in SIZES["mvit-b"].shapes()]
    assert [answering[at] for at in (0, 1, 3, 14)] == [393, 1569, 1569, 1569]
    assert {answering[at] for at in (2, 4, 13, 15)} == {393}


def test_the_small_models_grids_are_the_published_ones() -> None:
    shapes = SIZES["mvit-s"].shapes()
    assert [shape.grid for shape in shapes] == [(8, 28, 28)] * 4 + [(8, 14, 14)] * 7 + [
        (8, 7, 7)
    ] * 5
    assert [shapes[at].width for at in (0, 3, 10)] == [128, 256, 512]


@pytest.mark.parametrize("sizes", [(8, 32, 32), (4, 64, 64), (4, 32, 64)])
def test_clips_of_another_size_are_refused_with_the_reason(sizes: tuple[int, int, int]) -> None:
    clips = clips_of(torch.zeros(1, *sizes, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match="4 frames of 32x32 alone, as MViT has no rule"):
        MViT(TINY)(clips, None, None)
    with pytest.raises(ValueError, match="has no rule"):
        MViT(TINY).cost(*sizes)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"stages": (1, 3)}, "ascending blocks between 1 and 2"),
        ({"stages": (0,)}, "ascending blocks"),
        ({"width": 16, "heads": 3}, "not a multiple of 3 heads"),
        ({"kernel": (3, 8, 8), "padding": (1, 0, 0), "size": (4, 4)}, "fewer than"),
    ],
)
def test_a_config_that_makes_no_model_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MViTConfig(**{"width": 16, "depth": 3, "stages": (1,), **fields})


@pytest.mark.parametrize("config", [TINY, SMALL], ids=["like base", "like small"])
def test_both_libraries_names_become_the_same_model(config: MViTConfig, tmp_path: Path) -> None:
    theirs = theirs_of(config)
    told = {"reach": config.reach}
    torch.save({"epoch": 1, "model_state": theirs, "cfg": "A: 1\n"}, tmp_path / "a.pyth")
    first = read_backbone(read_tensors(tmp_path / "a.pyth"), "a.pyth", SLOWFAST, told)
    second = read_backbone(by_pytorchvideo(theirs), "b.pyth", PYTORCHVIDEO, told)
    assert first.config == second.config == config
    assert first.tensors.keys() == second.tensors.keys()
    for name, tensor in first.tensors.items():
        assert torch.equal(tensor, second.tensors[name]), name
        if name.startswith("reader."):
            assert torch.equal(tensor, theirs[name.removeprefix("reader.")])
    assert {why for _, why in second.report.unused} == {"a second name of a filter or a norm"}
    assert any("one tensor here" in line for line in second.report.lines())


def test_the_stride_that_no_file_tells_is_assumed_aloud() -> None:
    weights = read_backbone(theirs_of(TINY), "a.pyth", SLOWFAST)
    assert weights.config.reach == SIZES["mvit-b"].reach
    assert "assumed, as the file cannot tell: reach" in weights.report.lines()


def test_a_file_that_is_not_a_whole_mvit_is_refused_in_words() -> None:
    theirs = theirs_of(TINY)
    with pytest.raises(WeightsError, match="no mvit-pytorchvideo file, it has no patch_embed"):
        read_backbone(theirs, "a.pyth", PYTORCHVIDEO)
    lacking = {name: value for name, value in theirs.items() if "norm_k" not in name}
    with pytest.raises(WeightsError, match="without 6 of its tensors"):
        read_backbone(lacking, "a.pyth", SLOWFAST)
    other = {**theirs, "blocks.0.attn.rel_pos_h": torch.zeros(3)}
    with pytest.raises(WeightsError, match=r"does not know: reader\.blocks\.0\.attn\.rel_pos_h"):
        read_backbone(other, "a.pyth", SLOWFAST)
    odd = {**theirs, "pos_embed_spatial": torch.zeros(1, 63, 16)}
    with pytest.raises(WeightsError, match="63 places: of no square grid"):
        read_backbone(odd, "a.pyth", SLOWFAST)
    stem = {**theirs, "patch_embed.proj.weight": torch.zeros(16, 3, 5, 5, 5)}
    with pytest.raises(WeightsError, match="no file tells its stride"):
        read_backbone(stem, "a.pyth", SLOWFAST)


def test_weights_for_clips_of_another_size_are_refused_with_what_to_do() -> None:
    tensors = {"reader.cls_token": torch.zeros(1, 1, 16)}
    assert fitted(tensors, TINY, replace(TINY, drop_path=0.5)) == tensors
    with pytest.raises(WeightsError, match=r"no rule that fits them to 8 .* --init none"):
        fitted(tensors, TINY, replace(TINY, frames=8))
