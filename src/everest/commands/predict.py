"""This file decides `everest predict`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from everest.frame_folders import RATE
from everest.options import check_place, parse

if TYPE_CHECKING:
    from everest.guesses.reporting import Report
    from everest.run import Run

SUMMARY = "name what is in a file or folder"
EXAMPLES = (
    "everest predict runs/b video.mp4",
    "everest predict runs/b folder/ --csv predictions.csv --unknown-below 0.5",
    "everest predict runs/b long.mp4 --window 2s --hop 1s --timeline course.png",
    "everest predict runs/b long.mp4 --window 2s --annotate told.mp4",
    "cat video.ts | everest predict runs/b - --window 2s",
    "everest predict runs/b --camera 0 --window 2s --hop 1s",
)


@dataclass(frozen=True)
class Options:
    """Name what is in a file, a folder, standard input (-) or before a camera."""

    run: tyro.conf.Positional[str]
    """A run folder, an export or a weights file of a classifier."""
    videos: tyro.conf.Positional[tuple[str, ...]] = ()
    """Files, folders, lists, or -; with --window, - is told as it comes."""
    window: str | None = None
    """Length of a window, such as 2s; whole files where not given."""
    hop: str | None = None
    """From one window to the next, such as 1s."""
    camera: int | None = None
    """Watch this camera, the first is 0, in windows (2s where not given), until Ctrl-C."""
    seconds: float | None = None
    """Stop after so many seconds of a camera, or of a video that is told as it comes."""
    top: int = 3
    """Labels told of each; of several a clip, how many at most."""
    unknown_below: float | None = None
    """Name a class only from this probability on, from 0 to 1; below it is unknown."""
    csv: Path | None = None
    """Also write path,start,end,column,label,p here; of several labels a clip a row each."""
    timeline: Path | None = None
    """Also draw the windows of one video over time here (.png)."""
    annotate: Path | None = None
    """Also write the video with its labels in the picture here (.mp4; one file)."""
    keep: int | float | None = None
    """Share or count of tokens read; the model's own where not given."""
    frame_rate: float = RATE
    """Frames a second of folders of frames, where no column fps of a list says it."""
    workers: int = 0
    """Processes that read videos."""
    device: str = "auto"
    json: bool = False
    """Print one JSON document on stdout, all else on stderr."""


def run(words: list[str]) -> int:
    options = parse(Options, words, "predict", examples=EXAMPLES)
    check(options)
    from everest.console import Console
    from everest.guesses.reporting import Places, Report
    from everest.guesses.telling import Telling
    from everest.guesses.watching import from_camera, standard_input
    from everest.run import load

    run = load(options.run, device=options.device)
    run.tell(Console(to_stderr=True))
    run.classifier()
    run.keep(options.keep)
    report = Report(
        Console(to_stderr=options.json),
        Telling(run.config.kinds, options.top, options.unknown_below),
        Places(options.csv, options.timeline, options.annotate, options.json),
        options.window is not None or options.camera is not None,
    )
    window, hop, seconds = options.window, options.hop, options.seconds
    whole = options.timeline is not None or options.annotate is not None
    with report:
        if options.camera is not None:
            report.watch(from_camera(run, options.camera, window, hop, seconds))
        elif options.videos == ("-",):
            with standard_input(run, window, hop, seconds, whole=whole) as (coming, path):
                if coming is not None:
                    report.watch(coming)
                else:
                    predict(run, [path], {path: "-"}, report, options)
        else:
            predict(run, options.videos, {}, report, options)
    return 0


def check(options: Options) -> None:
    """Refuses, before any work, what cannot be done together or written."""
    if (options.camera is None) == (not options.videos):
        raise ValueError(
            "give videos or --camera, one of both; for example: "
            f"{EXAMPLES[2] if options.camera is None else EXAMPLES[-1]}"
        )
    if "-" in options.videos and len(options.videos) > 1:
        raise ValueError("-: standard input is one video; give other files in a command of theirs")
    is_coming = options.camera is not None or options.videos == ("-",)
    if options.seconds is not None and not is_coming:
        raise ValueError("--seconds: is of a camera or of standard input (-); leave it out")
    p = options.unknown_below
    if p is not None and not 0 <= p <= 1:
        raise ValueError(f"--unknown-below {p:g}: is a probability, from 0 to 1, such as 0.5")
    for place, name, ending in (
        (options.annotate, "--annotate", ".mp4"),
        (options.timeline, "--timeline", ".png"),
    ):
        if place is None:
            continue
        if options.camera is not None:
            raise ValueError(f"{name}: needs a video; leave it out, or --camera")
        if place.suffix.lower() != ending:
            raise ValueError(f"{name} {place}: give a file that ends in {ending}")
        check_place(place, name)
    if options.timeline is not None and options.window is None:
        raise ValueError("--timeline without --window: give both, such as --window 2s --hop 1s")
    if options.csv is not None:
        check_place(options.csv, "--csv")


def predict(
    run: "Run",
    videos: Sequence[str],
    names: Mapping[str, str],
    report: "Report",
    options: Options,
) -> None:
    """Files and folders; `names` are other names of files."""
    from everest.entries import shown

    found, bad = run.guesses(
        videos,
        window=options.window,
        hop=options.hop,
        workers=options.workers,
        frame_rate=options.frame_rate,
    )
    for entry in bad:
        name = names.get(entry["path"], entry["path"])
        report.console.warn(f"{shown(name)}: {shown(entry['reason'])}")
    if not found:
        raise ValueError("no video could be read: nothing to predict")
    for guess in found:
        report.tell(guess._replace(path=names.get(guess.path, guess.path)))
    report.draw(found, options.frame_rate)
