"""Supervised models by the same commands: their names, sizes, files, and what they refuse."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import everest
from everest.backbones.registry import BACKBONES, config_from
from everest.build import build
from everest.clips import Clips
from everest.config import ModelConfig
from everest.configuring import configure
from everest.convert.read import WeightsError
from everest.cost import cost_of
from everest.measuring import blank_clips
from everest.recipe import FinetuneRecipe, PretrainRecipe, Recipe, RecipeError, changed
from everest.recipes import RECIPES
from everest.starting import read_start, start_from

GOLDEN = Path(__file__).parent / "golden"
CLASSES = {"label": ("a", "b", "c")}
SMALL = {"size": 32, "frames": 4, "select": "all", "keep": 1.0, "head_norm": "none"}
# GFLOPs of a view, verified with a counter over the authors' code (BACKBONES.md 1).
VERIFIED = {
    "mvit-s": 30.05,
    "mvit-b": 70.80,
    "vivit-fe-l": 3972.3,
    "timesformer": 196.05,
    "motionformer": 369.51,
    "xvit": 140.72,
    "kcentered-vit": 179.71,
    "kcentered-timesformer": 196.05,
    "kcentered-motionformer": 368.58,
}


def published(name: str) -> FinetuneRecipe:
    recipe = RECIPES[name].finetune
    assert recipe is not None
    return recipe


def golden(name: str, folder: Path) -> Path:
    """The golden weights of a system under their original names, as a file."""
    tensors = load_file(GOLDEN / f"{name}.safetensors")
    own = {
        key.removeprefix("weights."): value.contiguous()
        for key, value in tensors.items()
        if key.startswith("weights.")
    }
    path = folder / f"{name}.safetensors"
    save_file(own, path)
    return path


def image_file(folder: Path, width: int, depth: int) -> Path:
    """An image transformer of 32 pixels under its usual names."""
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 5, width),
        "patch_embed.proj.weight": (width, 3, 16, 16),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
        "head.weight": (1000, width),
        "head.bias": (1000,),
    }
    for number in range(depth):
        for name, rows, columns in (
            ("attn.qkv", 3 * width, width),
            ("attn.proj", width, width),
            ("mlp.fc1", 4 * width, width),
            ("mlp.fc2", width, 4 * width),
        ):
            shapes[f"blocks.{number}.{name}.weight"] = (rows, columns)
            shapes[f"blocks.{number}.{name}.bias"] = (rows,)
        for norm in ("norm1", "norm2"):
            shapes[f"blocks.{number}.{norm}.weight"] = (width,)
            shapes[f"blocks.{number}.{norm}.bias"] = (width,)
    generator = torch.Generator().manual_seed(0)
    path = folder / "image.safetensors"
    tensors = {
        name: 0.02 * torch.randn(shape, generator=generator) for name, shape in shapes.items()
    }
    save_file(tensors, path)
    return path


@pytest.mark.parametrize("name", VERIFIED)
def test_a_recipe_of_the_table_costs_what_was_counted_on_the_authors_code(name: str) -> None:
    config = configure(published(name), {"label": tuple(map(str, range(400)))})
    assert cost_of(config).total == pytest.approx(VERIFIED[name], rel=1e-3)


@pytest.mark.parametrize("name", sorted(set(BACKBONES) & set(RECIPES)))
def test_a_config_survives_its_file(name: str) -> None:
    config = configure(published(name), CLASSES)
    again = ModelConfig.from_json(json.loads(json.dumps(config.to_json())))
    assert config.backbone is not None and again.backbone is not None
    assert config_from(again.backbone) == config_from(config.backbone)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"select": "rero"}, "--select rero: timesformer cannot read a part of the tokens"),
        ({"keep": 0.4}, "--keep 0.4: timesformer cannot read a part"),
        ({"frame_select": True}, "--frame-select: timesformer cannot read a part"),
        ({"size": 40}, "--model timesformer: .*40"),
    ],
)
def test_what_a_supervised_model_cannot_do_is_refused(
    changes: dict[str, object], told: str
) -> None:
    recipe: Recipe = changed(FinetuneRecipe(model="timesformer", size=32), **changes)
    with pytest.raises(RecipeError, match=told):
        configure(recipe, CLASSES)
    fine = changed(recipe, select="auto", keep=0.6, frame_select=False, size=32)
    assert configure(fine, CLASSES).backbone is not None


def test_a_supervised_model_has_no_masked_pretraining() -> None:
    with pytest.raises(RecipeError, match=r"--model mvit-s: .*no masked pre-training"):
        configure(PretrainRecipe(model="mvit-s"))


def test_released_weights_classify_and_survive_an_export(tmp_path: Path) -> None:
    stored = load_file(GOLDEN / "timesformer.safetensors")
    run = everest.load(golden("timesformer", tmp_path))
    run.model.save_pretrained(tmp_path / "export")
    video = stored["video"].permute(0, 4, 1, 2, 3)  # (B, C, T, H, W)
    count = len(video)
    clips = Clips(video, {}, torch.ones(count), torch.arange(count), torch.arange(count), {})
    logits = []
    for model in (run.model, everest.from_pretrained(tmp_path / "export")):
        with torch.inference_mode():
            logits.append(model.eval()(clips)["logits.label"])
    assert torch.equal(*logits)
    assert logits[0].shape == stored["logits"].shape
    assert logits[0].std() > 0.1


def started(file: Path, recipe: Recipe) -> tuple[dict[str, Tensor], list[str]]:
    torch.manual_seed(1)
    model = build(configure(recipe, CLASSES))
    told = start_from(read_start(str(file)), model, "classifier")
    return model.state_dict(), told


def test_released_weights_start_a_model_of_another_clip_with_a_new_head(tmp_path: Path) -> None:
    start = read_start(str(golden("timesformer", tmp_path)))
    assert start.config.backbone is not None
    config = configure(FinetuneRecipe(model="timesformer", **SMALL), CLASSES)  # type: ignore[arg-type]
    assert config.backbone is not None
    fields = {**start.config.backbone.fields, "frames": 4, "size": (32, 32)}
    config.backbone.fields.update(fields)
    model = build(config)
    told = start_from(start, model, "classifier")
    after = model.state_dict()
    assert any("other classes" in sentence for sentence in told)
    assert after["reader.time_embed"].shape == (1, 4, 48)
    name = "reader.blocks.0.mlp.fc1.weight"
    assert torch.equal(after[name], start.tensors[name])
    out = model.eval()(blank_clips(2, 3, 4, (32, 32)))
    assert out["logits.label"].shape == (2, 3)


def test_an_image_transformer_starts_a_video_model_by_its_own_rule(tmp_path: Path) -> None:
    file = image_file(tmp_path, 768, 1)
    recipe = FinetuneRecipe(model="timesformer", **SMALL)  # type: ignore[arg-type]
    config = configure(recipe, CLASSES)
    assert config.backbone is not None
    config.backbone.fields["depth"] = 1
    model = build(config)
    told = start_from(read_start(str(file)), model, "classifier")
    theirs = load_file(file)
    after = model.state_dict()
    assert any("image transformer, made a video model" in sentence for sentence in told)
    for ours in ("attn", "temporal_attn"):
        name = f"reader.blocks.0.{ours}.qkv.weight"
        assert torch.equal(after[name], theirs["blocks.0.attn.qkv.weight"])
    assert not after["reader.blocks.0.temporal_fc.weight"].any()


def test_weights_of_another_system_are_refused_with_what_would_do(tmp_path: Path) -> None:
    file = golden("xvit", tmp_path)
    with pytest.raises(WeightsError, match=r"xvit weights, which start no ViT.*--model xvit"):
        started(file, FinetuneRecipe(model="48x3x3", **{**SMALL, "head_norm": "layer"}))  # type: ignore[arg-type]
    image = image_file(tmp_path, 48, 1)
    with pytest.raises(WeightsError, match=r"patch_embed.* is 48x3x1x16x16 there"):
        started(image, FinetuneRecipe(model="48x1x1", **{**SMALL, "head_norm": "layer"}))  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match=r"mvit-s starts from its own weights or from none"):
        started(image, FinetuneRecipe(model="mvit-s", **{**SMALL, "size": 64, "frames": 8}))  # type: ignore[arg-type]
