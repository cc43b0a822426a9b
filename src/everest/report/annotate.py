"""This file decides how a video with its predicted labels in the picture looks."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from everest import video
from everest.frame_folders import RATE
from everest.report.canvas import font
from everest.report.film import write_mp4

if TYPE_CHECKING:
    from everest.run import Guess

TALLEST = 480  # pixels: larger videos are shrunk
MOST_FRAMES = 3000  # what is held in memory while writing; longer videos are thinned
BAR = 34  # pixels under the picture


def annotate(guesses: "Sequence[Guess]", path: Path, *, frame_rate: float = RATE) -> None:
    """Writes the video of the guesses with the likeliest label of each moment under it; a folder of
    frames is shown at `frame_rate`, frames a second."""
    facts = video.probe(guesses[0].path)
    thin = max(-(-facts.frames // MOST_FRAMES), 1)
    side = TALLEST if min(facts.width, facts.height) > TALLEST else None
    slower = facts.fps / frame_rate if os.path.isdir(facts.path) else 1.0
    frames = list(labelled(guesses, thin, side, slower))
    write_mp4(frames, path, fps=max(facts.fps / slower / thin, 1.0))


def labelled(
    guesses: "Sequence[Guess]", thin: int, side: int | None, slower: float
) -> Iterator[np.ndarray]:
    """Every `thin`-th frame with its label, at `slower` times the seconds that the file tells."""
    for number, (seconds, frame) in enumerate(video.stream(guesses[0].path, short_side=side)):
        if number % thin == 0:
            yield under(frame, guess_at(guesses, seconds * slower))


def guess_at(guesses: "Sequence[Guess]", seconds: float) -> "Guess":
    """The guess whose window's middle is nearest."""
    return min(guesses, key=lambda guess: abs((guess.start + guess.end) / 2 - seconds))


def under(frame: np.ndarray, guess: "Guess") -> np.ndarray:
    """(H, W, 3) -> (H + BAR, W, 3): the label and a bar as long as it is likely, or numbers."""
    height, width = frame.shape[:2]
    page = Image.new("RGB", (width, height + BAR), (20, 20, 24))
    page.paste(Image.fromarray(frame), (0, 0))
    draw = ImageDraw.Draw(page)
    if guess.labels:
        label, p = next(iter(guess.labels.values()))[0]
        draw.rectangle((0, height, round(width * p), height + BAR), fill=(0, 96, 128))
        told = f"{label} {100 * p:.0f} %"
    else:
        told = ", ".join(f"{column} {value:.4g}" for column, value in guess.numbers.items())
    draw.text((8, height + 8), "".join(c if c.isprintable() else "?" for c in told), font=font())
    return np.asarray(page)
