"""What a step keeps for its backward pass, counted without computing: equal to what it keeps."""

from typing import Any

import pytest

from everest import machine, measuring
from everest.activations import activation_bytes
from everest.cases import Case, Job, recipe_of
from everest.machine import Precision

TINY: dict[str, Any] = {"size": 32, "patch": 8, "frames": 4, "batch_size": 2}


def kept(case: Case, precision: Precision) -> int:
    """As a real step keeps it."""
    model, _ = case.model()
    place = machine.choose("cpu", precision)
    return measuring.kept_bytes(model.train(), case.clips(), place)


@pytest.mark.parametrize(
    ("job", "method", "precision"),
    [
        ("pretrain", "everest", "float32"),
        ("pretrain", "mvd", "bf16"),
        ("finetune", "everest", "bf16"),
    ],
)
def test_what_is_counted_is_what_a_step_keeps(job: Job, method: str, precision: Precision) -> None:
    case = Case(recipe_of(job, "32x2x2", method, **TINY), classes=3, teacher="32x2x2")
    assert activation_bytes(case, precision) == kept(case, precision) > 0


def test_patches_that_are_sampled_by_content_are_counted_too() -> None:
    recipe = recipe_of("finetune", "kcentered-timesformer", size=16, batch_size=2, frames=16)
    case = Case(recipe, classes=3)
    assert activation_bytes(case) == kept(case, "float32") > 0
