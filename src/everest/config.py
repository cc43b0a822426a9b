"""This file decides what a model's config.json says: all that is needed to build and feed it."""

import dataclasses
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import nn

from everest.backbones.registry import BACKBONES, config_fields
from everest.kinds import Kind, Scale
from everest.names import TEACHERS
from everest.recipe import FinetuneRecipe, PretrainRecipe, Recipe, RecipeError
from everest.room import write_text
from everest.selection import Budget
from everest.tensors import write_tensors
from everest.vit import SIZES, VitConfig

SCHEMA = 1
# Width of an encoder -> width, blocks and heads of MVD's decoders; else the encoder's and 2 blocks.
MVD_DECODERS = {1024: (512, 4, 8), 1280: (640, 8, 8)}
MOTION = ("hog", "trajectory")
MOTION_HEAD = 32  # channels a head of MME's decoder: 6 heads of 192 (METHOD.md 2.2)


@dataclass(frozen=True)
class ClipConfig:
    """How a video becomes the model's input outside training."""

    frames: int = 16
    size: tuple[int, int] = (224, 224)  # height, width
    stride: float = 4  # source frames
    fps: float | None = None  # frames a second, instead of a stride
    short_side: int | None = None  # pixels
    fit: Literal["crop", "pad"] = "crop"
    sampling: Literal["dense", "segments"] = "dense"  # segments: frames spread over the video


@dataclass(frozen=True)
class SelectConfig:
    name: str  # rero, random, tube, all
    keep: Budget = 1.0
    visible: Budget | None = None
    decoder_share: float = 1.0  # of all tokens that are decoded, in running cells


@dataclass(frozen=True)
class PairsConfig:
    alpha: float = 1.5
    keep: Budget = 0.3


@dataclass(frozen=True)
class TargetSpec:
    name: str  # of names.TARGETS
    weight: float = 1.0  # in the decoder's loss
    dim: int | None = None  # numbers a token, where a teacher decides them


@dataclass(frozen=True)
class DecoderSpec:
    width: int
    depth: int
    heads: int
    targets: tuple[TargetSpec, ...] = (TargetSpec("pixels"),)
    bias: bool = False  # of the layer between encoder and decoder


@dataclass(frozen=True)
class BackboneSpec:
    """A supervised model, of `backbones/`; beside it ModelConfig.vit says only what pixels are."""

    model: str  # of backbones.registry.BACKBONES
    fields: dict[str, Any]  # of its config


@dataclass(frozen=True)
class ModelConfig:
    kind: Literal["autoencoder", "classifier"]
    vit: VitConfig
    clip: ClipConfig
    select: SelectConfig
    pairs: PairsConfig | None = None
    decoders: tuple[DecoderSpec, ...] = ()
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)  # label column -> names
    kinds: dict[str, Kind] = field(default_factory=dict)  # label column -> kind; else "class"
    scales: dict[str, Scale] = field(default_factory=dict)  # of columns of numbers
    head_norm: Literal["layer", "batch", "none"] = "layer"
    dropout: float = 0.0
    smoothing: float = 0.0
    backbone: BackboneSpec | None = None

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "ModelConfig":
        """The inverse of `to_json`; raises ValueError for a file that another version wrote."""
        if content.get("schema") != SCHEMA:
            raise ValueError(
                f"config.json has schema {content.get('schema')!r}, this version reads {SCHEMA}"
            )
        vit = dict(content["vit"])
        vit["mean"], vit["std"] = tuple(vit["mean"]), tuple(vit["std"])
        if vit.get("table") is not None:
            vit["table"] = tuple(vit["table"])
        clip = dict(content["clip"])
        clip["size"] = tuple(clip["size"])
        return cls(
            kind=content["kind"],
            vit=VitConfig(**vit),
            clip=ClipConfig(**clip),
            select=SelectConfig(**content["select"]),
            pairs=PairsConfig(**content["pairs"]) if content["pairs"] else None,
            decoders=tuple(
                DecoderSpec(
                    **{**spec, "targets": tuple(TargetSpec(**target) for target in spec["targets"])}
                )
                for spec in content["decoders"]
            ),
            classes={name: tuple(names) for name, names in content["classes"].items()},
            kinds=dict(content.get("kinds", {})),  # older files know of classes alone
            scales={name: (mean, std) for name, (mean, std) in content.get("scales", {}).items()},
            backbone=BackboneSpec(**content["backbone"]) if content.get("backbone") else None,
            head_norm=content["head_norm"],
            dropout=content["dropout"],
            smoothing=content["smoothing"],
        )


