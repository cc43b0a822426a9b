"""The named recipes resolve to the published schedules, and each can be built."""

import dataclasses

import pytest
import torch

from everest import build, optim
from everest.choosing import choose_recipe
from everest.configuring import configure
from everest.recipe import FinetuneRecipe, PretrainRecipe, RecipeError
from everest.recipes import RECIPES
from everest.validating import validate

UCF, HMDB, KINETICS = 9537, 3570, 240_436  # training clips (DATASETS.md)
# recipe, job, clips -> clips a step, rate after warm-up, rate at the end, warm-up steps, steps;
# METHOD.md 1.3 and 2: rates are per 256 clips, the last part of a batch is left out.
SCHEDULES = [
    ("everest-ucf101", "pretrain", UCF, (192, 7.5e-4, 7.5e-6, 40 * 49, 3200 * 49)),
    ("everest-ucf101", "finetune", UCF, (128, 5e-4, 5e-7, 5 * 74, 100 * 74)),
    ("everest-hmdb51", "pretrain", HMDB, (192, 7.5e-4, 7.5e-6, 40 * 18, 4800 * 18)),
    ("everest-hmdb51", "finetune", HMDB, (128, 5e-4, 5e-7, 5 * 27, 50 * 27)),
    ("videomae-ucf101", "pretrain", UCF, (192, 2.25e-4, 7.5e-6, 40 * 49, 3200 * 49)),
    ("videomae-ucf101", "finetune", UCF, (128, 2.5e-4, 5e-7, 5 * 74, 100 * 74)),
    ("videomae-k400-s", "pretrain", KINETICS, (1024, 6e-4, 4e-5, 40 * 234, 1600 * 234)),
    ("videomae-k400-b", "pretrain", KINETICS, (2048, 1.2e-3, 8e-5, 40 * 117, 1600 * 117)),
    ("videomae-k400-b", "finetune", KINETICS, (384, 7.5e-4, 1.5e-6, 5 * 626, 75 * 626)),
    ("videomae-k400-s", "finetune", KINETICS, (384, 7.5e-4, 1.5e-6, 5 * 626, 150 * 626)),
    ("videomae-k400-l", "finetune", KINETICS, (128, 1e-3, 5e-7, 5 * 1878, 35 * 1878)),
    ("videomae-k400-h", "finetune", KINETICS, (512, 1e-3, 2e-6, 5 * 469, 50 * 469)),
    ("mvd-k400-b", "pretrain", KINETICS, (1024, 6e-4, 4e-4, 40 * 234, 400 * 234)),
    ("mme-k400", "pretrain", KINETICS, (1024, 6e-4, 4e-5, 40 * 234, 1600 * 234)),
    ("mme-k400", "finetune", KINETICS, (384, 1.5e-3, 1.5e-6, 5 * 626, 75 * 626)),
    # Rates of the supervised rows are per 512, or of the batch itself (BACKBONES.md).
    ("mvit-b", "finetune", KINETICS, (512, 1.6e-3, 1.6e-5, 30 * 469, 200 * 469)),
    ("vivit-fe-l", "finetune", KINETICS, (64, 0.1, 0.0, int(2.5 * 3756), 30 * 3756)),
    ("xvit", "finetune", KINETICS, (128, 0.03, 0.0, 5 * 1878, 30 * 1878)),
    ("kcentered-timesformer", "finetune", KINETICS, (64, 2.5e-5, 2.5e-7, 0, 15 * 3756)),
]
PARTS = [
    pytest.param(recipe, id=f"{name}-{job}")
    for name, named in RECIPES.items()
    for job, recipe in (("pretrain", named.pretrain), ("finetune", named.finetune))
    if recipe is not None
]


