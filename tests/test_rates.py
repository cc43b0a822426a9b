"""Optimisers, schedules and averages that cannot be are refused before a video is touched."""

import json
from pathlib import Path
from typing import Any

import pytest

from everest.recipe import FinetuneRecipe, PretrainRecipe, RecipeError, changed, read_recipe
from everest.validating import validate

STEPS: dict[str, Any] = {"optim__schedule": "steps", "epochs": 15}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"ema": 1.0}, "--ema 1.0: .* below 1"),
        ({"ema": 0.0}, "--ema 0.0: .* above 0"),
        ({"optim__per": 0}, r"--optim\.per 0"),
        ({"optim__momentum": 1.0}, r"--optim\.momentum 1.0: expected from 0 to below 1"),
        ({"optim__layer_decay": 0.0}, r"--optim\.layer-decay 0.0"),
        ({"optim__lr": -1.0}, r"--optim\.lr -1.0"),
        ({"optim__decay_at": (3.0,)}, r"--optim\.decay-at 3: of --optim\.schedule steps alone"),
        (STEPS, r"--optim\.schedule steps: say after which epochs"),
        ({**STEPS, "optim__decay_at": (11.0, 15.0)}, r"--optim\.decay-at 11 15: .* the run, 15"),
        ({**STEPS, "optim__decay_at": (11.0, 4.0)}, "ascending"),
        ({**STEPS, "optim__decay_at": (0.0, 4.0)}, "ascending"),
        ({**STEPS, "optim__decay_at": (5.0,), "optim__decay_by": 1.0}, r"--optim\.decay-by 1.0"),
    ],
)
@pytest.mark.parametrize("kind", [PretrainRecipe, FinetuneRecipe])
def test_steps_that_cannot_be_taken_are_refused(
    kind: type[PretrainRecipe] | type[FinetuneRecipe], fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(RecipeError, match=told):
        validate(changed(kind(), **fields))


def test_a_recipe_with_all_of_them_runs_and_survives_a_file(tmp_path: Path) -> None:
    fields = {**STEPS, "ema": 0.999, "optim__kind": "sgd", "optim__decay_at": (11.0, 14.0)}
    recipe = changed(FinetuneRecipe(), balance=True, optim__per=64, **fields)
    validate(recipe)
    (tmp_path / "recipe.json").write_text(json.dumps(recipe.to_json()))
    assert read_recipe(FinetuneRecipe, tmp_path / "recipe.json") == recipe