def write_model(model: nn.Module, config: ModelConfig, folder: str | Path) -> None:
    """Writes model.safetensors and config.json: an export that `from_pretrained` reads."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    numbers, told = folder / "model.safetensors", folder / "config.json"
    try:
        write_text(told, json.dumps(config.to_json(), indent=1) + "\n")
        write_tensors(model.state_dict(), numbers)
    except OSError:
        if not numbers.exists():  # the first export of this folder: no half of one is left
            told.unlink(missing_ok=True)
            with suppress(OSError):
                folder.rmdir()
        raise


def size_of_model(model: str) -> tuple[int, int, int]:
    """(width, depth, heads) of vit-s or of 192x6x3; raises RecipeError with the list."""
    if model in SIZES:
        return SIZES[model]
    try:
        width, depth, heads = (int(part) for part in model.split("x"))
    except ValueError:
        raise RecipeError(
            f"--model {model}: choose one of {', '.join(SIZES)}, or WIDTHxDEPTHxHEADS (192x6x3)"
        ) from None
    if min(width, depth, heads) < 1 or width % heads or width % 2:
        raise RecipeError(f"--model {model}: the width must be even and a multiple of the heads")
    return width, depth, heads


def decoder_heads(width: int) -> int:
    """Heads of a decoder: 3 at 96 and 192, 64 channels each above, at most 8 (METHOD.md 2.1)."""
    for heads in (min(max(round(width / 64), 1), 8), 3, 2, 1):
        if heads >= 3 and width % heads == 0:
            return heads
    return next(heads for heads in (3, 2, 1) if width % heads == 0)


def decoder_specs(
    recipe: PretrainRecipe, width: int, heads: int, dims: Mapping[str, int]
) -> tuple[DecoderSpec, ...]:
    """The decoders of a recipe for an encoder of a width and heads; `dims` of teachers' features.

    Sizes left to the method: half the encoder's width and 4 blocks for pixels; MVD's by size;
    MME's a quarter and one block (METHOD.md 2.1 to 2.3, 3.1). Several targets of one decoder are
    averaged, decoders are summed.
    """
    specs = []
    for names in recipe.decoders:
        taught = any(name in TEACHERS for name in names)
        if taught:
            own = MVD_DECODERS.get(width, (width, 2, heads))
        elif set(names) <= set(MOTION):
            inner = width // 4
            own = (inner, 1, inner // MOTION_HEAD if inner % MOTION_HEAD == 0 else 0)
        else:
            own = (width // 2, 4, 0)
        inner = own[0] if recipe.decoder_width == "auto" else recipe.decoder_width
        depth = own[1] if recipe.decoder_depth == "auto" else recipe.decoder_depth
        fitting = own[2] if inner == own[0] and own[2] else decoder_heads(inner)
        targets = tuple(TargetSpec(name, 1 / len(names), dims.get(name)) for name in names)
        specs.append(DecoderSpec(inner, depth, fitting, targets, bias=taught))
    return tuple(specs)


def configure(
    recipe: Recipe,
    classes: dict[str, tuple[str, ...]] | None = None,
    dims: Mapping[str, int] | None = None,
) -> ModelConfig:
    """The model a recipe describes; `dims` are the widths of teachers by their target's name.

    Raises RecipeError for what cannot be built.
    """
    clip = ClipConfig(
        recipe.frames,
        recipe.sides,
        recipe.stride,
        recipe.fps,
        recipe.short_side,
        recipe.fit,
        recipe.sampling,
    )
    if recipe.model in BACKBONES:
        return configure_backbone(recipe, clip, classes or {})
    width, depth, heads = size_of_model(recipe.model)
    positions = recipe.own("positions") if recipe.positions == "auto" else recipe.positions
    height, across = recipe.sides
    grid = (recipe.frames // recipe.tubelet, height // recipe.patch, across // recipe.patch)
    shared: dict[str, Any] = {
        "patch": recipe.patch,
        "tubelet": recipe.tubelet,
        "positions": positions,
        "table": grid if positions == "table" else None,
        "class_token": recipe.class_token,
        "steps": max(recipe.frames // recipe.tubelet, 1),
    }
    pairs = PairsConfig(recipe.alpha) if recipe.frame_select else None
    if isinstance(recipe, PretrainRecipe):
        visible = recipe.own("visible") if recipe.visible == "auto" else recipe.visible
        return ModelConfig(
            "autoencoder",
            VitConfig(width, depth, heads, drop_path=recipe.drop_path, **shared),
            clip,
            SelectConfig(recipe.selector, recipe.keep, visible, recipe.decoder_share),
            pairs,
            decoder_specs(recipe, width, heads, dims or {}),
        )
    assert isinstance(recipe, FinetuneRecipe)
    return ModelConfig(
        "classifier",
        VitConfig(
            width,
            depth,
            heads,
            drop_path=recipe.drop_path,
            norm=recipe.encoder_norm == "keep",
            pool=recipe.pool,
            **shared,
        ),
        clip,
        SelectConfig(recipe.selector, recipe.keep),
        pairs,
        classes=classes or {},
        head_norm=recipe.head_norm,
        dropout=recipe.dropout,
        smoothing=recipe.smoothing,
    )


def configure_backbone(
    recipe: Recipe, clip: ClipConfig, classes: dict[str, tuple[str, ...]]
) -> ModelConfig:
    """A supervised model, which reads every token; raises RecipeError for what it cannot do."""
    if not isinstance(recipe, FinetuneRecipe):
        raise RecipeError(
            f"--model {recipe.model}: a supervised model has no masked pre-training; train it with "
            f"everest finetune --init none, or pre-train one of {', '.join(SIZES)}"
        )
    whole = FinetuneRecipe.keep, 1.0  # what is not asked for, and all
    for option, given, fine in (
        ("--select", recipe.select, recipe.select in ("auto", "all")),
        ("--keep", recipe.keep, recipe.keep in whole),
        ("--frame-select", "", not recipe.frame_select),
    ):
        if not fine:
            raise RecipeError(
                f"{option} {given}".rstrip() + f": {recipe.model} cannot read a part of the tokens;"
                f" leave it out, or choose one of {', '.join(SIZES)}"
            )
    entry = BACKBONES[recipe.model]
    try:
        fields = config_fields(recipe)
    except ValueError as error:
        raise RecipeError(f"--model {recipe.model}: {error}") from error
    return ModelConfig(
        "classifier",
        pixels_of(fields, entry.tubelet),
        clip,
        SelectConfig("all"),
        classes=classes,
        head_norm=recipe.head_norm,
        dropout=recipe.dropout,
        smoothing=recipe.smoothing,
        backbone=BackboneSpec(recipe.model, fields),
    )


def pixels_of(fields: dict[str, Any], tubelet: int) -> VitConfig:
    """What pixels are to a backbone whose config has these fields; the rest of it means nothing."""
    return VitConfig(
        fields["width"],
        fields["depth"],
        fields["heads"],
        patch=fields.get("patch", 16),
        tubelet=tubelet,
        channels=fields["channels"],
        mean=tuple(fields["mean"]),
        std=tuple(fields["std"]),
    )
