"""This file decides how a confusion matrix looks: what is right in blue, what is taken for
something else in orange, darker the larger its share of the clips of its row.

K classes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from everest.report.curves import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, INK, QUIET = (0, 0.42, 0.66), (0.80, 0.38, 0.0), "#1c1e22", "#62666e"
PALE = 0.55  # power of a share: small ones are seen too
LEAST = 0.14  # of the ink, in a cell with any clip
COUNTED = 20  # classes up to which each cell has its number of clips
NAMED = 130  # classes up to which each has its name
CELL, SMALL_CELL = 0.42, 0.145  # inches of a cell with, and without, its number
TINY_INCHES = 14.0  # of all cells together, where there are more classes
LONGEST = 28  # letters of a class name


def draw_confusion(counts: np.ndarray, names: Sequence[str], path: Path | str, title: str) -> None:
    """Draws clips (K, K), a row a label and a column a prediction, into a PNG file.

    Up to 20 classes every cell tells its clips; up to 130 every class its name, beyond that its
    number from 0, every tenth.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    K = len(names)
    cell = CELL if K <= COUNTED else SMALL_CELL if K <= NAMED else TINY_INCHES / K
    side = max(cell * K, 2.4)
    shown = [plain(name, longest=LONGEST) for name in names]
    letters = max(map(len, shown)) if K <= NAMED else 3
    size = 9 if K <= COUNTED else 7
    room = 0.085 * size / 9 * letters + 0.6  # inches beside the cells for the names
    wide, high = side + room + 0.4, side + room + 0.9
    figure = Figure(figsize=(wide, high), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((room / wide, room / high, side / wide, side / high))
    axes.imshow(colours(counts), interpolation="nearest", aspect="auto")
    label_axes(axes, shown, size)
    if K <= COUNTED:
        write_counts(axes, counts)
    heading = plain(title, longest=max(int(wide * 9), 20))
    total, right = int(counts.sum()), int(np.trace(counts))
    figure.text(
        0.12 / wide, 1 - 0.3 / high, heading, color=INK, fontsize=12, fontweight="bold",
        parse_math=False,
    )  # fmt: skip
    figure.text(
        0.12 / wide, 1 - 0.55 / high, f"{right:,} of {total:,} clips right",
        color=QUIET, fontsize=9,
    )  # fmt: skip
    save(figure, Path(path))


def colours(counts: np.ndarray) -> np.ndarray:
    """(K, K) clips -> (K, K, 3) colours from 0 to 1; a row without clips stays grey."""
    total = counts.sum(axis=1, keepdims=True)
    strength = LEAST + (1 - LEAST) * (counts / np.maximum(total, 1)) ** PALE
    strength = np.where(counts > 0, strength, 0)
    ink = np.broadcast_to(np.array(ORANGE), (*counts.shape, 3)).copy()
    diagonal = np.arange(len(counts))
    ink[diagonal, diagonal] = BLUE
    page = np.where(total[..., None] > 0, 1.0, 0.93)
    return page + (ink - page) * strength[..., None]


def label_axes(axes: Axes, names: Sequence[str], size: float) -> None:
    K = len(names)
    ticks = range(K) if K <= NAMED else range(0, K, 10)
    texts = names if K <= NAMED else [str(number) for number in ticks]
    axes.set_xticks(list(ticks), texts, rotation=90, fontsize=size, parse_math=False)
    axes.set_yticks(list(ticks), texts, fontsize=size, parse_math=False)
    axes.tick_params(length=0, colors=INK, pad=3)
    axes.set_xlabel("predicted", color=QUIET, fontsize=10)
    axes.set_ylabel("label", color=QUIET, fontsize=10)
    for spine in axes.spines.values():
        spine.set_color("#c8c8c6")
    if K <= NAMED:
        lines = np.arange(K + 1) - 0.5
        axes.set_xticks(lines, minor=True)
        axes.set_yticks(lines, minor=True)
        axes.grid(which="minor", color="#ececea", lw=0.6 if K <= COUNTED else 0.4)
        axes.tick_params(which="minor", length=0)


def write_counts(axes: Axes, counts: np.ndarray) -> None:
    total = np.maximum(counts.sum(axis=1), 1)
    for label, predicted in np.argwhere(counts):
        clips = int(counts[label, predicted])
        dark = (clips / total[label]) ** PALE > 0.6
        text = f"{clips:,}" if clips < 10_000 else f"{clips / 1000:.0f}k"
        axes.text(
            predicted, label, text, ha="center", va="center", fontsize=8,
            color="white" if dark else INK,
        )  # fmt: skip


def save(figure: object, path: Path) -> None:
    """Writes a figure as a whole, or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        figure.savefig(part, format="png", metadata={"Software": None})  # type: ignore[attr-defined]
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
