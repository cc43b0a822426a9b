"""This file decides `everest tables`."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from everest.options import parse

SUMMARY = "the poster's tables and figures, made again"
EXAMPLES = (
    "everest tables --out poster/",
    "everest tables --out poster/ --measure --minutes 4",
    "everest tables --out poster/ --measure --model vit-b --batch-size 8 --minutes 60",
    "everest tables --out poster/ --clip my_videos/one.mp4 --overwrite",
)


@dataclass(frozen=True)
class Options:
    """Write the poster's tables as Markdown and CSV, and its figures: published beside ours.

    What is arithmetic is counted; what needs a machine is measured with --measure, at a small
    scale that the page names; what needs Kinetics-400 and eight GPUs stands as not run.
    """

    out: Path
    """The folder (also -o): tables.md, and tables/ with CSV files and pictures."""
    measure: bool = False
    """Also measure time and memory here; minutes."""
    model: str = "vit-s"
    """Of what is measured: vit-ti, vit-s, vit-b, vit-l."""
    size: str = "224"
    """Pixels a side of its clips, or HEIGHTxWIDTH."""
    batch_size: int = 2
    """Clips of its steps; the efficiency figure has half and twice as many, too."""
    teacher: str = "vit-b"
    """Size of the frozen models that MVD learns from."""
    minutes: float = 4.0
    """Of timing: after them no round begins, once each case has three. Memory takes as long."""
    clip: Path | None = None
    """A video for the masking comparison; a generated clip where not given."""
    device: str = "auto"
    """auto, cpu, cuda."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    overwrite: bool = False
    """Replace the tables in --out."""


def run(words: list[str]) -> int:
    options = parse(Options, words, "tables", examples=EXAMPLES)
    if options.batch_size < 1:
        raise ValueError(f"--batch-size {options.batch_size}: give 1 or more")
    if options.minutes <= 0:
        raise ValueError(f"--minutes {options.minutes:g}: must be above 0")
    from everest.commands.bench import progress
    from everest.console import Console
    from everest.machine import choose
    from everest.poster.making import make
    from everest.poster.masking import clip_of
    from everest.poster.measured import Scale, find
    from everest.poster.writing import check_out

    console = Console()
    if options.clip is not None:
        clip_of(options.clip)  # refused before minutes of work
    check_out(options.out, overwrite=options.overwrite)
    place = choose(options.device, options.precision)
    found = None
    if options.measure:
        scale = Scale(
            options.model, options.size, options.batch_size, options.teacher, options.minutes
        )
        found = find(scale, place, told=progress(False))
    command = shlex.join(["everest", "tables", *words])
    files = make(found, options.out, place=place, clip=options.clip, command=command)
    for path in files:
        console.say(str(path))
    return 0
