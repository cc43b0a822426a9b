"""This file decides which published figure is said beside a counted cost, and why they differ."""

from dataclasses import asdict, dataclass
from typing import Any

from everest.cases import Case, is_supervised, supervised_recipe
from everest.cost import cost_of
from everest.poster import published
from everest.recipe import FinetuneRecipe, PretrainRecipe, changed


@dataclass(frozen=True)
class Remark:
    """GFLOPs as printed, what is counted that they are compared with, and what to know of it."""

    printed: float
    counted: float
    told: str

    @property
    def away(self) -> float:
        """How far the counted figure is from the printed one, as a share of it."""
        return self.counted / self.printed - 1

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"the poster prints {self.printed:g}: {self.told}"


def counted(case: Case, **fields: Any) -> float:
    """Multiply-adds, in units of 1e9, of the case with other fields."""
    recipe = changed(case.recipe, **fields)
    return cost_of(Case(recipe, case.classes, case.teacher).config()).total


def remarks(case: Case) -> list[Remark]:
    """Of a case that the poster has a figure of: a clip of the published size, and its model."""
    recipe = case.recipe
    if is_supervised(recipe.model):
        return of_views(case)
    shape = (recipe.frames, recipe.sides, recipe.tubelet, recipe.patch)
    if shape != (16, (224, 224), 2, 16) or recipe.model not in published.ALL_TOKENS:
        return []
    if isinstance(recipe, PretrainRecipe):
        return of_pretraining(case, recipe)
    if recipe.selector == "all":
        return [against(published.ALL_TOKENS[recipe.model], counted(case))]
    six_tenths = isinstance(recipe, FinetuneRecipe) and recipe.keep in (0.6, 940)
    if recipe.selector == "rero" and six_tenths:
        return [against(published.SIX_TENTHS[recipe.model], counted(case))]
    return []


def against(printed: float, found: float) -> Remark:
    away = found / printed - 1
    told = "the same but for rounding" if abs(away) < 5e-3 else f"{away:+.1%} is not explained"
    return Remark(printed, found, f"{found:.2f} counted, {told}")


def of_pretraining(case: Case, recipe: PretrainRecipe) -> list[Remark]:
    plain = recipe.visible in ("auto", 0.1) and recipe.decoders == [["pixels"]]
    if not plain or recipe.decoder_width != "auto" or recipe.decoder_share != 1:
        return []
    model, depth = recipe.model, recipe.decoder_depth
    if recipe.selector == "tube" and depth in ("auto", 4, published.RELEASED_DEPTH):
        printed = published.VIDEOMAE_PRETRAIN[model]
        found = counted(case, decoder_depth=4)
        told = f"{found:.2f} counted with a decoder of 4 blocks, the same but for rounding"
        if model == "vit-l":
            deep = counted(case, decoder_depth=published.RELEASED_DEPTH)
            told += f"; the released ViT-L recipe has {published.RELEASED_DEPTH} blocks: {deep:.1f}"
        return [Remark(printed, found, told)]
    keeps = (published.KEEP_PAPER, published.KEEP_PRINTED)
    if recipe.selector == "rero" and depth in ("auto", 4) and recipe.keep in keeps:
        printed = published.EVEREST_PRETRAIN[model]
        less, more = (counted(case, keep=keep) for keep in keeps)
        told = (
            f"{more:.2f} is counted when {keeps[1]:g} of the tokens are kept (predicting all kept "
            f"tokens, the read ones too, rounds alike), and {less:.2f} at {keeps[0]:g}, which the "
            f"paper's text names and which is the default here: {1 - less / printed:.1%} below"
        )
        return [Remark(printed, more, told)]
    return []


def of_views(case: Case) -> list[Remark]:
    view = published.SUPERVISED.get(case.recipe.model)
    named = Case(case.recipe).config()
    if view is None or case.recipe.sides != (224, 224) or not is_published_length(case):
        return []
    found = view.views * cost_of(named).total
    many = f"{view.views} x {found / view.views:.2f} = " if view.views > 1 else ""
    away = found / view.gflops - 1
    return [Remark(view.gflops, found, f"{many}{found:.2f} counted ({away:+.1%}); {view.why}")]


def is_published_length(case: Case) -> bool:
    return case.recipe.frames == supervised_recipe(case.recipe.model).frames
