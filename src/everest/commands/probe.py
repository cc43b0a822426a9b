"""This file decides `everest probe`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from everest.frame_folders import RATE
from everest.options import parse, print_json

if TYPE_CHECKING:
    from everest.console import Console

SUMMARY = "how good a model's frozen features are: kNN and linear"
EXAMPLES = (
    "everest probe runs/a labelled/ --split 0.8",
    "everest probe videomae.pth clips.csv --label action --attentive",
)


@dataclass(frozen=True)
class Options:
    """Measure frozen features: small classifiers on them, the model itself is not trained."""

    run: tyro.conf.Positional[str]
    """A run folder, an export, a weights file or hf:ID."""
    data: tyro.conf.Positional[tuple[str, ...]]
    """A folder per class, folder/{train,val,test}/class/, or a .csv with path,label[,split]."""
    family: str | None = None
    """Whose weights file it is, where the file cannot tell."""
    allow_missing: bool = False
    """Go on with other people's weights that lack tensors, or have some that are not known."""
    out: Path | None = None
    """A folder for features.npz and probe.json (also -o)."""
    overwrite: bool = False
    """Replace these two files in --out."""
    pool: Literal["mean", "steps"] = "steps"
    """Mean over all tokens read, or of each time step, one after another: order in time stays."""
    keep: int | float | None = None
    """Share or count of tokens read; the model's own where not given."""
    views: int = 1
    """Clips spread over a video, averaged."""
    neighbours: int | None = None
    """Of kNN; chosen where not given."""
    attentive: bool = False
    """Also a probe that learns which tokens to look at."""
    epochs: int = 20
    """Of the attentive probe."""
    untrained: bool = False
    """Also probe the same model with its first weights: what training has to add to."""
    label: str | None = None
    """Label columns of a .csv, separated by commas: a probe each."""
    group: str | None = None
    """A column whose clips stay on one side of a split."""
    split: float | None = None
    """Share of each class to learn from, where the source has no split."""
    fold: int | None = None
    """The official split of a set that has several (ucf101:, hmdb51:), counted from 1."""
    frame_rate: float = RATE
    """Frames a second of folders of frames, where no column fps of a list says it."""
    labels_per_class: int | None = None
    """Use only so many training clips of each class, drawn by the seed."""
    allow_unseen: bool = False
    """Go on although val or test has classes that train has not."""
    seed: int = 0
    batch_size: int = 8
    """Clips read at once."""
    workers: int = 0
    """Processes that read videos."""
    device: str = "auto"
    json: bool = False
    """Print one JSON document on stdout, all else on stderr."""


def run(words: list[str]) -> int:
    options = parse(Options, words, "probe", examples=EXAMPLES)
    from everest.console import Console
    from everest.jobs import Labels
    from everest.probes.telling import tell
    from everest.probing import ProbeOptions, check_out, probe_model
    from everest.run import load

    check_out(options.out, overwrite=options.overwrite)
    console = Console(to_stderr=options.json)
    labels = Labels(
        tuple(options.label.split(",")) if options.label else (),
        options.group,
        options.split,
        options.labels_per_class,
        options.allow_unseen,
        options.fold,
        options.frame_rate,
    )
    how = ProbeOptions(
        options.pool,
        options.keep,
        options.views,
        options.neighbours,
        options.attentive,
        options.epochs,
        options.untrained,
        options.seed,
        options.workers,
        options.batch_size,
    )
    model = load(
        options.run,
        device=options.device,
        family=options.family,
        allow_missing=options.allow_missing,
    )
    model.tell(console)
    probed = probe_model(model, options.data, labels, how)
    tell(probed, console)
    if options.out is not None:
        probed.save(options.out)
        console.say(f"features and figures in {options.out}")
    tell_next(options, console)
    if options.json:
        document = probed.to_json()
        print_json(document | ({"out": str(options.out)} if options.out else {}))
    return 0


def tell_next(options: Options, console: "Console") -> None:
    from everest.telling import next_commands

    commands = [f"everest finetune DATA --init {options.run} --out runs/finetuned"]
    more = [
        flag
        for flag, given in (("--attentive", options.attentive), ("--untrained", options.untrained))
        if not given
    ]
    commands[:0] = [f"everest probe {options.run} DATA {flag}" for flag in more]
    next_commands(console, commands)
