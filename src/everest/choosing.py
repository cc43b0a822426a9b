"""This file decides which recipe a run has when none is named, and says why."""

from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from everest.config import ModelConfig
from everest.convert.supervised import IMAGES
from everest.recipe import (
    JOBS,
    AnyRecipe,
    FinetuneRecipe,
    PretrainRecipe,
    RecipeError,
    changed,
    read_recipe,
)
from everest.recipes import RECIPES
from everest.starting import Weights
from everest.vit import SIZES

FEW_CLIPS = 2000
OWN_SETS = ((FEW_CLIPS, "small-data"), (50_000, "medium-data"))  # fewer clips than -> recipe
LARGE = "large-data"


@dataclass(frozen=True)
class Choice(Generic[AnyRecipe]):
    recipe: AnyRecipe
    named: str
    why: str


def choose_recipe(
    kind: type[AnyRecipe], asked: str | None, clips: int, start: Weights | None
) -> Choice[AnyRecipe]:
    """The recipe asked for by name or file; `auto` goes by the start and the number of clips.

    A start's own model and clip shape replace the recipe's. Raises RecipeError.
    """
    if asked and asked != "auto" and asked not in RECIPES:
        if not asked.endswith(".json"):
            raise RecipeError(
                f"--recipe {asked}: choose one of {', '.join(RECIPES)}, auto, or a recipe.json"
            )
        recipe = read_recipe(kind, Path(asked))
        assert isinstance(recipe, kind)
        return Choice(recipe, asked, f"read from {asked}")
    if asked and asked != "auto":
        named, why = asked, "as asked"
    elif start is not None and start.recipe in RECIPES:
        named, why = str(start.recipe), f"as {start.source} was trained"
    else:
        named, why = by_size(clips)
    entry = RECIPES[named]
    part = {PretrainRecipe: entry.pretrain, FinetuneRecipe: entry.finetune}[kind]
    if part is None:
        job, lines = JOBS[kind], "\n".join(f"  {line}" for line in entry.commands(named))
        raise RecipeError(f"--recipe {named}: has no part for {job}; it is run as\n{lines}")
    assert isinstance(part, kind)
    recipe = part
    fits = fitting_batch(clips)
    if asked in (None, "auto") and recipe.batch_size != "auto" and recipe.batch_size > fits:
        recipe = changed(recipe, batch_size=fits)
    if start is not None and start.family != IMAGES:
        recipe = changed(recipe, **shape_fields(start.config))
    return Choice(recipe, named, why)


def by_size(clips: int) -> tuple[str, str]:
    """(recipe, why) for a set of one's own."""
    for most, named in OWN_SETS:
        if clips < most:
            return named, f"{clips:,} clips are fewer than {most:,}"
    return LARGE, f"{clips:,} clips"


def fitting_batch(clips: int) -> int:
    """A batch for a set: the largest power of two up to 64 that makes at least four steps."""
    batch = 64
    while batch > 1 and batch * 4 > clips:
        batch //= 2
    return batch


def shape_fields(config: ModelConfig) -> dict[str, object]:
    """The recipe fields that a finished model settles."""
    vit, clip = config.vit, config.clip
    height, width = clip.size
    shape: dict[str, object] = {
        "frames": clip.frames,
        "size": height if height == width else f"{height}x{width}",
        "stride": clip.stride,
        "fps": clip.fps,
        "short_side": clip.short_side,
        "fit": clip.fit,
    }
    if config.backbone is not None:
        return {**shape, "model": config.backbone.model}
    triple = (vit.width, vit.depth, vit.heads)
    names = {size: name for name, size in SIZES.items()}
    return {
        **shape,
        "model": names.get(triple, "x".join(map(str, triple))),
        "positions": vit.positions,
        "class_token": vit.class_token,
        "patch": vit.patch,
        "tubelet": vit.tubelet,
    }
