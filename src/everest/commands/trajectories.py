"""This file decides `everest trajectories`."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from everest.options import parse, print_json

if TYPE_CHECKING:
    from everest.console import Console
    from everest.trajectories.folder import Outcome

SUMMARY = "how points move in each video, for --method mme"
EXAMPLES = (
    "everest trajectories my_videos/ --out motion",
    "everest pretrain my_videos/ --method mme --trajectories motion --out runs/a",
)
SHOWN = 12  # bad files on the console; --json has all
SECONDS = 30.0  # from one line of progress to the next, where no bar can be drawn


@dataclass(frozen=True)
class Options:
    """Follow points through every video; what is finished is not computed again."""

    videos: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="VIDEOS...")]
    """Folders, .csv, .tsv or .txt lists, patterns in quotes, files."""
    out: Path
    """The folder to write to (also -o): a file a video."""
    workers: int | Literal["auto"] = "auto"
    """Processes, a video each; auto takes one a core."""
    short_side: int = 240
    """Pixels that the shorter side is scaled to before points are followed."""
    compensate: bool = True
    """Take the camera's motion away."""
    json: bool = False
    """Print one JSON document on stdout, all else on stderr."""


def run(words: list[str]) -> int:
    options = parse(Options, words, "trajectories", examples=EXAMPLES)
    from everest.checking import progress_bar
    from everest.console import Console
    from everest.index import read_index
    from everest.trajectories.files import Settings
    from everest.trajectories.flow import require_opencv
    from everest.trajectories.folder import compute, open_folder, processes

    require_opencv()
    settings = Settings(options.short_side, options.compensate)
    count = processes(options.workers)
    console = Console(to_stderr=options.json)
    index = read_index(options.videos, labelled=None, probe=False)
    for sentence in index.reading:
        console.say(sentence)
    bad = {row.path: row.bad for row in index.rows if row.bad is not None}
    paths = dict.fromkeys(row.path for row in index.rows if row.bad is None)
    open_folder(options.out, settings)
    began = time.perf_counter()
    try:
        with progress_bar("following points") as bar:
            tell = bar if sys.stderr.isatty() else every_so_often(console)
            found = compute(list(paths), options.out, settings, workers=count, progress=tell)
    except KeyboardInterrupt:
        console.warn("stopped; what is finished is kept, the same command goes on from there")
        raise
    bad.update(found.bad)
    print_outcome(options, found, bad, time.perf_counter() - began, console)
    if options.json:
        print_json(document(options, found, bad, time.perf_counter() - began))
    return 0 if found.done or found.before else 1


def every_so_often(console: "Console") -> Callable[[int, int], None]:
    """Where there is no terminal to draw a bar on: a line at most every SECONDS."""
    told = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told >= SECONDS:
            told = time.monotonic()
            console.say(f"{done:,} of {total:,} videos")

    return tell


def print_outcome(
    options: Options, found: "Outcome", bad: dict[str, str], seconds: float, console: "Console"
) -> None:
    from everest.console import duration
    from everest.entries import counted, shown

    for path, reason in list(bad.items())[:SHOWN]:
        console.warn(f"{shown(path)}: {shown(reason)}")
    if len(bad) > SHOWN:
        console.warn(f"and {len(bad) - SHOWN:,} more: --json lists all")
    told = f"{shown(str(options.out))}: {counted(found.done, 'video')} computed"
    if found.before:
        told += f", {found.before:,} finished before"
    console.say(f"{told}; {counted(len(bad), 'file')} bad")
    if found.done:
        console.say(
            f"{duration(found.seconds)} of video ({counted(found.frames, 'frame')}) in "
            f"{duration(seconds)}; {found.bytes / 2**20:.1f} MiB written"
        )
    if found.done or found.before:
        from shlex import join

        console.say(
            f"next: everest pretrain {join(options.videos)} --method mme --trajectories "
            f"{options.out} --out runs/a"
        )


def document(
    options: Options, found: "Outcome", bad: dict[str, str], seconds: float
) -> dict[str, Any]:
    """What --json prints."""
    return {
        "out": str(options.out),
        "found": found.done + found.before + len(bad),
        "done": found.done,
        "before": found.before,
        "bad": [{"path": path, "reason": reason} for path, reason in bad.items()],
        "frames": found.frames,
        "video_seconds": found.seconds,
        "bytes": found.bytes,
        "seconds": seconds,
    }
