"""This file decides how a map of vectors looks: a dot a window, its colour its cluster.

N windows; D numbers of a vector.
"""

import numpy as np
from PIL import Image, ImageDraw

from everest.console import percent
from everest.report.canvas import INK, PAGE, QUIET, RULE, draw_text, text_height
from everest.report.page.spread import spread_of
from everest.searching.clusters import Clusters
from everest.searching.exact import unit

SIDE = 420  # pixels
WIDE = 1096  # pixels of the whole
DOT = 3  # pixels, half
# Told apart by people who see red and green alike, in this order (Okabe and Ito); then again.
COLOURS = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (128, 128, 128),
    (176, 166, 20),
)
SHOWN = 20_000  # dots at most
LINES = 16  # of the legend


def colour_of(cluster: int) -> tuple[int, int, int]:
    return COLOURS[cluster % len(COLOURS)]


def draw_map(vectors: np.ndarray, clusters: Clusters) -> np.ndarray:
    """(N, D) -> (SIDE, WIDE, 3) uint8: the two directions of largest spread, and a legend."""
    page = Image.new("RGB", (WIDE, SIDE), PAGE)
    draw = ImageDraw.Draw(page)
    draw.rectangle((0, 0, SIDE - 1, SIDE - 1), outline=RULE)
    rows = np.linspace(0, len(vectors) - 1, min(len(vectors), SHOWN)).astype(int)
    spread = spread_of(unit(vectors[rows]))
    if spread is not None:
        half = SIDE / 2
        for row, (x, y) in zip(rows, spread.points, strict=True):
            across, down = half + x * (half - 12), half - y * (half - 12)
            box = (across - DOT, down - DOT, across + DOT, down + DOT)
            draw.ellipse(box, fill=colour_of(int(clusters.of[row])))
    left, top = SIDE + 24, 0
    draw_text(draw, (left, top), f"{len(vectors):,} vectors", INK, title=True)
    top += text_height() + 10
    if spread is not None:
        told = f"across and down: {percent(spread.shares[0])} and {percent(spread.shares[1])}"
        draw_text(draw, (left, top), f"{told} of their spread", QUIET)
        top += text_height() + 12
    for number, count in enumerate(clusters.counts[:LINES].tolist()):
        draw.ellipse((left, top + 3, left + 10, top + 13), fill=colour_of(number))
        draw_text(draw, (left + 20, top), f"cluster {number + 1}: {count:,}", INK)
        top += text_height() + 4
    if len(clusters.counts) > LINES:
        draw_text(draw, (left, top), f"and {len(clusters.counts) - LINES} more", QUIET)
    return np.asarray(page)
