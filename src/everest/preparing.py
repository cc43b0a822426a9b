"""This file decides when a run may begin: all that can be refused is refused here, before the run
folder is touched and before a video is decoded."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from everest import build, data, machine, measuring
from everest.balancing import told_of_balance
from everest.build import Model
from everest.choosing import FEW_CLIPS, fitting_batch
from everest.classify import VideoClassifier
from everest.config import ModelConfig
from everest.configuring import configure
from everest.console import Console
from everest.entries import shown
from everest.folder import FolderError, RunFolder
from everest.index import Index, Row
from everest.kinds import scales_of
from everest.loading import Loader
from everest.moving_average import told_average
from everest.names import teacher_option
from everest.recipe import (
    FREE_ON_RESUME,
    TOLD,
    FinetuneRecipe,
    PretrainRecipe,
    Recipe,
    RecipeError,
    flag,
)
from everest.starting import Weights, like_start, start_from
from everest.teachers import Teacher, load_teachers
from everest.validating import validate
from everest.version import __version__


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


@dataclass
class Prepared:
    """A run that is ready to train."""

    recipe: Recipe
    config: ModelConfig
    folder: RunFolder
    place: machine.Machine
    model: Model
    train: Loader
    held: Loader | None
    batch: int
    parts: int  # that a step's batch is computed in
    steps_per_epoch: int
    teachers: dict[str, Teacher] = field(default_factory=dict)  # by the name of their target


def prepare(
    index: Index,
    rows: tuple[Sequence[Row], Sequence[Row]],
    recipe: Recipe,
    settings: Settings,
    start: Weights | None,
    console: Console,
) -> Prepared:
    """Checks all that can be checked before the first step; refuses with one sentence."""
    validate(recipe)
    folder = RunFolder(settings.out)
    folder.check(resume=settings.resume, overwrite=settings.overwrite)
    refuse_other_recipe(folder, recipe, settings)
    refuse_other_videos(folder, rows[0], settings)
    teachers = load_teachers(recipe) if isinstance(recipe, PretrainRecipe) else {}
    refuse_other_teachers(folder, teachers, settings)
    dims = {name: teacher.model.width for name, teacher in teachers.items()}
    config = configure(recipe, index.classes, dims)
    if isinstance(recipe, FinetuneRecipe):
        learnt = [row.labels for row in rows[0] if not row.bad]
        config = replace(config, kinds=index.kinds, scales=scales_of(learnt, index.kinds))
    config = like_start(config, start, settings.out if settings.resume else None)
    torch.manual_seed(recipe.seed)
    model = build.build(config, {name: teacher.model for name, teacher in teachers.items()})
    place = machine.choose(recipe.device, recipe.precision)
    machine.keep_freed_memory()
    training_rows, held_rows = rows
    warnings = data.short_clips(training_rows, recipe, build.candidate_frames(config))
    warnings += data.lost_trajectories([*training_rows, *held_rows], recipe)
    warnings += told_mirror(index, recipe)
    if isinstance(recipe, FinetuneRecipe) and isinstance(model, VideoClassifier):
        build.start_classifier(model, recipe)
    started = start_from(start, model, config.kind) if start is not None else []
    if isinstance(recipe, FinetuneRecipe) and recipe.freeze:
        freeze_reader(model)
        started.append("the encoder is frozen: the head alone is trained")
    place.place(model)
    for teacher in teachers.values():
        place.freeze(teacher.model)
    workers = machine.reading_processes(recipe.workers, place.device)
    train = data.loader_of(training_rows, recipe, config, workers)
    held = None
    if held_rows:
        held = data.loader_of(held_rows, recipe, config, workers, once=True)
    batch, parts = batch_of(recipe, len(train), config, model, place)
    if batch > len(train):
        raise RecipeError(
            f"--batch-size {batch}: the training set has {len(train)} clips; "
            f"give {len(train)} or fewer"
        )
    warnings += told_average(recipe.ema, recipe.epochs * (len(train) // batch))
    if train.balance is not None:
        names = config.classes[train.balance]
        started.append(told_of_balance(train.labels_of(train.balance), train.balance, names))
    folder.prepare(resume=settings.resume, overwrite=settings.overwrite)
    console.log = folder.path / "log.txt"
    steps = len(train) // batch
    ready = Prepared(
        recipe, config, folder, place, model, train, held, batch, parts, steps, teachers
    )
    introduce(ready, index, settings, console)
    for sentence in warnings:
        console.warn(sentence)
    for name, taught in teachers.items():
        console.say(f"{name} are those of {shown(taught.told())}")
    for sentence in started:
        console.say(sentence)
    if start is None and isinstance(recipe, FinetuneRecipe) and len(training_rows) < FEW_CLIPS:
        console.say("from scratch; with few labels --init RUN often helps")
    return ready


def told_mirror(index: Index, recipe: Recipe) -> list[str]:
    """What to say of a recipe that mirrors clips where left and right are part of the classes."""
    sets = [part.name for part in index.sets if not part.mirrored]
    if not sets or not recipe.flip or not isinstance(recipe, FinetuneRecipe):
        return []
    return [
        f"--flip {recipe.flip:g} mirrors clips, which makes their labels wrong: left and right are "
        f"part of the classes of {', '.join(sets)}; give --flip 0"
    ]


def freeze_reader(model: Model) -> None:
    assert isinstance(model, VideoClassifier) and isinstance(model.reader, torch.nn.Module)
    model.reader.requires_grad_(False)


def introduce(ready: Prepared, index: Index, settings: Settings, console: Console) -> None:
    """Versions and machine, the data with its bad files, what was chosen and why."""
    recipe = ready.recipe
    console.say(f"everest {__version__}, torch {torch.__version__}, {ready.place.told()}")
    for sentence in index.reading:
        console.say(sentence)
    rows = [*ready.train.rows, *(ready.held.rows if ready.held else ())]
    bad = [row for row in rows if row.bad]
    if bad:
        console.warn(f"{len(bad)} files cannot be read; they are passed over:")
        for row in bad[:5]:
            console.warn(f"  {shown(row.path)}: {shown(row.bad or '')}")
    if settings.named:
        rate = f"{recipe.fps:g} fps" if recipe.fps else f"stride {recipe.stride:g}"
        console.say(
            f"recipe {settings.named} ({settings.why}): model {recipe.model}, "
            f"{recipe.frames} frames at {rate}, {recipe.sides[0]}x{recipe.sides[1]} pixels"
        )
    grid = grid_of(ready.config)
    sees = "reads whole clips"
    if ready.model.select is not None:
        visible, masked = ready.model.select.counts(grid)
        sees = f"reads {visible} of {grid[0] * grid[1] * grid[2]} tokens"
        sees += f" and predicts {masked}" if masked else ""
    parts = f" in {ready.parts} parts" if ready.parts > 1 else ""
    held = len(ready.held.rows) if ready.held else 0
    console.say(
        f"{len(ready.train.rows)} videos to learn from, {held} held out; {ready.batch} clips a "
        f"step{parts}, {ready.steps_per_epoch} steps an epoch; {sees}"
    )


def grid_of(config: ModelConfig) -> tuple[int, int, int]:
    height, width = config.clip.size
    vit = config.vit
    return config.clip.frames // vit.tubelet, height // vit.patch, width // vit.patch


def batch_of(
    recipe: Recipe, clips: int, config: ModelConfig, model: Model, place: machine.Machine
) -> tuple[int, int]:
    """(clips a step, parts it is computed in): as asked, or with `auto` what the set and the free
    memory allow."""
    if recipe.batch_size != "auto":
        return recipe.batch_size, recipe.accumulate
    batch = fitting_batch(clips)
    frames = build.candidate_frames(config)
    one = measuring.blank_clips(
        1, config.vit.channels, frames, config.clip.size, data.blank_extra(recipe, config)
    )
    fits = measuring.fitting_clips(model.train(), one, place)
    if isinstance(recipe, FinetuneRecipe):
        fits = max(fits // recipe.repeats, 1)
    if isinstance(recipe, FinetuneRecipe) and recipe.head_norm == "batch":
        return min(batch, fits), 1  # its statistics are those of a whole batch
    parts = 1
    while batch // parts > fits and parts < batch:
        parts *= 2
    return batch, parts


def refuse_other_recipe(folder: RunFolder, recipe: Recipe, settings: Settings) -> None:
    """A resumed run keeps its recipe; raises FolderError naming what differs."""
    if not settings.resume or not (folder.path / "recipe.json").exists():
        return
    # What an older version did not know of, it did as a recipe does by default.
    before = flat(type(recipe)().to_json()) | flat(folder.read_json("recipe.json"))
    now = flat(recipe.to_json())
    differing = [
        f"{flag(name)} was {before.get(name)} and is {now.get(name)}"
        for name in sorted(set(before) | set(now))
        if name not in (*FREE_ON_RESUME, *TOLD) and before.get(name) != now.get(name)
    ]
    if differing:
        raise FolderError(
            f"--resume {folder.path}: the recipe differs ({'; '.join(differing)}); only "
            f"{', '.join(flag(name) for name in sorted(FREE_ON_RESUME))} may; use another --out"
        )


def refuse_other_teachers(
    folder: RunFolder, teachers: Mapping[str, Teacher], settings: Settings
) -> None:
    """A resumed run keeps its teachers, wherever their files are now; raises FolderError."""
    if not settings.resume or not (folder.path / "recipe.json").exists():
        return
    before = folder.read_json("recipe.json").get("teachers", {})
    for name, teacher in teachers.items():
        if name in before and before[name]["sha256"] != teacher.digest:
            raise FolderError(
                f"--resume {folder.path}: {teacher_option(name)} {teacher.source} holds other "
                f"weights than the run was begun with ({before[name]['source']}); give those"
            )


def refuse_other_videos(folder: RunFolder, rows: Sequence[Row], settings: Settings) -> None:
    """A resumed run keeps its clips, which may lie in another folder by now; raises FolderError."""
    if not settings.resume or not (folder.path / "data.json").exists():
        return
    before = [
        (Path(entry["path"]).name, entry["start"], entry["end"], entry["labels"])
        for entry in folder.read_json("data.json")["train"]
    ]
    now = [(Path(row.path).name, row.start, row.end, as_json(row.labels)) for row in rows]
    if before != now:
        pairs = zip(before, now, strict=False)
        old, new = next((pair for pair in pairs if pair[0] != pair[1]), (("the end",), ("more",)))
        raise FolderError(
            f"--resume {folder.path}: it learns from {len(before)} videos and these are {len(now)} "
            f"(the first that differs was {old[0]} and is {new[0]}); give the same videos, or "
            f"another --out"
        )


def flat(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe's fields by the names of their options; JSON turns tuples into lists."""
    own = {name: value for name, value in recipe.items() if name != "optim"}
    nested = {f"optim.{name}": value for name, value in recipe.get("optim", {}).items()}
    return as_json(own | nested)


def as_json(content: Any) -> Any:
    """The content as it comes back from a JSON file."""
    return json.loads(json.dumps(content))