@pytest.mark.parametrize(("name", "job", "clips", "figures"), SCHEDULES)
def test_a_recipe_resolves_to_its_published_schedule(
    name: str, job: str, clips: int, figures: tuple[int, float, float, int, int]
) -> None:
    recipe = getattr(RECIPES[name], job)
    batch, peak, end, warmup, steps = figures
    assert recipe.batch_size == batch
    schedule = optim.schedule(recipe.optim, batch, recipe.epochs, clips // batch)
    assert (schedule.warmup, schedule.steps) == (warmup, steps)
    assert (schedule.peak, schedule.end) == pytest.approx((peak, end))
    assert schedule.rate(warmup) == pytest.approx(peak)


@pytest.mark.parametrize("name", ["timesformer", "motionformer"])
def test_the_rate_falls_to_a_tenth_at_the_published_epochs(name: str) -> None:
    recipe = RECIPES[name].finetune
    assert recipe is not None
    each = 100
    schedule = optim.schedule(recipe.optim, int(recipe.batch_size), recipe.epochs, each)
    first, second = (int(epoch) for epoch in recipe.optim.decay_at)
    rates = [schedule.rate(epoch * each) for epoch in (first - 1, first, second)]
    assert rates == pytest.approx([recipe.optim.lr, 0.1 * recipe.optim.lr, 0.01 * recipe.optim.lr])


@pytest.mark.parametrize("recipe", PARTS)
def test_every_recipe_is_valid_and_its_model_can_be_built(
    recipe: PretrainRecipe | FinetuneRecipe,
) -> None:
    validate(recipe)
    dims = {"image_features": 768, "video_features": 768}
    classes = {"label": tuple(str(number) for number in range(400))}
    config = configure(recipe, classes if isinstance(recipe, FinetuneRecipe) else None, dims)
    with torch.device("meta"):
        model = build.build(config)
    assert sum(parameter.numel() for parameter in model.parameters()) > 1e5
    assert all(parameter.is_meta for parameter in model.parameters())


def test_the_papers_choices_are_those_of_the_papers_recipes() -> None:
    ucf = RECIPES["everest-ucf101"]
    assert ucf.pretrain is not None and ucf.finetune is not None
    assert (ucf.pretrain.keep, ucf.finetune.keep) == (0.3, 0.6)
    assert configure(ucf.pretrain).select.visible == 0.1
    assert ucf.pretrain.optim.betas == (0.9, 0.95)
    assert ucf.finetune.optim.layer_decay == 0.75
    assert (ucf.finetune.drop_path, ucf.finetune.smoothing) == (0.1, 0.1)
    assert (ucf.finetune.erasing, ucf.finetune.mixup, ucf.finetune.cutmix) == (0.25, 0, 0)
    assert (ucf.finetune.pool, ucf.finetune.head_norm) == ("mean", "layer")
    assert (ucf.finetune.encoder_norm, ucf.finetune.head_scale) == ("drop", 0.001)
    framed = RECIPES["everest-ucf101-frames"]
    assert framed.pretrain is not None and framed.finetune is not None
    assert dataclasses.replace(framed.pretrain, frame_select=False) == ucf.pretrain
    assert dataclasses.replace(framed.finetune, frame_select=False) == ucf.finetune
    assert (framed.pretrain.frame_select, framed.pretrain.alpha) == (True, 1.5)


def test_everest_on_kinetics_differs_from_videomae_in_what_is_read() -> None:
    for size in ("s", "b", "l"):
        own, theirs = RECIPES[f"everest-k400-{size}"], RECIPES[f"videomae-k400-{size}"]
        assert own.finetune is not None and theirs.finetune is not None
        assert "not published" in own.assumed
        same = dataclasses.replace(own.finetune, select="all", keep=1.0)
        assert same == theirs.finetune


def test_nothing_is_mirrored_where_left_and_right_are_classes() -> None:
    flips = {name: named.finetune.flip for name, named in RECIPES.items() if named.finetune}
    assert all(flip == 0 for name, flip in flips.items() if "ssv2" in name)
    assert flips["everest-k400-b"] == 0.5


@pytest.mark.parametrize(
    ("clips", "named"),
    [(1999, "small-data"), (2000, "medium-data"), (49_999, "medium-data"), (50_000, "large-data")],
)
def test_auto_goes_by_the_number_of_clips_and_says_why(clips: int, named: str) -> None:
    for kind in (PretrainRecipe, FinetuneRecipe):
        choice = choose_recipe(kind, "auto", clips, None)
        assert choice.named == named
        assert f"{clips:,} clips" in choice.why


def test_a_job_that_a_recipe_has_no_part_for_is_refused_with_its_commands() -> None:
    with pytest.raises(RecipeError, match=r"mvit-b: has no part for pretrain.*\n.*everest finet"):
        choose_recipe(PretrainRecipe, "mvit-b", 100, None)


def test_a_recipe_tells_its_source_result_and_that_it_was_not_run() -> None:
    told = RECIPES["everest-ucf101"].told
    assert "METHOD.md 1.3" in told and "93.4" in told and "Not run here." in told
    assert RECIPES["everest-ucf101"].commands("everest-ucf101") == [
        "everest pretrain ucf101:DIR --recipe everest-ucf101 --out runs/everest-ucf101",
        "everest finetune ucf101:DIR --init runs/everest-ucf101 --recipe everest-ucf101 --out "
        "runs/everest-ucf101-finetuned",
        "everest evaluate runs/everest-ucf101-finetuned ucf101:DIR --views 5x3",
    ]
