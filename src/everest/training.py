"""This file decides how pre-training and fine-tuning are put together around the one loop."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from everest import build, data, evaluating, fitting, machine, optim
from everest.config import ModelConfig, configure
from everest.console import Console, duration, percent
from everest.folder import FolderError, RunFolder
from everest.index import Index, Row
from everest.loading import Loader
from everest.metrics import accuracy
from everest.recipe import (
    FREE_ON_RESUME,
    FinetuneRecipe,
    PretrainRecipe,
    Recipe,
    RecipeError,
    flag,
    validate,
)
from everest.starting import Weights, start_from


@dataclass(frozen=True)
class Settings:
    """How a run is made; nothing here changes its result."""

    out: Path
    resume: bool = False
    overwrite: bool = False
    stop_after: int | None = None  # epochs
    named: str = ""  # the recipe's name
    why: str = ""  # it was chosen
    command: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What a finished run amounts to; `--json` prints it."""

    run: str
    epochs: int
    steps: int
    loss: float | None
    best: float | None
    seconds: float
    clips_per_second: float
    data_wait: float
    bad: list[dict[str, str]]
    validation: dict[str, Any]


@dataclass
class Prepared:
    """A run that is ready to train."""

    recipe: Recipe
    config: ModelConfig
    folder: RunFolder
    place: machine.Machine
    model: torch.nn.Module
    train: Loader
    held: Loader | None
    batch: int
    steps_per_epoch: int


