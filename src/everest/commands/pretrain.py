"""This file decides `everest pretrain`."""

from dataclasses import asdict, dataclass
from typing import Annotated

import tyro

from everest.frame_folders import RATE
from everest.options import RunOptions, parse, print_json
from everest.recipe import PretrainRecipe

SUMMARY = "learn from videos without labels"
EXAMPLES = (
    "everest pretrain my_videos/ --out runs/a",
    "everest pretrain clips.csv more/ --out runs/a --model vit-s --epochs 200 --keep 0.3",
    "everest pretrain my_videos/ --out runs/a --resume",
)


@dataclass(frozen=True)
class Options:
    """Learn from videos without labels: hide tokens, predict them."""

    videos: tyro.conf.Positional[tuple[str, ...]]
    """Folders, .csv, .tsv or .txt lists, patterns, files."""
    run: Annotated[RunOptions, tyro.conf.arg(name="")]
    fields: Annotated[PretrainRecipe, tyro.conf.arg(name="")]
    fold: int | None = None
    """The official split of a set that has several (ucf101:, hmdb51:), counted from 1."""
    frame_rate: float = RATE
    """Frames a second of folders of frames, where no column fps of a list says it."""


def run(words: list[str]) -> int:
    options = read(words, PretrainRecipe())
    from everest.console import Console
    from everest.jobs import Ask, pretrain_job, seeded
    from everest.outcome import Outcome

    command = ["everest", "pretrain", *words]
    ask = Ask(options.videos, options.run, command, options.fold, options.frame_rate)
    console = Console(quiet=options.run.quiet, to_stderr=options.run.json)

    def resolve(recipe: PretrainRecipe) -> PretrainRecipe:
        return read(words, recipe).fields

    if options.run.seeds is not None:
        from everest.repeating import repeat

        def train(ask: Ask, number: int) -> Outcome:
            return pretrain_job(ask, seeded(resolve, number), console)

        document = repeat(ask, train, None, console)
        if options.run.json:
            print_json(document)
        return 0
    outcome = pretrain_job(ask, resolve, console)
    if options.run.json:
        print_json(asdict(outcome))
    return 0


def read(words: list[str], recipe: PretrainRecipe) -> Options:
    return parse(
        Options,
        words,
        "pretrain",
        default=Options(videos=tyro.MISSING, run=RunOptions(tyro.MISSING), fields=recipe),
        examples=EXAMPLES,
    )
