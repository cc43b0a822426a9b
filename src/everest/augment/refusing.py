"""This file decides which samplings and augmentations are refused, in one sentence each."""

from typing import TYPE_CHECKING

from everest.augment.spec import parse

if TYPE_CHECKING:
    from everest.recipe import FinetuneRecipe, Recipe

SMALLEST_AREA = 0.08


def refuse_sampling(recipe: "Recipe") -> None:
    """Raises ValueError for frames that cannot be chosen as asked."""
    if recipe.sampling == "segments" and recipe.fps is not None and not recipe.frame_select:
        raise ValueError(
            f"--fps {recipe.fps:g}: --sampling segments spreads the frames over the whole video; "
            f"leave --fps out, or use --sampling dense"
        )


def refuse_augmentation(recipe: "FinetuneRecipe") -> None:
    """Raises ValueError for changes of clips or of batches that cannot be made."""
    if recipe.randaugment:
        parse(recipe.randaugment)
    for name, share, told in (
        ("jitter", recipe.jitter, "a strength"),
        ("erasing", recipe.erasing, "a share of clips"),
    ):
        if not 0 <= share <= 1:
            raise ValueError(f"--{name} {share}: {told} from 0 to 1")
    smallest = recipe.smallest_area
    if not 0 < smallest <= 1:
        raise ValueError(
            f"--smallest-area {smallest}: a share of the frame above 0 and at most 1, such as "
            f"{SMALLEST_AREA}"
        )
    if smallest != SMALLEST_AREA and (recipe.crop != "area" or recipe.fit == "pad"):
        told = f"--crop {recipe.crop}" if recipe.fit == "crop" else "--fit pad"
        raise ValueError(f"--smallest-area {smallest}: of --crop area alone, and this is {told}")
    if recipe.repeats < 1:
        raise ValueError(f"--repeats {recipe.repeats}: clips of a decode, at least 1")
    refuse_mixing(recipe)


def refuse_mixing(recipe: "FinetuneRecipe") -> None:
    for name, alpha in (("mixup", recipe.mixup), ("cutmix", recipe.cutmix)):
        if not 0 <= alpha < float("inf"):
            raise ValueError(
                f"--{name} {alpha}: alpha of Beta(alpha, alpha), such as 0.8; 0 is off"
            )
    batch = recipe.batch_size
    if not (recipe.mixup or recipe.cutmix) or batch == "auto":
        return
    if batch < 2 or batch * recipe.repeats % 2:
        option = f"--mixup {recipe.mixup:g}" if recipe.mixup else f"--cutmix {recipe.cutmix:g}"
        raise ValueError(
            f"{option}: the clips of a batch mix two by two, and --batch-size {batch} is "
            f"{'one video' if batch < 2 else 'odd'}; give an even one, such as {batch + 1}"
        )
