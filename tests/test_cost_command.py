"""`everest cost`: what is counted, part by part, and which published figure stands beside it."""

import json
from typing import Any

import pytest
from torch.utils.flop_counter import FlopCounterMode

from everest import cost
from everest.cases import Case, Job, recipe_of
from everest.explaining import sheet_of
from everest.poster import published
from everest.poster.remarks import remarks
from tiny import done, everest


def asked(*words: object) -> dict[str, Any]:
    return json.loads(done("cost", *words, "--json").out)


def test_the_document_has_the_keys_of_the_interface() -> None:
    found = asked("--model", "vit-b", "--job", "pretrain")
    assert next(iter(found)) == "schema"
    assert (found["model"], found["frames"], found["size"]) == ("vit-b", 16, 224)
    assert (found["keep"], found["visible"]) == (0.3, 0.1)
    assert found["gmac"].keys() == {"embed", "encoder", "decoder", "head", "total"}
    assert found["gmac"]["total"] == pytest.approx(19.81, abs=0.005)
    assert found["parameters"] == pytest.approx(94.21e6, rel=1e-4)  # METHOD.md 2.7
    assert "also" not in found


def test_both_jobs_are_counted_where_none_is_named() -> None:
    found = asked("--model", "vit-s", "--method", "videomae")
    (second,) = found["also"]
    assert found["gmac"]["total"] == pytest.approx(11.56, abs=0.005)
    assert second["job"] == "finetune" and second["keep"] == 1.0
    assert second["gmac"]["total"] == pytest.approx(56.95, abs=0.005)


def test_a_number_of_classes_asks_for_the_classifier() -> None:
    found = asked("--model", "vit-s", "--classes", 10)
    assert found["job"] == "finetune"
    assert found["parameters_of"]["head"] == 384 * 2 + 385 * 10


def test_a_named_recipe_is_counted_with_what_is_changed_of_it() -> None:
    whole = asked("--recipe", "everest-k400-s", "--job", "finetune")
    less = asked("--recipe", "everest-k400-s", "--job", "finetune", "--keep", 0.3)
    assert whole["gmac"]["total"] == pytest.approx(29.07, abs=0.005)
    assert less["gmac"]["encoder"] < 0.5 * whole["gmac"]["encoder"]


def test_memory_is_counted_on_demand() -> None:
    words = ("--model", "32x2x2", "--size", 32, "--patch", 8, "--job", "finetune")
    assert "activations" not in asked(*words)
    assert asked(*words, "--memory")["activations"]["bytes"] > 0


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--model", "vit-x"), "choose one of vit-ti"),
        (("--recipe", "everest-k400"), "did you mean everest-k400-"),
        (("--model", "mvit-s", "--job", "pretrain"), "no masked pre-training"),
        (("--frames", 15), "multiple of the tubelet"),
        (("--keep", 2.0), "a share is above 0"),
        (("--classes", 10, "--visible", 0.1), "--visible is of pre-training"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(words: tuple[object, ...], part: str) -> None:
    told = everest("cost", *words)
    assert told.code == 2 and part in told.err and told.out == ""


def told_of(job: Job, model: str, method: str = "everest", **fields: Any) -> str:
    case = Case(recipe_of(job, model, method, **fields))
    return " ".join(str(remark) for remark in remarks(case))


@pytest.mark.parametrize("keep", [0.3, 0.4])
def test_pretraining_of_everest_is_told_at_both_shares(keep: float) -> None:
    told = told_of("pretrain", "vit-b", keep=keep)
    assert "prints 21.5" in told and "21.54" in told and "19.81" in told


def test_the_large_videomae_is_told_with_both_decoders() -> None:
    told = told_of("pretrain", "vit-l", "videomae")
    assert "prints 83.1" in told and "83.11" in told and "142.8" in told


def test_the_part_of_tokens_that_is_read_decides_which_figure_stands_beside() -> None:
    assert "prints 98.1: 98.06" in told_of("finetune", "vit-b")
    assert "prints 180.5: 180.49" in told_of("finetune", "vit-b", "mvd")
    assert told_of("finetune", "vit-b", keep=0.5) == ""
    assert told_of("finetune", "vit-b", size=112) == ""


@pytest.mark.parametrize("model", published.SUPERVISED)
def test_a_supervised_row_stands_beside_its_figure_with_the_reason(model: str) -> None:
    view = published.SUPERVISED[model]
    case = Case(recipe_of("finetune", model))
    (remark,) = remarks(case)
    assert remark.printed == view.gflops and view.why in remark.told
    within = 0.09 if model == "mvit-s" else 0.008  # the one that is not reproduced
    assert abs(remark.away) < within
    assert remark.counted == pytest.approx(view.views * sheet_of(case).cost.total)


def test_teachers_are_told_beside_the_student() -> None:
    found = asked("--method", "mvd", "--job", "pretrain", "--teacher", "vit-l")
    assert found["teachers"]["video_features"] == pytest.approx(596.8, rel=2e-3)
    assert found["teachers"]["image_features"] == pytest.approx(492.4, rel=2e-3)


def products(tokens: int, width: int) -> float:
    """Multiply-adds of one block, norms left out."""
    return cost.blocks(tokens, width, 1) - 2 * cost.NORM * tokens * width


@pytest.mark.parametrize(
    ("method", "read", "decoded"), [("everest", 12, 38), ("videomae", 16, 128)]
)
def test_a_counter_of_products_agrees(method: str, read: int, decoded: int) -> None:
    """torch's counter sees each product once, as two operations."""
    recipe = recipe_of("pretrain", "64x2x4", method, size=64, frames=16, batch_size=1)
    case = Case(recipe)
    model, _ = case.model()
    with FlopCounterMode(display=False) as counter:
        model(case.clips())["loss"].sum()
    counts = {
        name: sum(by_operation.values()) / 2
        for name, by_operation in counter.get_flop_counts().items()
    }
    name = type(model).__name__
    assert counts[f"{name}.encoder.blocks.0"] == products(read, 64)
    assert counts[f"{name}.decoders.0.blocks.0"] == products(decoded, 32)
