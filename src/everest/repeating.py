"""This file decides how a job is repeated with other seeds, and what the repetitions amount to."""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from everest.checkpoint import write_text
from everest.console import Console, percent
from everest.entries import shown
from everest.folder import FolderError, RunFolder
from everest.jobs import Ask
from everest.outcome import Outcome

SUMMARY = "seeds.json"
OWN = re.compile(r"seed-\d+|seeds\.json")  # what stands in the folder of repetitions
# Figures of a label column that are summed up, by its kind.
FIGURES = {
    "class": ("top1", "top5", "mean_class", "macro_f1", "calibration_error"),
    "multi": ("map",),
    "number": ("mse", "mae", "pearson"),
}
BOUNDLESS = (-math.inf, math.inf)
WITHIN = {"mse": (0.0, math.inf), "mae": (0.0, math.inf), "pearson": (-1.0, 1.0)}  # else a share
Train = Callable[[Ask, int], Outcome]  # a job with a number added to its recipe's seed
Evaluate = Callable[[Path], dict[str, Any]]  # a run folder -> its evaluation


@dataclass(frozen=True)
class Spread:
    """What one figure is over several seeds."""

    values: tuple[float, ...]
    mean: float
    deviation: float  # standard deviation, of a sample
    interval: tuple[float, float]  # 95 %, of the mean over seeds

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def spread_of(values: Sequence[float], within: tuple[float, float] = BOUNDLESS) -> Spread:
    """Mean, sample standard deviation and Student's 95 % interval of the mean, of two or more
    values; the interval ends where no value can lie."""
    from scipy.stats import t

    count = len(values)
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    reach = float(t.ppf(0.975, count - 1)) * deviation / math.sqrt(count)
    low, high = max(mean - reach, within[0]), min(mean + reach, within[1])
    return Spread(tuple(values), mean, deviation, (low, high))


def repeat(ask: Ask, train: Train, evaluate: Evaluate | None, console: Console) -> dict[str, Any]:
    """Runs a job with as many seeds as were asked for, each into its own folder of `--out`.

    A run that is finished there is not trained again with --resume. Returns what seeds.json holds;
    raises ValueError for a folder that holds anything else.
    """
    out, count = ask.options.out, ask.options.seeds
    assert count is not None
    if count < 2:
        raise ValueError(f"--seeds {count}: give at least 2; one run needs no --seeds")
    check_folder(out, resume=ask.options.resume, overwrite=ask.options.overwrite)
    outcomes, evaluations = [], []
    for number in range(count):
        folder = out / f"seed-{number}"
        console.title(f"seed {number} of 0 to {count - 1}: {folder}")
        options = replace(ask.options, out=folder, seeds=None)
        outcomes.append(train(replace(ask, options=options), number))
        console.log = None
        if evaluate is not None:
            evaluations.append(evaluate(folder))
    document: dict[str, Any] = {
        "run": str(out),
        "seeds": count,
        "runs": [asdict(outcome) for outcome in outcomes],
        **(of_evaluations(evaluations) if evaluations else of_pretraining(outcomes)),
    }
    write_text(out / SUMMARY, json.dumps({"schema": 1, **document}, indent=1) + "\n")
    tell(document, console)
    return document


def check_folder(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuses a folder that holds anything but repetitions, or that is not to be touched."""
    names = sorted(entry.name for entry in out.iterdir()) if out.is_dir() else []
    foreign = [name for name in names if not OWN.fullmatch(name)]
    if foreign:
        raise FolderError(
            f"--out {out} --seeds: holds {shown(foreign[0])}, which is no repetition; give another "
            f"folder"
        )
    RunFolder(out).check(resume=resume or overwrite, overwrite=False)


def of_evaluations(evaluations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Spread of each figure of each label column."""
    first = evaluations[0]
    columns: dict[str, dict[str, Any]] = {}
    for name, figures in first["columns"].items():
        found = {}
        for key in FIGURES[figures["kind"]]:
            values = [each["columns"][name].get(key) for each in evaluations]
            if all(value is not None for value in values):
                found[key] = spread_of(values, WITHIN.get(key, (0.0, 1.0))).to_json()
        columns[name] = {"kind": figures["kind"], "clips": figures["clips"], **found}
    return {"part": first["part"], "columns": columns}


def of_pretraining(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Spread of the held-out loss, as a share of a constant predictor's too."""
    lines = [outcome.validation for outcome in outcomes]
    if any(line.get("held_out") is None for line in lines):
        return {}
    return {
        "held_out": spread_of([line["held_out"] for line in lines]).to_json(),
        "held_out_share": spread_of(
            [line["held_out"] / line["constant"] for line in lines]
        ).to_json(),
    }


def tell(document: dict[str, Any], console: Console) -> None:
    count = document["seeds"]
    for name, figures in document.get("columns", {}).items():
        for key in ("top1", "mean_class", "map", "mse", "pearson"):
            if key in figures:
                console.title(f"{shown(name)}: {line(key, figures[key], count)}")
    if document.get("part") == "val":
        console.say("these clips also chose each run's best weights: a test part would tell more")
    if "held_out" in document:
        console.title(line("held_out", document["held_out"], count))
    console.say(f"all figures in {Path(document['run']) / SUMMARY}")


def line(key: str, found: dict[str, Any], count: int) -> str:
    """A figure's mean, its spread and the interval of the mean."""
    names = {
        "top1": "top-1",
        "mean_class": "mean per class",
        "map": "mAP",
        "mse": "MSE",
        "pearson": "Pearson",
        "held_out": "held-out loss",
    }
    form: Callable[[float], str] = (
        percent if key in ("top1", "mean_class", "map") else "{:.4g}".format
    )
    low, high = found["interval"]
    return (
        f"{names[key]} {form(found['mean'])} +- {form(found['deviation'])} over {count} seeds "
        f"({form(min(found['values']))} to {form(max(found['values']))}; 95 % interval of the mean "
        f"{form(low)} to {form(high)})"
    )
