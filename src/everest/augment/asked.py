"""This file decides which changes of clips and batches a recipe asks for."""

from everest.augment.clip import Changes
from everest.augment.mixing import Mixing
from everest.augment.spec import parse
from everest.config import ModelConfig
from everest.recipe import FinetuneRecipe, Recipe, RecipeError


def changes_of(recipe: Recipe, config: ModelConfig) -> Changes | None:
    """What training changes of a clip's pixels; None where that is nothing."""
    if not isinstance(recipe, FinetuneRecipe):
        return None
    if not (recipe.randaugment or recipe.jitter or recipe.erasing):
        return None
    spec = parse(recipe.randaugment) if recipe.randaugment else None
    return Changes(spec, recipe.jitter, recipe.erasing, config.vit.mean, config.vit.std)


def mixing_of(recipe: Recipe, config: ModelConfig) -> Mixing | None:
    """How a training batch is mixed; raises RecipeError for a column that cannot be."""
    if not isinstance(recipe, FinetuneRecipe) or not (recipe.mixup or recipe.cutmix):
        return None
    option = f"--mixup {recipe.mixup:g}" if recipe.mixup else f"--cutmix {recipe.cutmix:g}"
    for column, kind in config.kinds.items():
        if kind != "class":
            raise RecipeError(
                f"{option}: mixes single labels, and column {column} holds "
                f"{'several labels a clip' if kind == 'multi' else 'numbers'}; leave mixing out, "
                f"or the column"
            )
    classes = {column: len(names) for column, names in config.classes.items()}
    return Mixing(recipe.mixup, recipe.cutmix, recipe.smoothing, classes)
