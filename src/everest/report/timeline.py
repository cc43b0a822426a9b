"""This file decides how what a classifier says over the time of a video looks.

W windows; H, W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from everest import video
from everest.report.curves import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from everest.run import Guess

WIDE, HIGH = 11.0, 4.6  # inches
PICTURES = 10  # of the video, above the lines
TALL = 90  # pixels of a picture
CLASSES = 6  # lines at most: the likeliest anywhere
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9")
LETTERS = 28  # of a label
QUIET = "#62666e"


def draw_timeline(
    guesses: Sequence[Guess],
    path: Path,
    *,
    unknown_below: float | None = None,
    frame_rate: float = 25.0,
) -> None:
    """Draws the windows of one video: its pictures, and below the probability of each label (or the
    value of a column of numbers) over time. PNG; raises ValueError for fewer than two windows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if len(guesses) < 2:
        raise ValueError("--timeline: one window has no course; give a shorter --window, or a hop")
    figure = Figure(figsize=(WIDE, HIGH), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    name = plain(guesses[0].path.rstrip("/").rpartition("/")[2], longest=90)
    figure.suptitle(name, x=0.01, ha="left", fontsize=12, fontweight="bold", parse_math=False)
    above, below = figure.subplots(2, 1, gridspec_kw={"height_ratios": (1, 3)})
    begin, end = guesses[0].start, max(guess.end for guess in guesses)
    draw_strip(above, guesses[0].path, (begin, end), frame_rate)
    draw_lines(below, guesses, unknown_below)
    below.set_xlim(begin, end)
    below.set_xlabel("seconds")
    from everest.embeddings import beside

    with beside(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})


def draw_strip(axes: Axes, path: str, span: tuple[float, float], frame_rate: float) -> None:
    """Pictures of the video where they are shown, evenly over the span in seconds."""
    axes.axis("off")
    try:
        facts = video.probe(path)
        rate = frame_rate if Path(path).is_dir() else facts.fps
        begin, end = span
        middles = begin + (np.arange(PICTURES) + 0.5) * (end - begin) / PICTURES
        places = np.minimum((middles * rate).astype(int), facts.frames - 1)
        pictures = video.read(path, places, short_side=TALL)
    except (video.VideoError, OSError):
        return
    height, width = pictures.shape[1:3]
    # As many as fit side by side, each at its time.
    room = int(WIDE * 110 * 0.92 / PICTURES)
    if width > room:
        cut = (width - room) // 2
        pictures = pictures[:, :, cut : cut + room]
    gap = np.full((height, 3, 3), 255, np.uint8)
    row = np.concatenate([np.concatenate((picture, gap), axis=1) for picture in pictures], axis=1)
    axes.imshow(row, aspect="auto", extent=(span[0], span[1], 0, 1))
    axes.set_xlim(*span)


def draw_lines(axes: Axes, guesses: Sequence[Guess], unknown_below: float | None) -> None:
    middles = [(guess.start + guess.end) / 2 for guess in guesses]
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if not guesses[0].labels:
        column = next(iter(guesses[0].numbers))
        values = [guess.numbers[column] for guess in guesses]
        axes.plot(middles, values, color=COLOURS[0], marker="o", markersize=3)
        axes.set_ylabel(plain(column, longest=LETTERS), parse_math=False)
        return
    column = next(iter(guesses[0].labels))
    said = [dict(guess.labels[column]) for guess in guesses]
    highest = {label: max(shares[label] for shares in said) for label in said[0]}
    likeliest = sorted(highest, key=lambda label: -highest[label])[:CLASSES]
    for label, colour in zip(likeliest, COLOURS, strict=False):
        shares = [100 * entry[label] for entry in said]
        told = plain(label, longest=LETTERS)
        axes.plot(middles, shares, color=colour, marker="o", markersize=3, label=told)
    if unknown_below is not None:
        told = f"below {100 * unknown_below:g} %: unknown"
        axes.axhline(100 * unknown_below, color=QUIET, linestyle=":", label=told)
    axes.set_ylim(0, 102)
    axes.set_ylabel("probability, %")
    axes.grid(axis="y", color="#e4e4e2")
    box = axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    for text in box.get_texts():
        text.set_parse_math(False)
