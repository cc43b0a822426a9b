"""This file decides `everest predict`."""

import csv
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from everest.options import check_place, parse, print_json

if TYPE_CHECKING:
    from everest.run import Guess, Run

SUMMARY = "name what is in a file or folder"
EXAMPLES = (
    "everest predict runs/b video.mp4",
    "everest predict runs/b folder/ --csv predictions.csv",
    "everest predict runs/b long.mp4 --window 2s --hop 1s --annotate told.mp4",
    "cat video.mp4 | everest predict runs/b -",
)
BLOCK = 1 << 20  # bytes


@dataclass(frozen=True)
class Options:
    """Name what is in a file, a folder or standard input (-)."""

    run: tyro.conf.Positional[str]
    """A run folder, an export or a weights file of a classifier."""
    videos: tyro.conf.Positional[tuple[str, ...]]
    """Files, folders, lists, or -."""
    window: str | None = None
    """Length of a window, such as 2s; whole files where not given."""
    hop: str | None = None
    """From one window to the next, such as 1s."""
    top: int = 3
    """Labels told of each."""
    csv: Path | None = None
    """Also write path,start,end,column,label,p here."""
    annotate: Path | None = None
    """Also write the video with its labels in the picture here (.mp4; one file)."""
    keep: int | float | None = None
    """Share or count of tokens read; the model's own where not given."""
    workers: int = 0
    """Processes that read videos."""
    device: str = "auto"
    json: bool = False
    """Print one JSON document on stdout, all else on stderr."""


def run(words: list[str]) -> int:
    options = parse(Options, words, "predict", examples=EXAMPLES)
    from everest.console import Console
    from everest.run import load

    if options.annotate is not None:
        if options.annotate.suffix.lower() != ".mp4":
            raise ValueError(f"--annotate {options.annotate}: give a file that ends in .mp4")
        check_place(options.annotate, "--annotate")
    if options.csv is not None:
        check_place(options.csv, "--csv")
    run = load(options.run, device=options.device)
    run.tell(Console(to_stderr=True))
    run.keep(options.keep)
    with in_files(options.videos) as (videos, names):
        return predict(run, videos, names, options)


@contextmanager
def in_files(videos: tuple[str, ...]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """(the sources, other names of files); what comes from standard input is a file for a while."""
    if "-" not in videos:
        yield list(videos), {}
        return
    descriptor, path = tempfile.mkstemp(prefix="standard-input-", suffix=".mp4")
    try:
        with os.fdopen(descriptor, "wb") as file:
            while block := sys.stdin.buffer.read(BLOCK):
                file.write(block)
        yield [path if video == "-" else video for video in videos], {path: "-"}
    finally:
        os.unlink(path)


def predict(run: "Run", videos: list[str], names: dict[str, str], options: Options) -> int:
    from everest.console import Console, percent
    from everest.entries import shown

    console = Console(to_stderr=options.json)
    found, bad = run.guesses(
        videos, window=options.window, hop=options.hop, workers=options.workers
    )
    guesses = [guess._replace(path=names.get(guess.path, guess.path)) for guess in found]
    for entry in bad:
        name = names.get(entry["path"], entry["path"])
        console.warn(f"{shown(name)}: {shown(entry['reason'])}")
    if not guesses:
        raise ValueError("no video could be read: nothing to predict")
    if not options.json:
        for guess in guesses:
            span = f" {guess.start:.1f}-{guess.end:.1f} s" if options.window else ""
            for column, labels in guess.labels.items():
                told = ", ".join(f"{label} {percent(p)}" for label, p in labels[: options.top])
                name = f" {column}:" if len(guess.labels) > 1 else ":"
                console.say(f"{shown(guess.path)}{span}{name} {told}")
    if options.csv is not None:
        write_csv(guesses, options.csv)
    if options.annotate is not None:
        from everest.report.annotate import annotate

        paths = {guess.path for guess in guesses}
        if len(paths) != 1:
            raise ValueError(f"--annotate: one video at a time; these are {len(paths)}")
        annotate(found, options.annotate)
        console.say(f"{options.annotate}: the video with its labels")
    if options.json:
        print_json([entry for guess in guesses for entry in documents(guess, options.top)])
    return 0


def documents(guess: "Guess", top: int) -> list[dict[str, Any]]:
    several = len(guess.labels) > 1
    return [
        {
            "path": guess.path,
            "start": guess.start,
            "end": guess.end,
            **({"column": column} if several else {}),
            "labels": [{"label": label, "p": p} for label, p in labels[:top]],
        }
        for column, labels in guess.labels.items()
    ]


def write_csv(guesses: "list[Guess]", path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "start", "end", "column", "label", "p"])
        for guess in guesses:
            for column, labels in guess.labels.items():
                label, p = labels[0]
                writer.writerow([guess.path, guess.start, guess.end, column, label, f"{p:.6f}"])
