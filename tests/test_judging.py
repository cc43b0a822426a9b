"""What is measured between epochs: the best weights, when a run ends early, probes on the way."""

import json
import math
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from everest.judging import Judging, Probing, judge_epoch, refuse_judging
from everest.recipe import FinetuneRecipe, PretrainRecipe, changed
from everest.starting import export_of
from everest.training import refuse_patience
from tiny import TINY, TINY_PRETRAIN, LabelledSet, done, everest


class Recorded:
    """A model and a folder that say what was asked of them."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.saved = 0
        self.training = True

    def eval(self) -> None:
        self.training = False

    def train(self) -> None:
        self.training = True

    def append(self, name: str, line: dict[str, Any]) -> None:
        self.lines.append(line)

    def weights(self, which: str) -> str:
        return which

    def save_pretrained(self, place: str) -> None:
        self.saved += 1


def judged(scores: list[float], judging: Judging, epochs: int = 9) -> tuple[Recorded, Any]:
    """What is left after so many epochs whose validation had these scores."""
    seen = Recorded()
    loop = SimpleNamespace(epoch=0, step=0, best=None, best_epoch=None, without_gain=0, ended=False)
    job: Any = SimpleNamespace(
        model=seen, folder=seen, epochs=epochs, validate_every=1, judging=judging,
        averaged=nullcontext, score=lambda found: found["score"],
        validate=lambda epoch: {"score": scores[epoch - 1]},
    )  # fmt: skip
    for _ in scores:
        loop.epoch += 1
        judge_epoch(job, loop)  # type: ignore[arg-type]
        assert seen.training
        if loop.ended:
            break
    return seen, loop


def test_a_run_ends_after_so_many_evaluations_without_a_gain() -> None:
    seen, loop = judged([1.0, 3.0, 3.0, 2.0, 4.0], Judging(patience=2))
    assert loop.ended and loop.epoch == 4 and (loop.best, loop.best_epoch) == (3.0, 2)
    assert seen.saved == 2


def test_a_gain_starts_patience_anew_and_without_patience_nothing_ends() -> None:
    _, loop = judged([1.0, 0.5, 2.0, 0.5, 3.0], Judging(patience=2))
    assert not loop.ended and loop.without_gain == 0
    _, loop = judged([3.0, 2.0, 1.0, 0.0], Judging())
    assert not loop.ended and loop.without_gain == 3


def test_an_evaluation_without_a_figure_is_no_gain() -> None:
    seen, loop = judged([math.nan, math.nan], Judging(patience=2))
    assert loop.ended and loop.best is None and seen.saved == 0


def test_the_probe_judges_where_it_is_asked_to_and_is_due_at_the_end_too() -> None:
    scores = iter([0.5, 0.75])
    probing = Probing(lambda epoch: {"linear": next(scores)}, 2, lambda found: found["linear"])
    seen, loop = judged([9.0, 8.0, 7.0], Judging(probing, "probe", 5), epochs=3)
    assert (loop.best, loop.best_epoch, seen.saved) == (0.75, 3, 2)
    assert [(line["kind"], line["epoch"]) for line in seen.lines] == [
        ("eval", 1), ("eval", 2), ("probe", 2), ("eval", 3), ("probe", 3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"patience": 0}, "--patience 0"),
        ({"probe_every": 2}, "--probe-data DATA"),
        ({"probe_data": "x", "probe_every": 0}, "--probe-every 0"),
        ({"best_by": "probe"}, "--probe-data DATA"),
    ],
)
def test_what_cannot_judge_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        refuse_judging(changed(PretrainRecipe(), **fields))


def test_patience_without_clips_to_validate_on_is_refused() -> None:
    with pytest.raises(ValueError, match="no clips to validate on"):
        refuse_patience(FinetuneRecipe(patience=3), [])
    refuse_patience(PretrainRecipe(patience=3, probe_data="x", best_by="probe"), [])


def lines_of(run: Path, kind: str) -> list[dict[str, Any]]:
    found = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line for line in found if line["kind"] == kind]


@pytest.fixture(scope="module")
def probed(labelled: LabelledSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pre-training of the fixture `pretrained`, probed after each epoch."""
    out = tmp_path_factory.mktemp("probed") / "run"
    words = ["--probe-data", labelled.table, "--probe-every", 1, "--best-by", "probe"]
    done("pretrain", labelled.table, "--out", out, "--epochs", 2, *TINY_PRETRAIN, *words)
    return out


def test_probing_changes_no_bit_of_a_run(pretrained: Path, probed: Path) -> None:
    weights = Path("weights") / "last" / "model.safetensors"
    assert (probed / weights).read_bytes() == (pretrained / weights).read_bytes()
    for kind in ("step", "epoch", "eval"):
        assert lines_of(probed, kind) == lines_of(pretrained, kind)


def test_each_probe_is_a_line_beside_chance_and_on_the_console(probed: Path) -> None:
    first, second = lines_of(probed, "probe")
    assert (first["epoch"], second["epoch"]) == (1, 2)
    for line in (first, second):
        assert (line["clips"], line["learnt_from"], line["missing"]) == (4, 8, 0)  # val, not test
        assert line["chance"] == line["majority"] == 0.25
        assert line["linear"] in (0, 0.25, 0.5, 0.75, 1) and 0 <= line["knn"] <= 1
    assert "probe linear" in (probed / "log.txt").read_text()


def test_a_pre_training_that_probes_judged_goes_on_from_its_best_weights(
    probed: Path, pretrained: Path
) -> None:
    assert export_of(pretrained) == pretrained / "weights/last"
    assert export_of(probed) == probed / "weights/best"


def test_a_run_that_ended_early_is_finished_and_resumes_as_such(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = [
        "finetune", labelled.table, "--out", out, "--epochs", 40, "--eval-every", 1, *TINY,
        "--patience", 1, "--optim.lr", 1e-12,
    ]  # fmt: skip
    told = done(*words).out
    assert "without a gain (--patience 1)" in told
    epochs = len(lines_of(out, "epoch"))
    assert 2 <= epochs < 40
    again = done(*words, "--resume").out
    assert f"is finished: {epochs} epochs" in again and len(lines_of(out, "epoch")) == epochs


def test_labelled_clips_that_cannot_be_probed_are_refused_before_the_folder_is_touched(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    told = everest(
        "pretrain", labelled.table, "--out", out, *TINY_PRETRAIN, "--probe-data", labelled.videos
    )
    assert told.code == 2 and "--probe-data" in told.err and not out.exists()
