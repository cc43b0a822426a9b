"""This file decides which recipes can never run; they are refused before any video is touched."""

from everest.augment.refusing import refuse_augmentation, refuse_sampling
from everest.judging import refuse_judging
from everest.names import METHODS, SELECTORS, teacher_option
from everest.rates import refuse_rates
from everest.recipe import FinetuneRecipe, PretrainRecipe, Recipe, RecipeError, flag


def validate(recipe: Recipe) -> None:
    """Refuses what can never run, before any video is touched; raises RecipeError."""
    positive = ("frames", "tubelet", "patch", "epochs", "accumulate", "stride")
    for name in positive:
        if getattr(recipe, name) <= 0:
            raise RecipeError(f"{flag(name)} {getattr(recipe, name)}: must be above 0")
    if recipe.fps is not None and recipe.fps <= 0:
        raise RecipeError(f"--fps {recipe.fps}: must be above 0")
    try:
        refuse_sampling(recipe)
        refuse_rates(recipe)
        refuse_judging(recipe)
        if isinstance(recipe, FinetuneRecipe):
            refuse_augmentation(recipe)
    except ValueError as error:
        raise RecipeError(str(error)) from error
    if recipe.batch_size != "auto":
        if recipe.batch_size < 1:
            raise RecipeError(f"--batch-size {recipe.batch_size}: must be at least 1")
        if recipe.batch_size % recipe.accumulate:
            raise RecipeError(
                f"--accumulate {recipe.accumulate}: must divide --batch-size {recipe.batch_size}"
            )
    if recipe.select not in (*SELECTORS, "auto"):
        raise RecipeError(f"--select {recipe.select}: choose one of {', '.join(SELECTORS)}")
    if isinstance(recipe, PretrainRecipe):
        if recipe.method not in METHODS:
            raise RecipeError(f"--method {recipe.method}: choose one of {', '.join(METHODS)}")
        validate_targets(recipe)
        if recipe.select == "all":
            raise RecipeError("--select all: nothing would be hidden; use rero, random or tube")
    if isinstance(recipe, FinetuneRecipe):
        if recipe.select == "tube":
            raise RecipeError("--select tube hides places to predict them: use rero, random or all")
        if recipe.head_norm == "batch" and recipe.accumulate > 1:
            raise RecipeError(
                f"--accumulate {recipe.accumulate}: --head-norm batch takes its statistics over a "
                f"whole batch; use --accumulate 1, or --head-norm layer"
            )
    _ = recipe.sides


def validate_targets(recipe: PretrainRecipe) -> None:
    """Refuses targets that are unknown or lack what they are made of; raises RecipeError."""
    try:
        names = [name for part in recipe.decoders for name in part]
    except ValueError as error:
        raise RecipeError(str(error)) from error
    for name, given in (
        ("image_features", recipe.image_teacher),
        ("video_features", recipe.video_teacher),
    ):
        option = teacher_option(name)
        if name in names and given is None:
            raise RecipeError(
                f"--targets {name} (of --method {recipe.method}) is made by a frozen model: give "
                f"{option} RUN or FILE, or choose other --targets"
            )
        if given is not None and name not in names:
            raise RecipeError(
                f"{option} {given}: nothing is predicted of it; give --method mvd, or --targets "
                f"with {name}"
            )
    if "trajectory" in names and recipe.trajectories is None:
        raise RecipeError(
            f"--targets trajectory (of --method {recipe.method}) is computed beforehand: run "
            f"everest trajectories VIDEOS --out DIR, then give --trajectories DIR"
        )
    if recipe.trajectories is not None and "trajectory" not in names:
        raise RecipeError(
            f"--trajectories {recipe.trajectories}: nothing is predicted of them; give --method "
            f"mme, or --targets with trajectory"
        )
    if not 0 < recipe.decoder_share <= 1:
        raise RecipeError(
            f"--decoder-share {recipe.decoder_share}: a share above 0 and at most 1.0"
        )
