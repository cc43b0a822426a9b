"""What a recipe asks of its clips and batches reaches them, and what cannot be is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from everest import data
from everest.augment.asked import changes_of, mixing_of
from everest.augment.clip import Changes
from everest.augment.mixing import Mixing
from everest.augment.spec import RandAugment
from everest.config import ModelConfig
from everest.configuring import configure
from everest.recipe import FinetuneRecipe, PretrainRecipe, Recipe, RecipeError
from everest.validating import validate
from tiny import TINY, LabelledSet, done, everest

CLASSES = {"label": ("a", "b", "c")}
PLAIN = FinetuneRecipe(model="32x2x2", size=32, frames=4)
ALL = replace(
    PLAIN, randaugment="rand-m7-n4-mstd0.5-inc1", jitter=0.4, erasing=0.25, mixup=0.8, cutmix=1.0,
    repeats=2, smallest_area=0.5,
)  # fmt: skip


def test_a_plain_recipe_changes_and_mixes_nothing() -> None:
    for recipe in (PLAIN, PretrainRecipe(model="32x2x2", size=32)):
        config = configure(recipe, CLASSES)
        assert changes_of(recipe, config) is None and mixing_of(recipe, config) is None
        loader = data.loader_of([], recipe, config, 0)
        assert loader.repeats == 1 and loader.sampling.together is None


def test_what_is_asked_for_reaches_training_and_not_validation() -> None:
    config = configure(ALL, CLASSES)
    loader = data.loader_of([], ALL, config, 0)
    mean, std = config.vit.mean, config.vit.std
    spec = RandAugment(7.0, 4, 0.5)
    assert loader.sampling.training.changes == Changes(spec, 0.4, 0.25, mean, std)
    assert loader.sampling.training.smallest_area == 0.5
    assert loader.sampling.evaluation.changes is None
    assert loader.mixing == Mixing(0.8, 1.0, ALL.smoothing, {"label": 3}) and loader.repeats == 2
    held = data.loader_of([], ALL, config, 0, once=True)
    assert held.mixing is None and held.repeats == 1


@pytest.mark.parametrize(("select", "together"), [(False, 1), (True, 2)])
def test_a_finished_model_samples_segments_as_its_training_did(select: bool, together: int) -> None:
    recipe = replace(PLAIN, sampling="segments", frame_select=select)
    config = configure(recipe, CLASSES)
    assert data.sampling_of(recipe, config).together == together
    again = ModelConfig.from_json(json.loads(json.dumps(config.to_json())))
    assert data.still_sampling(again).together == together


def test_a_config_written_before_there_were_segments_is_dense() -> None:
    content = json.loads(json.dumps(configure(PLAIN, CLASSES).to_json()))
    del content["clip"]["sampling"]
    assert data.still_sampling(ModelConfig.from_json(content)).together is None


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        (replace(PLAIN, randaugment="rand-m7"), "--randaugment rand-m7: give rand, m, n and inc1"),
        (replace(PLAIN, jitter=1.5), "--jitter 1.5: a strength from 0 to 1"),
        (replace(PLAIN, erasing=-0.1), "--erasing -0.1: a share of clips from 0 to 1"),
        (replace(PLAIN, smallest_area=0.0), "--smallest-area 0.0: a share of the frame above 0"),
        (replace(PLAIN, smallest_area=0.3, crop="shift"), "this is --crop shift"),
        (replace(PLAIN, smallest_area=0.3, fit="pad"), "this is --fit pad"),
        (replace(PLAIN, repeats=0), "--repeats 0: clips of a decode, at least 1"),
        (replace(PLAIN, mixup=-1.0), r"--mixup -1.0: alpha of Beta\(alpha, alpha\)"),
        (replace(PLAIN, cutmix=float("nan")), "--cutmix nan: alpha"),
        (replace(PLAIN, cutmix=1.0, batch_size=5), "--cutmix 1: .* odd; give .* such as 6"),
        (replace(PLAIN, mixup=1.0, batch_size=5, repeats=3), "--batch-size 5 is odd"),
        (replace(PLAIN, mixup=1.0, batch_size=1, repeats=2), "--batch-size 1 is one video"),
        (replace(PLAIN, sampling="segments", fps=5.0), "--fps 5: --sampling segments"),
        (PretrainRecipe(sampling="segments", fps=5.0), "--fps 5: --sampling segments"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_work(recipe: Recipe, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        validate(recipe)


def test_what_can_be_done_is_not_refused() -> None:
    validate(ALL)
    validate(replace(PLAIN, mixup=0.8, batch_size=3, repeats=2))
    validate(replace(PLAIN, mixup=0.8, batch_size="auto"))
    validate(replace(PLAIN, sampling="segments", fps=5.0, frame_select=True))


@pytest.mark.parametrize(("kind", "told"), [("multi", "several labels"), ("number", "numbers")])
def test_mixing_refuses_columns_that_hold_no_single_class(kind: str, told: str) -> None:
    config = replace(configure(ALL, CLASSES), kinds={"score": kind})  # type: ignore[dict-item]
    with pytest.raises(RecipeError, match=f"--mixup 0.8: .*column score holds {told}"):
        mixing_of(ALL, config)


EVERYTHING = (
    "--epochs 2 --randaugment rand-m7-n4-mstd0.5-inc1 --jitter 0.4 --erasing 0.25 --mixup 0.8"
    " --cutmix 1 --repeats 2 --sampling segments --crop area --smallest-area 0.5"
).split()


def test_a_run_with_everything_on_is_exact_over_processes_and_a_resume(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    done("finetune", labelled.table, "--out", straight, *TINY, *EVERYTHING)
    stopped = ("--out", resumed, *TINY, *EVERYTHING, "--workers", 1)
    everest("finetune", labelled.table, *stopped, "--stop-after", 1)
    done("finetune", labelled.table, "--out", resumed, *TINY, *EVERYTHING, "--resume")
    weights = Path("weights/last/model.safetensors")
    assert (straight / weights).read_bytes() == (resumed / weights).read_bytes()


def test_repeats_are_not_counted_in_the_batch_that_scales_the_rate(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    told = []
    for repeats in (1, 3):
        out = tmp_path / str(repeats)
        done("finetune", labelled.table, "--out", out, *TINY, "--epochs", 1, "--repeats", repeats)
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        told.append([(line["step"], line["lr"]) for line in lines if line["kind"] == "epoch"])
    assert told[0] == told[1]
