"""This file decides `everest finetune`."""

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from everest.frame_folders import RATE
from everest.options import RunOptions, parse, print_json
from everest.recipe import FinetuneRecipe

if TYPE_CHECKING:
    from everest.console import Console

SUMMARY = "train a classifier on labelled videos"
EXAMPLES = (
    "everest finetune labelled/ --split 0.8 --init runs/a --out runs/b",
    "everest finetune clips.csv --label action --init runs/a --out runs/b --epochs 50",
    "everest finetune clips.csv --label digit,tags:multi,score:number --out runs/b",
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
    """Label columns of a .csv, separated by commas: digit,tags:multi,score:number."""
    group: str | None = None
    """A column whose clips stay on one side of a split."""
    split: float | None = None
    """Share of each class to train on, where the source has no split."""
    fold: int | None = None
    """The official split of a set that has several (ucf101:, hmdb51:), counted from 1."""
    frame_rate: float = RATE
    """Frames a second of folders of frames, where no column fps of a list says it."""
    labels_per_class: int | None = None
    """Use only so many training clips of each class, drawn by the seed: what few labels give."""
    allow_unseen: bool = False
    """Go on although val has classes that train has not."""


def run(words: list[str]) -> int:
    options = read(words, FinetuneRecipe())
    from everest.console import Console
    from everest.jobs import Ask, Labels, finetune_job, seeded
    from everest.outcome import Outcome

    ask = Ask(options.data, options.run, ["everest", "finetune", *words])
    labels = Labels(
        tuple(options.label.split(",")) if options.label else (),
        options.group,
        options.split,
        options.labels_per_class,
        options.allow_unseen,
        options.fold,
        options.frame_rate,
    )
    console = Console(quiet=options.run.quiet, to_stderr=options.run.json)

    def resolve(recipe: FinetuneRecipe) -> FinetuneRecipe:
        return read(words, recipe).fields

    if options.run.seeds is not None:
        from everest.repeating import repeat

        def train(ask: Ask, number: int) -> Outcome:
            return finetune_job(ask, labels, seeded(resolve, number), console)

        document = repeat(ask, train, partial(evaluated, options, console), console)
        if options.run.json:
            print_json(document)
        return 0
    outcome = finetune_job(ask, labels, resolve, console)
    if options.run.json:
        print_json(asdict(outcome))
    return 0


def evaluated(options: Options, console: "Console", folder: Path) -> dict[str, Any]:
    """The evaluation of one of several seeds, as its folder holds it."""
    from everest.commands import evaluate

    asked = evaluate.Options(
        str(folder),
        options.data,
        label=options.label,
        group=options.group,
        split=options.split,
        fold=options.fold,
        frame_rate=options.frame_rate,
        device=options.fields.device,
    )
    evaluate.evaluate(asked, console)
    return json.loads((folder / "evaluation.json").read_text())


def read(words: list[str], recipe: FinetuneRecipe) -> Options:
    return parse(
        Options,
        words,
        "finetune",
        default=Options(data=tyro.MISSING, run=RunOptions(tyro.MISSING), fields=recipe),
        examples=EXAMPLES,
    )
