"""This file decides which recipes have a name: the papers' rows, and those for one's own."""

from everest.recipes import own_sets, papers, supervised, taught, videomae
from everest.recipes.named import NamedRecipe

__all__ = ["RECIPES", "NamedRecipe"]

RECIPES: dict[str, NamedRecipe] = {
    **own_sets.ROWS,
    **papers.ROWS,
    **videomae.ROWS,
    **taught.ROWS,
    **supervised.ROWS,
}
