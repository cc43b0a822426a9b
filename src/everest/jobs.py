"""This file decides how a job is put together from what a person said: sources, start, recipe."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from everest import data
from everest.choosing import choose_recipe
from everest.console import Console
from everest.folder import RunFolder
from everest.frame_folders import RATE
from everest.index import Index, read_index
from everest.options import RunOptions
from everest.outcome import Outcome
from everest.preparing import Settings
from everest.recipe import AnyRecipe, FinetuneRecipe, PretrainRecipe
from everest.starting import Weights, read_start
from everest.training import run_finetune, run_pretrain


@dataclass(frozen=True)
class Ask:
    """What a person said beside the recipe's fields."""

    sources: Sequence[str]
    options: RunOptions
    command: list[str] = field(default_factory=list)
    fold: int | None = None  # official split of a set, for pre-training; Labels has fine-tuning's
    frame_rate: float = RATE  # of folders of frames, frames a second; likewise


@dataclass(frozen=True)
class Labels:
    """What a person said of labels and splits."""

    columns: tuple[str, ...] = ()
    group: str | None = None
    split: float | None = None
    per_class: int | None = None
    allow_unseen: bool = False
    fold: int | None = None  # official split of a set
    frame_rate: float = RATE  # of folders of frames, frames a second


def seeded(resolve: Callable[[AnyRecipe], AnyRecipe], number: int) -> Callable[..., AnyRecipe]:
    """The same choices with another seed: the recipe's own and `number`."""

    def resolved(recipe: AnyRecipe) -> AnyRecipe:
        chosen = resolve(recipe)
        return replace(chosen, seed=chosen.seed + number)

    return resolved


def settings_of(ask: Ask, named: str, why: str) -> Settings:
    o = ask.options
    return Settings(o.out, o.resume, o.overwrite, o.stop_after, named, why, list(ask.command))


def pretrain_job(
    ask: Ask,
    resolve: Callable[[PretrainRecipe], PretrainRecipe],
    console: Console,
) -> Outcome:
    """`resolve` lays the person's own fields over the recipe that is chosen here."""
    start = prepared_start(ask)
    listed = any(source.lower().endswith((".csv", ".tsv")) for source in ask.sources)
    # A list's split column is kept to: its test rows are never learnt from.
    index = read_index(
        ask.sources, labelled=None if listed else False, fold=ask.fold, frame_rate=ask.frame_rate
    )
    choice = choose_recipe(PretrainRecipe, ask.options.recipe, len(index.rows), start)
    settings = settings_of(ask, choice.named, choice.why)
    return run_pretrain(index, resolve(choice.recipe), settings, start=start, console=console)


def finetune_job(
    ask: Ask,
    labels: Labels,
    resolve: Callable[[FinetuneRecipe], FinetuneRecipe],
    console: Console,
) -> Outcome:
    start = prepared_start(ask)
    index = labelled_index(ask.sources, labels)
    choice = choose_recipe(FinetuneRecipe, ask.options.recipe, len(index.rows), start)
    recipe = resolve(choice.recipe)
    if labels.per_class is not None:
        index = data.fewer_labels(index, labels.per_class, recipe.seed)
    settings = settings_of(ask, choice.named, choice.why)
    return run_finetune(index, recipe, settings, start=start, console=console)


def labelled_index(sources: Sequence[str], labels: Labels) -> Index:
    """The clips of labelled sources, split as was asked; raises SourceError."""
    return read_index(
        sources,
        label=labels.columns,
        group=labels.group,
        split=labels.split,
        labelled=True,
        allow_unseen=labels.allow_unseen,
        fold=labels.fold,
        frame_rate=labels.frame_rate,
    )


def prepared_start(ask: Ask) -> Weights | None:
    """The weights to start from; a folder that cannot be written is refused before that."""
    RunFolder(ask.options.out).check(resume=ask.options.resume, overwrite=ask.options.overwrite)
    init, options = ask.options.init, ask.options
    if init is None or init == "none":
        return None
    return read_start(init, options.family, options.allow_missing)
