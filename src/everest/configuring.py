"""This file decides which model a recipe describes: sizes, decoders, and what cannot be built."""

from collections.abc import Mapping
from typing import Any

from everest.backbones.registry import BACKBONES, config_fields
from everest.config import (
    BackboneSpec,
    ClipConfig,
    DecoderSpec,
    ModelConfig,
    PairsConfig,
    SelectConfig,
    TargetSpec,
    pixels_of,
)
from everest.names import TEACHERS
from everest.recipe import FinetuneRecipe, PretrainRecipe, Recipe, RecipeError
from everest.vit import SIZES, VitConfig

# Width of an encoder -> width, blocks and heads of MVD's decoders; else the encoder's and 2 blocks.
MVD_DECODERS = {1024: (512, 4, 8), 1280: (640, 8, 8)}
MOTION = ("hog", "trajectory")
MOTION_HEAD = 32  # channels a head of MME's decoder: 6 heads of 192 (METHOD.md 2.2)


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
