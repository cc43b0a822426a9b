"""Recipes: fields by name, files and back, and what is refused before any video is touched."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everest.configuring import configure
from everest.recipe import (
    FinetuneRecipe,
    Optim,
    PretrainRecipe,
    Recipe,
    RecipeError,
    changed,
    from_json,
    read_recipe,
    sides_of,
)
from everest.recipes import RECIPES
from everest.validating import validate

KINDS: list[type[Recipe]] = [PretrainRecipe, FinetuneRecipe]


# Fields by name


@pytest.mark.parametrize(
    ("misspelt", "nearest"),
    [
        ("epochss", "epochs"),
        ("batchsize", "batch_size"),
        ("frame_selection", "frame_select"),
        ("optim__lrr", "optim__lr"),
        ("optim__weight_deacy", "optim__weight_decay"),
        ("vissible", "visible"),
    ],
)
def test_a_misspelt_field_is_refused_with_the_nearest_names(misspelt: str, nearest: str) -> None:
    with pytest.raises(RecipeError, match=f"{misspelt}: a pretrain recipe .*mean.*{nearest}"):
        changed(PretrainRecipe(), **{misspelt: 1})


def test_a_field_like_no_other_is_refused_with_the_list() -> None:
    with pytest.raises(RecipeError, match=r"qqqq: .*known: accumulate, alpha, .*workers"):
        changed(FinetuneRecipe(), qqqq=1)


def test_a_field_of_the_other_job_is_refused() -> None:
    with pytest.raises(RecipeError, match="decoder_depth: a finetune recipe has no such field"):
        changed(FinetuneRecipe(), decoder_depth=2)


def test_fields_of_the_optimiser_change_one_by_one() -> None:
    recipe = changed(FinetuneRecipe(), optim__lr=0.5, epochs=3)
    assert recipe.epochs == 3
    assert recipe.optim == dataclasses.replace(FinetuneRecipe().optim, lr=0.5)
    both = changed(recipe, optim=Optim(warmup=7), optim__lr=0.25)
    assert both.optim == Optim(warmup=7, lr=0.25)
    assert recipe.optim.lr == 0.5


# Files and back


@pytest.mark.parametrize("name", RECIPES)
def test_every_named_recipe_survives_a_file_is_valid_and_builds(name: str, tmp_path: Path) -> None:
    named = RECIPES[name]
    assert named.told.strip()
    for kind, recipe in ((PretrainRecipe, named.pretrain), (FinetuneRecipe, named.finetune)):
        if recipe is None:
            continue
        path = tmp_path / "recipe.json"
        path.write_text(json.dumps(recipe.to_json()))
        assert read_recipe(kind, path) == recipe
        validate(recipe)
        configure(recipe, {"label": ("a", "b")})


@given(
    st.integers(1, 9999),
    st.one_of(st.integers(2, 2000), st.floats(0.01, 1.0)),
    st.one_of(st.integers(16, 512), st.just("128x224")),
    st.floats(1e-6, 1),
    st.one_of(st.none(), st.floats(0.1, 10)),
)
def test_any_recipe_survives_a_file(
    epochs: int, keep: float, size: int | str, lr: float, clip: float | None
) -> None:
    recipe = PretrainRecipe(
        epochs=epochs, keep=keep, size=size, optim=Optim(lr=lr, clip_grad=clip, betas=(0.8, 0.9))
    )
    again = from_json(PretrainRecipe, json.loads(json.dumps(recipe.to_json())), "recipe.json")
    assert again == recipe
    assert isinstance(again, PretrainRecipe)
    assert type(again.keep) is type(keep)  # 470 stays a count and 1.0 a share


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "not a recipe file"),
        ("[1]", "holds one JSON object"),
        ('{"job": "finetune"}', "a recipe for finetune, not for pretrain"),
        ('{"epoch": 3}', "epoch: a pretrain recipe has no such field.*epochs"),
        ('{"optim": {"rate": 3}}', "rate"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(content)
    with pytest.raises(RecipeError, match=told):
        read_recipe(PretrainRecipe, path)
    with pytest.raises(RecipeError, match=r"none\.json: not a recipe file"):
        read_recipe(PretrainRecipe, tmp_path / "none.json")


def test_a_file_that_says_little_leaves_the_rest_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text('{"epochs": 3, "optim": {"lr": 0.5}}')
    recipe = read_recipe(FinetuneRecipe, path)
    assert (recipe.epochs, recipe.optim.lr) == (3, 0.5)
    assert recipe.batch_size == FinetuneRecipe().batch_size


# Sides


@pytest.mark.parametrize(
    ("size", "sides"),
    [(224, (224, 224)), ("224", (224, 224)), ("128x224", (128, 224)), ("96X64", (96, 64))],
)
def test_a_size_is_one_number_or_height_by_width(size: int | str, sides: tuple[int, int]) -> None:
    assert sides_of(size) == sides
    assert PretrainRecipe(size=size).sides == sides


@pytest.mark.parametrize("size", ["", "big", "12x", "1x2x3", 0, "-16x16", "16x0", 1.5])
def test_a_size_that_is_none_is_refused_with_an_example(size: int | str) -> None:
    with pytest.raises(RecipeError, match=f"--size {size}: .*HEIGHTxWIDTH"):
        sides_of(size)


# Refusals


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"frames": 0}, "--frames 0"),
        ({"tubelet": -2}, "--tubelet -2"),
        ({"patch": 0}, "--patch 0"),
        ({"epochs": 0}, "--epochs 0"),
        ({"accumulate": 0}, "--accumulate 0"),
        ({"stride": 0}, "--stride 0"),
        ({"stride": -1.5}, r"--stride -1\.5"),
        ({"fps": 0.0}, r"--fps 0\.0"),
        ({"batch_size": 0}, "--batch-size 0"),
        ({"batch_size": 10, "accumulate": 3}, "--accumulate 3.*--batch-size 10"),
        ({"select": "mcm"}, "--select mcm: choose one of rero, random, tube, all"),
        ({"size": "wide"}, "--size wide"),
    ],
)
def test_what_can_never_run_is_refused_with_the_value_given(
    kind: type[Recipe], fields: dict[str, object], told: str
) -> None:
    validate(kind())
    with pytest.raises(RecipeError, match=told):
        validate(changed(kind(), **fields))


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        (PretrainRecipe(method="mae"), "--method mae: choose one of everest, videomae"),  # type: ignore[arg-type]
        (PretrainRecipe(targets="hogs"), "--targets hogs: 'hogs' is no target"),
        (PretrainRecipe(select="all"), "--select all: nothing would be hidden"),
        (FinetuneRecipe(select="tube"), "--select tube"),
        (
            FinetuneRecipe(head_norm="batch", accumulate=2),
            "--accumulate 2: --head-norm batch",
        ),
    ],
)
def test_choices_that_do_not_go_together_are_refused(recipe: Recipe, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        validate(recipe)


@pytest.mark.parametrize("model", ["vit-x", "192x6", "190x6x4", "axbxc", "0x1x1", "192x0x3"])
def test_a_model_that_there_is_not_is_refused(model: str) -> None:
    with pytest.raises(RecipeError, match=f"--model {model}"):
        configure(PretrainRecipe(model=model))


def test_a_selector_is_the_methods_where_none_is_asked_for() -> None:
    assert PretrainRecipe().selector == "rero"
    assert PretrainRecipe(method="videomae").selector == "tube"
    assert PretrainRecipe(method="videomae", select="random").selector == "random"
    assert FinetuneRecipe().selector == "rero"
