"""A job with several seeds: where its runs lie, and what they amount to together."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t

from everest.repeating import check_folder, spread_of
from tiny import TINY, TINY_PRETRAIN, LabelledSet, done, everest


def test_the_interval_of_the_mean_is_students() -> None:
    values = [0.71, 0.74, 0.69, 0.80]
    found = spread_of(values)
    low, high = t.interval(0.95, 3, np.mean(values), np.std(values, ddof=1) / 2)
    assert found.interval == pytest.approx((low, high))
    assert (found.mean, found.deviation) == pytest.approx((0.735, np.std(values, ddof=1)))


def test_the_interval_ends_where_no_value_can_lie() -> None:
    assert spread_of([0.1, 0.9], (0.0, 1.0)).interval == (0.0, 1.0)


@pytest.fixture(scope="module")
def repeated(labelled: LabelledSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("repeated") / "seeds"
    done("finetune", labelled.table, "--out", out, "--epochs", 1, "--seeds", 2, *TINY)
    return out


def weights(run: Path) -> bytes:
    return (run / "weights" / "last" / "model.safetensors").read_bytes()


def test_each_seed_is_a_run_of_its_own_and_evaluated(repeated: Path, labelled: LabelledSet) -> None:
    assert {path.name for path in repeated.iterdir()} == {"seed-0", "seed-1", "seeds.json"}
    assert weights(repeated / "seed-0") != weights(repeated / "seed-1")
    seeds = [
        json.loads((repeated / f"seed-{number}" / "recipe.json").read_text())["seed"]
        for number in range(2)
    ]
    assert seeds == [0, 1]
    found = json.loads((repeated / "seeds.json").read_text())
    top1 = found["columns"]["label"]["top1"]
    evaluated = [
        json.loads((repeated / f"seed-{number}" / "evaluation.json").read_text())
        for number in range(2)
    ]
    assert top1["values"] == [each["columns"]["label"]["top1"] for each in evaluated]
    assert found["part"] == "test" and len(found["runs"]) == 2


@pytest.mark.slow
def test_one_of_several_is_the_run_with_that_seed(
    repeated: Path, labelled: LabelledSet, tmp_path: Path
) -> None:
    words = ["--epochs", 1, "--seed", 1, *TINY]
    done("finetune", labelled.table, "--out", tmp_path / "alone", *words)
    assert weights(tmp_path / "alone") == weights(repeated / "seed-1")


def test_finished_seeds_are_kept_on_resume_and_more_are_added(
    repeated: Path, labelled: LabelledSet
) -> None:
    before = {path: path.stat().st_mtime_ns for path in repeated.glob("seed-*/weights/last/*")}
    words = ["finetune", labelled.table, "--out", repeated, "--epochs", 1, *TINY]
    told = everest(*words, "--seeds", 2)
    assert told.code == 2 and "is not empty" in told.err
    told = done(*words, "--seeds", 3, "--resume", "--json")
    document = json.loads(told.out)
    assert document["seeds"] == 3 and len(document["columns"]["label"]["top1"]["values"]) == 3
    assert "is finished" in told.err and "over 3 seeds" in told.err
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())


@pytest.mark.slow
def test_pre_training_is_repeated_too(labelled: LabelledSet, tmp_path: Path) -> None:
    out = tmp_path / "seeds"
    words = ["--epochs", 1, "--seeds", 2, "--quiet", *TINY_PRETRAIN]
    done("pretrain", labelled.table, "--out", out, *words)
    found = json.loads((out / "seeds.json").read_text())
    low, high = found["held_out"]["interval"]
    assert low < found["held_out"]["mean"] < high and found["held_out_share"]["mean"] > 0


def test_a_folder_that_holds_anything_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(ValueError, match=r"mine\.txt"):
        check_folder(tmp_path, resume=False, overwrite=True)


def test_one_seed_is_refused(labelled: LabelledSet, tmp_path: Path) -> None:
    told = everest("finetune", labelled.table, "--out", tmp_path / "o", "--seeds", 1, *TINY)
    assert told.code == 2 and "--seeds 1" in told.err and not (tmp_path / "o").exists()