def prepare(
    index: Index,
    rows: tuple[Sequence[Row], Sequence[Row]],
    recipe: Recipe,
    settings: Settings,
    start: Weights | None,
    console: Console,
) -> Prepared:
    """Checks everything that can be checked before the first step; refuses with one sentence."""
    validate(recipe)
    folder = RunFolder(settings.out)
    folder.prepare(resume=settings.resume, overwrite=settings.overwrite)
    refuse_other_recipe(folder, recipe, settings)
    config = configure(recipe, index.classes)
    torch.manual_seed(recipe.seed)
    model = build.build(config)
    place = machine.choose(recipe.device, recipe.precision)
    machine.keep_freed_memory()
    console.log = folder.path / "log.txt"
    console.say(f"everest {folder_version()}, torch {torch.__version__}, {place.told()}")
    for sentence in index.reading:
        console.say(sentence)
    training_rows, held_rows = rows
    bad = [row for row in (*training_rows, *held_rows) if row.bad]
    if bad:
        console.warn(f"{len(bad)} files cannot be read; they are passed over:")
        for row in bad[:5]:
            console.warn(f"  {row.bad}")
    for sentence in data.short_clips(training_rows, recipe, build.candidate_frames(config)):
        console.warn(sentence)
    if isinstance(recipe, FinetuneRecipe):
        build.start_classifier(model, recipe)  # type: ignore[arg-type]
    if settings.named:
        console.say(
            f"recipe {settings.named} ({settings.why}): model {recipe.model}, "
            f"{recipe.frames} frames x stride {recipe.stride:g}, "
            f"{recipe.sides[0]}x{recipe.sides[1]} pixels"
        )
    if start is not None:
        for sentence in start_from(start, model, config.kind):
            console.say(sentence)
    elif len(training_rows) < 2000 and isinstance(recipe, FinetuneRecipe):
        console.say(
            f"{len(training_rows)} clips to learn from: --init RUN often helps when labels are few"
        )
    place.place(model)
    workers = machine.reading_processes(recipe.workers, place.device)
    train = data.loader_of(training_rows, recipe, config, workers)
    held = None
    if held_rows:
        held = data.loader_of(held_rows, recipe, config, workers, once=True)
    batch = recipe.batch_size if recipe.batch_size != "auto" else fitting_batch(len(train))
    if batch > len(train):
        raise RecipeError(
            f"--batch-size {batch}: the training set has {len(train)} clips; "
            f"give {len(train)} or fewer"
        )
    selected = model.select.counts(grid_of(config))  # type: ignore[union-attr]
    total = grid_of(config)[0] * grid_of(config)[1] * grid_of(config)[2]
    sees = f"reads {selected[0]} of {total} tokens"
    if selected[1]:
        sees += f" and predicts {selected[1]}"
    console.say(
        f"{len(training_rows)} clips to learn from, {len(held_rows)} held out; "
        f"{batch} clips a step; {sees}"
    )
    return Prepared(recipe, config, folder, place, model, train, held, batch, len(train) // batch)


def folder_version() -> str:
    from everest.version import __version__

    return __version__


def grid_of(config: ModelConfig) -> tuple[int, int, int]:
    height, width = config.clip.size
    vit = config.vit
    return config.clip.frames // vit.tubelet, height // vit.patch, width // vit.patch


def fitting_batch(clips: int) -> int:
    """A batch for a set: the largest power of two up to 64 that makes at least four steps."""
    batch = 64
    while batch > 1 and batch * 4 > clips:
        batch //= 2
    return batch


def refuse_other_recipe(folder: RunFolder, recipe: Recipe, settings: Settings) -> None:
    """A resumed run keeps its recipe; raises FolderError naming what differs."""
    if not settings.resume or not (folder.path / "recipe.json").exists():
        return
    before = folder.read_json("recipe.json")
    now = {**recipe.to_json(), "named": settings.named}
    differing = []
    for name in sorted(set(before) | set(now)):
        if name in FREE_ON_RESUME or name == "named":
            continue
        # JSON turns tuples into lists.
        old, new = before.get(name), now.get(name)
        if jsonable(old) != jsonable(new):
            differing.append(f"{flag(name)} was {old} and is {new}")
    if differing:
        raise FolderError(
            f"--resume {folder.path}: the recipe differs ({'; '.join(differing)}); only "
            f"{', '.join(flag(name) for name in sorted(FREE_ON_RESUME))} may; use another --out"
        )


def jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: jsonable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    return value


def train_model(
    ready: Prepared,
    settings: Settings,
    console: Console,
    validate_model: Callable[[int], dict[str, Any]] | None,
    score: Callable[[dict[str, Any]], float],
) -> Outcome:
    """Trains to the end, or from where a stopped run stood."""
    recipe, folder = ready.recipe, ready.folder
    folder.write_json("recipe.json", {**recipe.to_json(), "named": settings.named})
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
        parts=recipe.accumulate,
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
    try:
        if loop.epoch < recipe.epochs:
            loop = fitting.fit(job, loop)
    finally:
        ready.train.close()
        if ready.held is not None:
            ready.held.close()
        write_data(ready)
    return outcome(ready, loop, time.perf_counter() - began)


def write_data(ready: Prepared) -> None:
    """data.json: the clips of the run, those held out, those that could not be read."""
    ready.folder.write_json(
        "data.json",
        {
            "schema": 1,
            "train": [row_json(row) for row in ready.train.rows],
            "held_out": [row_json(row) for row in ready.held.rows] if ready.held else [],
            "classes": ready.config.classes,
            "bad": bad_files(ready),
        },
    )


def row_json(row: Row) -> dict[str, Any]:
    return {"path": row.path, "start": row.start, "end": row.end, "labels": row.labels}


def bad_files(ready: Prepared) -> list[dict[str, str]]:
    found: dict[str, str] = {}
    for loader in (ready.train, ready.held):
        if loader is not None:
            found |= {loader.rows[number].path: why for number, why in loader.bad.items()}
    return [{"path": path, "reason": why} for path, why in sorted(found.items())]


def outcome(ready: Prepared, loop: fitting.Loop, seconds: float) -> Outcome:
    metrics = ready.folder.metrics()
    timings = list(ready.folder.lines("timings.jsonl"))
    epochs = [line for line in metrics if line["kind"] == "epoch"]
    evals = [line for line in metrics if line["kind"] == "eval"]
    speed = [line["clips_per_second"] for line in timings]
    waits = [line["data_wait"] for line in timings]
    return Outcome(
        str(ready.folder.path),
        loop.epoch,
        loop.step,
        epochs[-1]["loss"] if epochs else None,
        loop.best,
        seconds,
        sum(speed) / len(speed) if speed else 0.0,
        sum(waits) / len(waits) if waits else 0.0,
        bad_files(ready),
        evals[-1] if evals else {},
    )


class EpochLines:
    """One line an epoch on the console, and the hints that its figures call for."""

    def __init__(self, console: Console, epochs: int, began: float) -> None:
        self.console = console
        self.epochs = epochs
        self.began = began
        self.first = 0
        self.hinted = False

    def __call__(self, line: dict[str, Any]) -> None:
        if "warning" in line:
            self.console.warn(line["warning"])
            return
        done = line["epoch"] - self.first
        elapsed = time.perf_counter() - self.began
        left = elapsed / max(done, 1) * (self.epochs - line["epoch"])
        if done == 1:
            self.console.say(f"estimate: about {duration(elapsed + left)} for {self.epochs} epochs")
        parts = [f"epoch {line['epoch']}/{self.epochs}"]
        loss = line["loss"]
        parts.append("loss " + (f"{loss:.4f}" if loss is not None else "none: no clip was read"))
        if "top1" in line:
            parts.append(f"val top-1 {percent(line['top1'])}")
        elif "held_out" in line:
            parts.append(f"held-out {line['held_out']:.3f} of {line['constant']:.2f}")
        parts.append(f"{line['clips_per_second']:.1f} clips/s")
        parts.append(f"data wait {100 * line['data_wait']:.0f} %")
        parts.append(f"ETA {duration(left)}")
        if line["skipped"]:
            parts.append(f"{line['skipped']} steps skipped (not finite)")
        if line["unread"]:
            parts.append(f"{line['unread']} clips unread")
        self.console.say("  ".join(parts))
        if line["data_wait"] > 0.3 and not self.hinted:
            self.hinted = True
            self.console.warn(
                "the loader is what takes the time: try --cache DIR or more --workers"
            )


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
        size = min(max(ready.batch // recipe.accumulate, 2), 16)

        def validate_model(epoch: int) -> dict[str, Any]:
            found = evaluating.held_out(ready.model, loader, ready.place, batch=size)
            return {
                "held_out": found.loss,
                "constant": found.constant,
                "other_clip": found.other_clip,
                "clips": found.clips,
            }

    result = train_model(ready, settings, console, validate_model, lambda found: -found["held_out"])
    finish(ready, result, console)
    if result.validation:
        figures = result.validation
        verdict = evaluating.HeldOut(
            figures["clips"], figures["held_out"], figures["constant"], figures["other_clip"]
        ).told()
        console.title(verdict)
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
            figures: dict[str, Any] = {"loss": found.loss, "missing": found.missing}
            tops = []
            for column, names in index.classes.items():
                figure = accuracy(found.probabilities[column], found.labels[column], names)
                figures[column] = {"top1": figure.top1, "clips": figure.clips}
                tops.append(figure.top1)
            return {**figures, "top1": sum(tops) / len(tops)}

    def score(found: dict[str, Any]) -> float:
        return found["top1"] - 1e-3 * min(found["loss"], 100.0)  # ties go to the lower loss

    result = train_model(ready, settings, console, validate_model, score)
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


def finish(ready: Prepared, result: Outcome, console: Console) -> None:
    """The curves, and where things are."""
    from everest.report.curves import draw_curves

    folder = ready.folder
    draw_curves(folder.metrics(), folder.path / "curves.png", folder.path.name)
    if result.bad:
        console.warn(f"{len(result.bad)} files could not be read (data.json lists them):")
        for entry in result.bad[:5]:
            console.warn(f"  {entry['reason']}")
    console.title(
        f"done: {result.epochs} epochs, {result.steps} steps, {duration(result.seconds)}, "
        f"{result.clips_per_second:.1f} clips/s, data wait {100 * result.data_wait:.0f} %"
    )
    console.say(f"weights in {folder.path / 'weights'}, curves in {folder.path / 'curves.png'}")


def next_commands(console: Console, commands: list[str]) -> None:
    console.say("next:")
    for command in commands:
        console.say(f"  {command}")
