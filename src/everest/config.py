"""This file decides what a model's config.json says: all that is needed to build and feed it."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import nn

from everest.recipe import FinetuneRecipe, PretrainRecipe, Recipe, RecipeError
from everest.selection import Budget
from everest.tensors import write_tensors
from everest.vit import SIZES, VitConfig

SCHEMA = 1


@dataclass(frozen=True)
class ClipConfig:
    """How a video becomes the model's input outside training."""

    frames: int = 16
    size: tuple[int, int] = (224, 224)  # height, width
    stride: float = 4  # source frames
    fps: float | None = None  # frames a second, instead of a stride
    short_side: int | None = None  # pixels
    fit: Literal["crop", "pad"] = "crop"


@dataclass(frozen=True)
class SelectConfig:
    name: str  # rero, random, tube, all
    keep: Budget = 1.0
    visible: Budget | None = None


@dataclass(frozen=True)
class PairsConfig:
    alpha: float = 1.5
    keep: Budget = 0.3


@dataclass(frozen=True)
class DecoderSpec:
    width: int
    depth: int
    heads: int
    targets: tuple[str, ...] = ("pixels",)


@dataclass(frozen=True)
class ModelConfig:
    kind: Literal["autoencoder", "classifier"]
    vit: VitConfig
    clip: ClipConfig
    select: SelectConfig
    pairs: PairsConfig | None = None
    decoders: tuple[DecoderSpec, ...] = ()
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)  # label column -> names
    head_norm: Literal["layer", "batch"] = "layer"
    dropout: float = 0.0
    smoothing: float = 0.0

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
        clip = dict(content["clip"])
        clip["size"] = tuple(clip["size"])
        return cls(
            kind=content["kind"],
            vit=VitConfig(**vit),
            clip=ClipConfig(**clip),
            select=SelectConfig(**content["select"]),
            pairs=PairsConfig(**content["pairs"]) if content["pairs"] else None,
            decoders=tuple(
                DecoderSpec(**{**spec, "targets": tuple(spec["targets"])})
                for spec in content["decoders"]
            ),
            classes={name: tuple(names) for name, names in content["classes"].items()},
            head_norm=content["head_norm"],
            dropout=content["dropout"],
            smoothing=content["smoothing"],
        )


def write_model(model: nn.Module, config: ModelConfig, folder: str | Path) -> None:
    """Writes model.safetensors and config.json: an export that `from_pretrained` reads."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_json(), indent=1) + "\n")


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
    """Heads of a decoder: 3 at 96 and 192, 64 channels each above (METHOD.md 2.1)."""
    for heads in (max(round(width / 64), 1), 3, 2, 1):
        if heads >= 3 and width % heads == 0:
            return heads
    return next(heads for heads in (3, 2, 1) if width % heads == 0)


def configure(recipe: Recipe, classes: dict[str, tuple[str, ...]] | None = None) -> ModelConfig:
    """The model a recipe describes; raises RecipeError for what cannot be built."""
    width, depth, heads = size_of_model(recipe.model)
    clip = ClipConfig(
        recipe.frames, recipe.sides, recipe.stride, recipe.fps, recipe.short_side, recipe.fit
    )
    shared: dict[str, Any] = {
        "patch": recipe.patch,
        "tubelet": recipe.tubelet,
        "steps": max(recipe.frames // recipe.tubelet, 1),
    }
    pairs = PairsConfig(recipe.alpha) if recipe.frame_select else None
    if isinstance(recipe, PretrainRecipe):
        decoder_width = recipe.decoder_width or width // 2
        spec = DecoderSpec(decoder_width, recipe.decoder_depth, decoder_heads(decoder_width))
        return ModelConfig(
            "autoencoder",
            VitConfig(width, depth, heads, drop_path=recipe.drop_path, **shared),
            clip,
            SelectConfig(recipe.selector, recipe.keep, recipe.visible),
            pairs,
            (spec,),
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
