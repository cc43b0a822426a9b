"""This file decides `everest pretrain`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from everest.options import parse, print_json
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
    out: Path
    """The run folder (also -o)."""
    fields: Annotated[PretrainRecipe, tyro.conf.arg(name="")]
    recipe: str = "auto"
    """A named recipe, a recipe.json, or auto; every other option changes a field of it."""
    init: str | None = None
    """Weights to start from: a run folder or a file."""
    resume: bool = False
    """Go on with the run in --out, exactly."""
    overwrite: bool = False
    """Replace the run in --out."""
    stop_after: int | None = None
    """Stop after so many epochs; the schedule stays that of --epochs."""
    json: bool = False
    """Print one JSON document on stdout, all else on stderr."""
    quiet: bool = False


def run(words: list[str]) -> int:
    options = read(words, PretrainRecipe())
    from everest.console import Console
    from everest.jobs import Ask, pretrain_job

    ask = Ask(
        options.videos,
        options.out,
        options.recipe,
        options.init,
        options.resume,
        options.overwrite,
        options.stop_after,
        ["everest", "pretrain", *words],
    )
    console = Console(quiet=options.quiet, to_stderr=options.json)

    def resolve(recipe: PretrainRecipe) -> PretrainRecipe:
        return read(words, recipe).fields

    outcome = pretrain_job(ask, resolve, console)
    if options.json:
        print_json(asdict(outcome))
    return 0


def read(words: list[str], recipe: PretrainRecipe) -> Options:
    return parse(
        Options,
        words,
        "pretrain",
        default=Options(videos=tyro.MISSING, out=tyro.MISSING, fields=recipe),
        examples=EXAMPLES,
    )
