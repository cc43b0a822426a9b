"""This file decides `everest finetune`."""

from dataclasses import asdict, dataclass
from typing import Annotated

import tyro

from everest.options import RunOptions, parse, print_json
from everest.recipe import FinetuneRecipe

SUMMARY = "train a classifier on labelled videos"
EXAMPLES = (
    "everest finetune labelled/ --split 0.8 --init runs/a --out runs/b",
    "everest finetune clips.csv --label action --init runs/a --out runs/b --epochs 50",
    "everest finetune labelled/ --init none --out runs/scratch",
)


@dataclass(frozen=True)
class Options:
    """Train a classifier on labelled videos, from pre-trained weights or from scratch."""

    data: tyro.conf.Positional[tuple[str, ...]]
    """A folder per class, folder/{train,val,test}/class/, or a .csv with path,label[,split]."""
    run: Annotated[RunOptions, tyro.conf.arg(name="")]
    fields: Annotated[FinetuneRecipe, tyro.conf.arg(name="")]
    label: str | None = None
    """Label columns of a .csv, separated by commas."""
    group: str | None = None
    """A column whose clips stay on one side of a split."""
    split: float | None = None
    """Share of each class to train on, where the source has no split."""
    labels_per_class: int | None = None
    """Use only so many training clips of each class, drawn by the seed: what few labels give."""
    allow_unseen: bool = False
    """Go on although val has classes that train has not."""


def run(words: list[str]) -> int:
    options = read(words, FinetuneRecipe())
    from everest.console import Console
    from everest.jobs import Ask, Labels, finetune_job

    ask = Ask(options.data, options.run, ["everest", "finetune", *words])
    labels = Labels(
        tuple(options.label.split(",")) if options.label else (),
        options.group,
        options.split,
        options.labels_per_class,
        options.allow_unseen,
    )
    console = Console(quiet=options.run.quiet, to_stderr=options.run.json)

    def resolve(recipe: FinetuneRecipe) -> FinetuneRecipe:
        return read(words, recipe).fields

    outcome = finetune_job(ask, labels, resolve, console)
    if options.run.json:
        print_json(asdict(outcome))
    return 0


def read(words: list[str], recipe: FinetuneRecipe) -> Options:
    return parse(
        Options,
        words,
        "finetune",
        default=Options(data=tyro.MISSING, run=RunOptions(tyro.MISSING), fields=recipe),
        examples=EXAMPLES,
    )
