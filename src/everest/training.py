"""This file decides how pre-training and fine-tuning are put together around the one loop."""

import math
import time
from collections.abc import Callable
from typing import Any

from everest import build, data, evaluating, fitting, measuring, optim
from everest.console import Console
from everest.index import Index
from everest.metrics import accuracy, number_or_none
from everest.outcome import Outcome, outcome, write_data
from everest.preparing import Prepared, Settings, prepare
from everest.progress_pictures import SamplePictures
from everest.recipe import FinetuneRecipe, PretrainRecipe, RecipeError
from everest.starting import Weights
from everest.telling import EpochLines, finish, next_commands


def train_model(
    ready: Prepared,
    settings: Settings,
    console: Console,
    validate_model: Callable[[int], dict[str, Any]] | None,
    score: Callable[[dict[str, Any]], float],
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
    told = EpochLines(console, recipe.epochs, began)
    job = fitting.Job(
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
    )
    loop = fitting.Loop()
    if settings.resume:
        found = fitting.resumed(job)
        if found is None:
            console.say(f"nothing was saved in {folder.path} yet: starting anew")
            folder.cut("metrics.jsonl", 0)
        else:
            loop = found
            if loop.epoch >= recipe.epochs:
                console.say(f"{folder.path} is finished: {loop.epoch} epochs, {loop.step} steps")
            else:
                console.say(f"going on from step {loop.step}, epoch {loop.epoch + 1}")
    told.first = loop.epoch
    write_data(ready)
    try:
        if loop.epoch < recipe.epochs:
            loop = fitting.fit(job, loop)
    except (RuntimeError, MemoryError) as error:
        if not measuring.is_out_of_memory(error):
            raise
        raise out_of_memory(ready) from error
    finally:
        ready.train.close()
        if ready.held is not None:
            ready.held.close()
        write_data(ready)
    return outcome(ready, loop, time.perf_counter() - began)


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
    """Top-1; ties go to the lower loss."""
    if found["top1"] is None or found["loss"] is None:
        return math.nan
    return found["top1"] - 1e-3 * min(found["loss"], 100.0)


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

    result = train_model(ready, settings, console, validate_model, held_out_score)
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
    ready = prepare(index, (train, held), recipe, settings, start, console)
    validate_model = None
    if ready.held is not None:
        loader = ready.held

        def validate_model(epoch: int) -> dict[str, Any]:
            found = evaluating.predict_rows(ready.model, loader, ready.place)
            figures = {
                column: accuracy(found.probabilities[column], found.labels[column], names)
                for column, names in index.classes.items()
            }
            tops = [figure.top1 for figure in figures.values() if figure.clips]
            return {
                "clips": len(found.rows) if tops else 0,
                "missing": found.missing,
                "loss": number_or_none(found.loss),
                "top1": sum(tops) / len(tops) if tops else None,
                "columns": {
                    column: {"top1": number_or_none(figure.top1), "clips": figure.clips}
                    for column, figure in figures.items()
                },
            }

    result = train_model(ready, settings, console, validate_model, accuracy_score)
    finish(ready, result, console)
    out = settings.out
    next_commands(
        console,
        [
            f"everest evaluate {out} DATA --compare-keep 1.0,0.6,0.4",
            f"everest predict {out} VIDEO",
            f"everest show {out} VIDEO -o tokens.gif",
        ],
    )
    return result
