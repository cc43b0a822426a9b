"""This file decides how a pre-training is probed as it goes on: frozen features of labelled clips,
read through the model's own forward with nothing hidden, and small classifiers on them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from everest import build, data
from everest.console import Console
from everest.entries import SourceError, counted, shown
from everest.index import Row, read_index
from everest.judging import Probing
from everest.loading import Loader
from everest.masked import MaskedVideoAutoencoder
from everest.metrics import number_or_none
from everest.preparing import Prepared, grid_of
from everest.probes import Probe
from everest.probes.asking import ProbeError, column_figures, question_of, refuse_kinds, usable_rows
from everest.probes.features import read_features
from everest.probes.linear import Linear
from everest.probes.nearest import Nearest
from everest.recipe import PretrainRecipe

SPLIT = 0.8  # of each class to learn from, where the source has no split
BATCH = 8  # clips read at once


@dataclass(frozen=True)
class Labelled:
    """Labelled clips of one column."""

    rows: tuple[Row, ...]  # of train, and of the part that is measured on
    column: str
    names: tuple[str, ...]
    asked: str  # val or test


@dataclass(frozen=True)
class Watch:
    """The clips to look at, and how often."""

    ready: Prepared
    labelled: Labelled
    loader: Loader
    every: int  # epochs

    def probing(self) -> Probing:
        return Probing(self, self.every, score)

    def __call__(self, epoch: int) -> dict[str, Any]:
        """The shares that a linear and a nearest-neighbour probe name rightly."""
        model, config, clips = self.ready.model, self.ready.config, self.labelled
        assert isinstance(model, MaskedVideoAutoencoder)
        with nothing_hidden(model, self.ready):
            features = read_features(
                model, self.loader, self.ready.place, grid_of(config), pool="steps", batch=BATCH
            )
        found: dict[str, Any] = {"clips": 0, "missing": features.missing}
        try:
            question = question_of(clips.rows, features, clips.column, clips.names, True)
        except ValueError:  # too few could be read: nothing is known, and training goes on
            return found
        if not np.isfinite(features.vectors).all():
            return found
        probes: list[Probe] = [Linear(features.vectors), Nearest(features.vectors)]
        figures = column_figures(probes, question, clips.names, self.ready.recipe.seed)
        (part,) = question.asked
        found |= {
            "clips": figures.clips[part],
            "learnt_from": figures.clips["train"],
            "chance": figures.chance,
            "majority": figures.majority[part],
        }
        for probe in figures.probes:
            found[probe.name] = number_or_none(probe.parts[part].top1)
        return found

    def close(self) -> None:
        self.loader.close()


def score(found: dict[str, Any]) -> float:
    """The linear probe's share; ties go to the nearest neighbours'."""
    if found.get("linear") is None:
        return float("nan")
    return found["linear"] + 1e-3 * (found["knn"] or 0.0)


@contextmanager
def nothing_hidden(model: MaskedVideoAutoencoder, ready: Prepared) -> Iterator[None]:
    """The model reads what its selector keeps and hides none of it, as `everest probe` has it."""
    select = model.select
    model.select = build.reading_selector(ready.config, build.default_keep(ready.config))
    try:
        yield
    finally:
        model.select = select


def labelled_clips(recipe: PretrainRecipe) -> Labelled | None:
    """What `--probe-data` names, None where it names nothing; raises ProbeError.

    Probes learn from its train part and are measured on val, on test where there is no val: what a
    later evaluation rests on is kept away where it can be.
    """
    if recipe.probe_data is None:
        return None
    try:
        index = read_index(
            [recipe.probe_data],
            label=[recipe.probe_label] if recipe.probe_label else (),
            split=SPLIT,
            labelled=True,
            allow_unseen=True,
        )
        refuse_kinds(index)
        rows = usable_rows(index)
    except (SourceError, ProbeError) as error:
        raise ProbeError(f"--probe-data {error}") from error
    asked = "val" if any(row.split == "val" for row in rows) else "test"
    column, names = next(iter(index.classes.items()))
    return Labelled(
        tuple(
            replace(row, labels={column: row.labels[column]})
            for row in rows
            if row.split in ("train", asked)
        ),
        column,
        names,
        asked,
    )


def watch(ready: Prepared, labelled: Labelled, eval_every: int, console: Console) -> Watch:
    recipe = ready.recipe
    assert isinstance(recipe, PretrainRecipe)
    loader = Loader(labelled.rows, data.still_sampling(ready.config), ready.train.workers)
    every = eval_every if recipe.probe_every == "auto" else recipe.probe_every
    asked = [row for row in labelled.rows if row.split == labelled.asked]
    console.say(
        f"frozen features are probed every {'epoch' if every == 1 else f'{every} epochs'} for "
        f"'{shown(labelled.column)}': {counted(len(labelled.rows) - len(asked), 'clip')} to learn "
        f"from, {len(asked)} of {labelled.asked} to name"
    )
    learnt = {row.path for row in ready.train.rows}
    common = sum(row.path in learnt for row in asked)
    if common:
        console.say(f"{common} of those to name are also pre-trained on, without their labels")
    return Watch(ready, labelled, loader, every)
