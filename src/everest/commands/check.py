"""This file decides `everest check`: what it decodes, and how it sums the videos up."""

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from everest.findings import Findings, document, show
from everest.frame_folders import RATE
from everest.options import parse

if TYPE_CHECKING:
    from everest.console import Console
    from everest.index import Index

SUMMARY = "read all videos once: what is there, what is broken"
EXAMPLES = (
    "everest check my_videos/",
    "everest check labels.csv --label digit,command",
    "everest check 'clips/**/*.mp4' more_clips/ --strict --json > report.json",
    "everest check ucf101:data/ucf101 --fold 1",
)


@dataclass(frozen=True)
class Options:
    """Decode every video once: what is there, what is broken. Later commands start at once."""

    videos: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="VIDEOS...")]
    """Folders, .csv, .tsv or .txt lists, patterns in quotes, files."""
    strict: bool = False
    """Exit with 1 if any file is bad."""
    json: bool = False
    """Print one JSON document on stdout, all else on stderr."""
    workers: int | Literal["auto"] = "auto"
    """Processes that decode; auto takes one a core, at most 4."""
    label: str = ""
    """Label columns of a CSV, separated by commas."""
    group: str | None = None
    """The column that names what a split must not tear apart: a person, a source video."""
    fold: int | None = None
    """The official split of a set that has several (ucf101:, hmdb51:), counted from 1."""
    frame_rate: float = RATE
    """Frames a second of folders of frames, where no column fps of a list says it."""
    again: bool = False
    """Decode files again that were found unchanged since an earlier check."""


def run(arguments: list[str]) -> int:
    from everest.console import Console
    from everest.index import SourceError, read_index

    options = parse(Options, arguments, "check", examples=EXAMPLES)
    columns = [name.strip() for name in options.label.split(",") if name.strip()]
    console = Console(to_stderr=options.json)
    index = read_index(
        options.videos,
        label=columns,
        group=options.group,
        labelled=None,
        probe=False,
        fold=options.fold,
        frame_rate=options.frame_rate,
    )
    for sentence in index.reading:
        console.say(sentence)
    findings = _decode(index, options, console)
    show(index, findings, console)
    if options.json:
        # Names that are not UTF-8 pass as escapes only.
        sys.stdout.write(json.dumps(document(index, findings), indent=1) + "\n")
    if not findings.good:
        reasons = list(findings.bad.items())[:3]
        told = "".join(f"\n  {path}: {reason}" for path, reason in reasons)
        files = len(findings.bad)
        what = f"none of the {files:,} files can be read" if files > 1 else "it cannot be read"
        raise SourceError(f"{what}; give videos that play:{told}")
    _print_next(index, options, console)
    return 1 if options.strict and findings.bad else 0


def _decode(index: "Index", options: Options, console: "Console") -> Findings:
    from everest.checking import look_at, progress_bar
    from everest.facts import at_rate

    listed = {row.path: row.bad for row in index.rows if row.bad is not None}
    paths = [row.path for row in index.rows if row.bad is None]
    try:
        with progress_bar("decoding") as progress:
            looked = look_at(
                paths,
                scan=True,
                workers=None if options.workers == "auto" else options.workers,
                again=options.again,
                progress=progress,
            )
    except KeyboardInterrupt:
        console.warn("stopped; what was decoded is remembered, the same command goes on from there")
        raise
    rates = {row.path: row.fps for row in index.rows if row.fps}  # of folders of frames
    good = {
        path: at_rate(facts, rates.get(path, facts.fps))
        for path, facts in looked.facts.items()
        if facts.bad is None
    }
    bad = {path: facts.bad for path, facts in looked.facts.items() if facts.bad is not None}
    bad = dict(sorted({**bad, **listed}.items()))
    return Findings(good, bad, looked.known, looked.trouble, looked.remembered)


def _print_next(index: "Index", options: Options, console: "Console") -> None:
    from shlex import join

    videos = join(options.videos) + ("" if options.fold is None else f" --fold {options.fold}")
    console.say(f"next: everest pretrain {videos} --out runs/a")
    if index.classes:
        label = f" --label {options.label}" if options.label else ""
        split = "" if any(row.split for row in index.rows) else " --split 0.8"
        console.say(f"      everest finetune {videos}{label}{split} --init runs/a --out runs/b")
