"""This file decides how pre-training and fine-tuning are put together around the one loop."""

import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

from everest import build, data, evaluating, fitting, locking, measuring, optim, predicting
from everest.classify import VideoClassifier
from everest.config import ModelConfig
from everest.console import Console
from everest.index import Index, Row
from everest.judging import Judging
from everest.kinds import kind_of
from everest.loop import Job, Loop
from everest.metrics import Accuracy, number_or_none
from everest.metrics.columns import measure
from everest.moving_average import MovingAverage
from everest.outcome import Outcome, outcome, write_data
from everest.predicting import Predictions
from everest.preparing import Prepared, Settings, prepare
from everest.probes.during import Labelled, labelled_clips, watch
from everest.progress_pictures import SamplePictures
from everest.recipe import FinetuneRecipe, PretrainRecipe, Recipe, RecipeError
from everest.report.page.writing import Reporter
from everest.starting import Weights
from everest.telling import EpochLines, finish, next_commands


def train_model(
    ready: Prepared,
    settings: Settings,
    console: Console,
    validate_model: Callable[[int], dict[str, Any]] | None,
    score: Callable[[dict[str, Any]], float],
    probed: Labelled | None = None,
) -> Outcome:
    """Trains to the end, or from where a stopped run stood."""
    recipe, folder = ready.recipe, ready.folder
    teachers = {name: teacher.to_json() for name, teacher in ready.teachers.items()}
    named = {"named": settings.named, "teachers": teachers}
    folder.write_json("recipe.json", {**recipe.to_json(), **named})
    folder.describe(settings.command)
    asked = recipe.eval_every
    every = max(recipe.epochs // 10, 1) if asked == "auto" else asked
    began = time.perf_counter()
    reporter = Reporter(ready, every, console)
    told = EpochLines(console, recipe.epochs, began, reporter.after_epoch)
    job = Job(
        model=ready.model,
        optimizer=optim.optimizer(ready.model, recipe.optim, ready.config.vit.depth),
        schedule=optim.schedule(recipe.optim, ready.batch, recipe.epochs, ready.steps_per_epoch),
        machine=ready.place,
        batches=ready.train,
        folder=folder,
        batch=ready.batch,
        parts=ready.parts,
        epochs=recipe.epochs,
        steps_per_epoch=ready.steps_per_epoch,
        clip_grad=recipe.optim.clip_grad,
        validate=validate_model,
        validate_every=every,
        score=score,
        tell=told,
        stop_after=settings.stop_after,
        average=None if recipe.ema is None else MovingAverage(ready.model, recipe.ema),
    )
    if isinstance(ready.model, VideoClassifier):
        job = replace(job, counts=ready.model.counts)
    watched = watch(ready, probed, every, console) if probed is not None else None
    job = replace(
        job,
        judging=Judging(
            watched.probing() if watched is not None else None,
            getattr(recipe, "best_by", "validation"),
            recipe.patience,
        ),
    )
    loop = Loop()
    if settings.resume:
        found = fitting.resumed(job)
        if found is None:
            console.say(f"nothing was saved in {folder.path} yet: starting anew")
            folder.cut("metrics.jsonl", 0)
        else:
            loop = found
            if loop.ended or loop.epoch >= recipe.epochs:
                console.say(f"{folder.path} is finished: {loop.epoch} epochs, {loop.step} steps")
            else:
                console.say(f"going on from step {loop.step}, epoch {loop.epoch + 1}")
    told.first = loop.epoch
    write_data(ready)
    try:
        if loop.epoch < recipe.epochs and not loop.ended:
            loop = fitting.fit(job, loop)
            if loop.ended:
                tell_ended(loop, recipe, console)
    except (RuntimeError, MemoryError) as error:
        if not measuring.is_out_of_memory(error):
            raise
        raise out_of_memory(ready) from error
    finally:
        ready.train.close()
        if ready.held is not None:
            ready.held.close()
        if watched is not None:
            watched.close()
        failed = isinstance(sys.exc_info()[1], OSError)
        # Where a disk failed, what failed first is told.
        with suppress(OSError) if failed else nullcontext():
            write_data(ready)
            reporter.close(loop.epoch)
    return outcome(ready, loop, time.perf_counter() - began)


def tell_ended(loop: Loop, recipe: Recipe, console: Console) -> None:
    console.say(
        f"ended after epoch {loop.epoch} of {recipe.epochs}: {loop.without_gain} evaluations "
        f"without a gain (--patience {recipe.patience}); the best weights are of epoch "
        f"{loop.best_epoch}"
    )


def refuse_patience(recipe: Recipe, held: Sequence[Row]) -> None:
    """Raises RecipeError where nothing would be validated that patience goes by."""
    if recipe.patience is not None and not held and getattr(recipe, "best_by", "") != "probe":
        raise RecipeError(
            f"--patience {recipe.patience}: there are no clips to validate on; give a val part or "
            f"--split 0.8"
        )


class OutOfMemory(ValueError):
    """A step that does not fit into memory, with a size that does."""

    exit_code = 1


def out_of_memory(ready: Prepared) -> OutOfMemory:
    """Measures how many clips would fit, and says how to ask for that."""
    clip = ready.config.clip
    frames = build.candidate_frames(ready.config)
    one = measuring.blank_clips(
        1,
        ready.config.vit.channels,
        frames,
        clip.size,
        data.blank_extra(ready.recipe, ready.config),
    )
    ready.model.zero_grad(set_to_none=True)
    part = -(-ready.batch // ready.parts)
    fits = min(measuring.fitting_clips(ready.model, one, ready.place), max(part // 2, 1))
    parts = next(
        n for n in range(1, ready.batch + 1) if ready.batch % n == 0 and ready.batch // n <= fits
    )
    return OutOfMemory(
        f"out of memory with {part} clips at once; about {fits} fit: --accumulate {parts} computes "
        f"the same step in parts of {ready.batch // parts}, --batch-size {fits} makes smaller steps"
    )


def held_out_score(found: dict[str, Any]) -> float:
    return math.nan if found["held_out"] is None else -found["held_out"]


def accuracy_score(found: dict[str, Any]) -> float:
    """The score, of one class a clip top-1; ties go to the lower loss."""
    score = found.get("score", found["top1"])
    if score is None or found["loss"] is None:
        return math.nan
    return score - 1e-3 * min(found["loss"], 100.0)


def validation_line(found: Predictions, config: ModelConfig) -> dict[str, Any]:
    """What an eval line of a classifier holds: `score` is the mean over its label columns of top-1,
    mAP or the share of variance explained, `top1` the mean over those of one class a clip."""
    figures = {
        column: measure(
            kind_of(config.kinds, column), found.probabilities[column], found.labels[column], names
        )
        for column, names in config.classes.items()
    }
    known = [figure for figure in figures.values() if figure.clips]
    tops = [figure.top1 for figure in known if isinstance(figure, Accuracy)]
    return {
        "clips": len(found.rows) if known else 0,
        "missing": found.missing,
        "loss": number_or_none(found.loss),
        "score": number_or_none(sum(it.score for it in known) / len(known)) if known else None,
        "top1": sum(tops) / len(tops) if tops else None,
        "columns": {column: figure.brief() for column, figure in figures.items()},
    }


@locking.releasing
def run_pretrain(
    index: Index,
    recipe: PretrainRecipe,
    settings: Settings,
    *,
    start: Weights | None = None,
    console: Console | None = None,
) -> Outcome:
    """Pre-trains on an index; the run folder holds all that comes of it."""
    console = console or Console()
    rows = data.hold_out(index, recipe.seed)
    learnt, held = (data.unlabelled(part) for part in rows)
    refuse_patience(recipe, held)
    probed = labelled_clips(recipe)
    ready = prepare(index, (learnt, held), recipe, settings, start, console)
    validate_model = None
    if ready.held is not None:
        loader = ready.held
        pictures = SamplePictures(ready, loader)
        size = min(max(ready.batch // ready.parts, 2), 16)

        def validate_model(epoch: int) -> dict[str, Any]:
            found = evaluating.held_out(ready.model, loader, ready.place, batch=size)
            pictures(epoch)
            return found.to_json()

    result = train_model(ready, settings, console, validate_model, held_out_score, probed)
    finish(ready, result, console)
    if result.validation:
        console.title(evaluating.held_out_of(result.validation).told())
    out = settings.out
    next_commands(
        console,
        [
            f"everest show {out} VIDEO -o tokens.gif",
            f"everest finetune DATA --init {out} --out runs/finetuned",
            f"everest embed {out} VIDEOS -o embeddings.npz",
        ],
    )
    return result


@locking.releasing
def run_finetune(
    index: Index,
    recipe: FinetuneRecipe,
    settings: Settings,
    *,
    start: Weights | None = None,
    console: Console | None = None,
) -> Outcome:
    """Fine-tunes a classifier on a labelled index; validates on its val rows."""
    console = console or Console()
    train = index.part("train").rows
    held = index.part("val").rows
    if not train:
        raise RecipeError(
            "no training clips: the source has no split; give --split 0.8, or a split column"
        )
    refuse_patience(recipe, held)
    ready = prepare(index, (train, held), recipe, settings, start, console)
    validate_model = None
    if ready.held is not None:
        loader = ready.held

        def validate_model(epoch: int) -> dict[str, Any]:
            assert isinstance(ready.model, VideoClassifier)
            found = predicting.predict_rows(ready.model, loader, ready.place)
            return validation_line(found, ready.config)

    result = train_model(ready, settings, console, validate_model, accuracy_score)
    finish(ready, result, console)
    out, chooses = settings.out, ready.config.backbone is None
    next_commands(
        console,
        [
            f"everest evaluate {out} DATA" + (" --compare-keep 1.0,0.6,0.4" if chooses else ""),
            f"everest predict {out} VIDEO",
            f"everest show {out} VIDEO -o tokens.gif",
        ],
    )
    return result
