"""This file decides `everest show`."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from everest.frame_folders import RATE
from everest.options import check_place, parse

SUMMARY = "a picture of what the model looks at"
EXAMPLES = (
    "everest show runs/a video.mp4 -o tokens.gif",
    "everest show runs/a video.mp4 -o tokens.png --keep 0.3",
)


@dataclass(frozen=True)
class Options:
    """Draw one clip of a video: input, importance, kept tokens, reconstruction, chosen frames."""

    run: tyro.conf.Positional[str]
    """A run folder, an export or a weights file."""
    video: tyro.conf.Positional[str]
    out: Path
    """The picture (also -o): .gif, .mp4 or .png."""
    keep: int | float | None = None
    """Show a classifier with this share or count of tokens."""
    fps: float = 6.0
    """Frames a second of the film."""
    frame_rate: float = RATE
    """Frames a second of a folder of frames."""
    device: str = "auto"


def run(words: list[str]) -> int:
    options = parse(Options, words, "show", examples=EXAMPLES)
    from everest.console import Console
    from everest.report.film import ENDINGS, write_film
    from everest.run import load
    from everest.showing import show

    if options.out.suffix.lower() not in ENDINGS:
        raise ValueError(f"--out {options.out}: a film ends in {', '.join(ENDINGS)}")
    check_place(options.out, "--out")
    run = load(options.run, device=options.device)
    run.tell(Console(to_stderr=True))
    if options.keep is not None and run.kind == "autoencoder":
        raise ValueError("--keep: an autoencoder shows what it hides; its own keep is used")
    run.keep(options.keep)
    shown = show(run, options.video, frame_rate=options.frame_rate)
    frames = shown.frames
    if options.out.suffix.lower() == ".png":
        from everest.report.panels import sheet

        frames = [sheet(frames)]
    write_film(frames, options.out, fps=options.fps)
    told = f"sees {shown.visible} of {shown.total} tokens"
    if shown.masked:
        told += f" and predicts {shown.masked}"
    Console().say(f"{options.out}: {told}")
    return 0
