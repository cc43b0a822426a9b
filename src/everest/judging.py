"""This file decides what is measured between the epochs of a run, which weights are its best by
that, and when it ends early."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from everest.loop import Job, Loop
    from everest.recipe import Recipe

Judge = Literal["validation", "probe"]


def refuse_judging(recipe: Recipe) -> None:
    """Refuses what cannot judge a run: ValueError."""
    if recipe.patience is not None and recipe.patience < 1:
        raise ValueError(
            f"--patience {recipe.patience}: give the evaluations without a gain after which a run "
            f"ends, at least 1"
        )
    every: int | Literal["auto"] = getattr(recipe, "probe_every", "auto")
    if every != "auto" and every < 1:
        raise ValueError(f"--probe-every {every}: give epochs, at least 1")
    if getattr(recipe, "probe_data", None) is not None:
        return
    if every != "auto":
        raise ValueError(f"--probe-every {every}: give labelled clips too, with --probe-data DATA")
    if getattr(recipe, "best_by", "validation") == "probe":
        raise ValueError("--best-by probe: give labelled clips, with --probe-data DATA")


@dataclass(frozen=True)
class Probing:
    """How frozen features are looked at while a run goes on."""

    measure: Callable[[int], dict[str, Any]]  # epoch -> figures
    every: int  # epochs
    score: Callable[[dict[str, Any]], float]  # of those figures: higher is better, nan is none


@dataclass(frozen=True)
class Judging:
    """What decides besides the number of epochs."""

    probing: Probing | None = None
    by: Judge = "validation"  # whose score chooses the best weights and ends a run
    patience: int | None = None  # of its evaluations without a gain, after which the run ends


def judge_epoch(job: Job, loop: Loop) -> dict[str, Any]:
    """Measures what is due after an epoch, logs it, keeps the best weights; returns what is to be
    told of it. Nothing that is trained is changed."""
    told: dict[str, Any] = {}
    last = loop.epoch == job.epochs
    judging = job.judging
    with job.averaged():
        if job.validate is not None and (loop.epoch % job.validate_every == 0 or last):
            found = evaluated(job, loop, "eval", job.validate)
            told |= found
            if judging.by == "validation":
                weigh(job, loop, job.score(found))
        probing = judging.probing
        if probing is not None and (loop.epoch % probing.every == 0 or last):
            found = evaluated(job, loop, "probe", probing.measure)
            told["probe"] = found
            if judging.by == "probe":
                weigh(job, loop, probing.score(found))
    return told


def evaluated(
    job: Job, loop: Loop, kind: str, measure: Callable[[int], dict[str, Any]]
) -> dict[str, Any]:
    job.model.eval()
    found = measure(loop.epoch)
    job.model.train()
    job.folder.append(
        "metrics.jsonl", {"kind": kind, "step": loop.step, "epoch": loop.epoch, **found}
    )
    return found


def weigh(job: Job, loop: Loop, score: float) -> None:
    """Keeps the weights of a gain; counts how often there was none."""
    # One of which no clip could be read, or that gave no finite figure, chooses nothing.
    if math.isfinite(score) and (loop.best is None or score > loop.best):
        loop.best, loop.best_epoch, loop.without_gain = score, loop.epoch, 0
        job.model.save_pretrained(job.folder.weights("best"))  # type: ignore[operator]
        return
    loop.without_gain += 1
    patience = job.judging.patience
    if patience is not None and loop.without_gain >= patience:
        loop.ended = True
