"""This file decides how found windows look: a contact sheet, rows of pictures under a title each.

H, W pixels of a picture.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from everest import video
from everest.embeddings import Embeddings
from everest.report.canvas import (
    INK,
    MARGIN,
    PAGE,
    QUIET,
    draw_text,
    letters,
    text_height,
    text_width,
)

WIDE, HIGH = 208, 128  # pixels of a picture
GAP = 14  # pixels between pictures
ACROSS = 5  # pictures of a row
EMPTY = (226, 226, 224)
FRAME = (0, 135, 190)  # around what was asked for


@dataclass(frozen=True)
class Cell:
    """One picture and what stands under it."""

    picture: np.ndarray | None  # (H, W, 3) uint8; None: it cannot be read
    lines: tuple[str, ...]
    is_marked: bool = False


@dataclass(frozen=True)
class Band:
    """Pictures under one title."""

    title: str
    cells: Sequence[Cell]
    colour: tuple[int, int, int] | None = None  # of a dot before the title


def middle_frame(path: str, start: float, end: float, frame_rate: float) -> np.ndarray | None:
    """(H, W, 3) uint8 in the middle of a span in seconds; None where it cannot be read any more."""
    try:
        facts = video.probe(path)
        rate = frame_rate if os.path.isdir(path) else facts.fps
        at = min(int((start + end) / 2 * rate), facts.frames - 1)
        return video.read(path, [max(at, 0)], short_side=HIGH * 2)[0]
    except (video.VideoError, OSError):
        return None


def cell_of(places: Embeddings, row: int, told: str, *, is_marked: bool = False) -> Cell:
    """The cell of a row: its middle frame, its name, where it lies, and what is told of it."""
    path, start, end = places.paths[row], float(places.starts[row]), float(places.ends[row])
    rate = places.about.frame_rate if places.about else 25.0
    name = path.rstrip("/").rpartition("/")[2]
    span = f"{start:.1f}–{end:.1f} s"
    lines = (name, f"{told} · {span}" if told else span)
    return Cell(middle_frame(path, start, end, rate), lines, is_marked)


def draw_bands(bands: Sequence[Band], above: np.ndarray | None = None) -> np.ndarray:
    """Bands under each other, below a picture of (H, W, 3) where there is one."""
    line = text_height() + 2
    deep = HIGH + 4 + line * max(len(cell.lines) for band in bands for cell in band.cells)
    inside = ACROSS * WIDE + (ACROSS - 1) * GAP
    head = text_height(title=True) + 8
    tall = [head + -(-len(band.cells) // ACROSS) * (deep + GAP) + GAP for band in bands]
    top = MARGIN if above is None else MARGIN + above.shape[0] + GAP
    page = Image.new("RGB", (inside + 2 * MARGIN, top + sum(tall) + MARGIN), PAGE)
    draw = ImageDraw.Draw(page)
    if above is not None:
        page.paste(Image.fromarray(above), (MARGIN, MARGIN))
    for band, height in zip(bands, tall, strict=True):
        left = MARGIN
        if band.colour is not None:
            draw.ellipse((left, top + 3, left + 12, top + 15), fill=band.colour)
            left += 20
        draw_text(draw, (left, top), fitting(band.title, inside, title=True), INK, title=True)
        for number, cell in enumerate(band.cells):
            left = MARGIN + number % ACROSS * (WIDE + GAP)
            draw_cell(page, (left, top + head + number // ACROSS * (deep + GAP)), cell, line)
        top += height
    return np.asarray(page)


def draw_cell(page: Image.Image, corner: tuple[int, int], cell: Cell, line: int) -> None:
    left, top = corner
    draw = ImageDraw.Draw(page)
    draw.rectangle((left, top, left + WIDE - 1, top + HIGH - 1), fill=EMPTY)
    if cell.picture is None:
        told = "cannot be read"
        place = left + (WIDE - text_width(told)) // 2, top + (HIGH - text_height()) // 2
        draw_text(draw, place, told, QUIET)
    else:
        picture = Image.fromarray(np.ascontiguousarray(cell.picture))
        picture.thumbnail((WIDE, HIGH))
        page.paste(
            picture, (left + (WIDE - picture.width) // 2, top + (HIGH - picture.height) // 2)
        )
    if cell.is_marked:
        draw.rectangle((left, top, left + WIDE - 1, top + HIGH - 1), outline=FRAME, width=3)
    for number, text in enumerate(cell.lines):
        place = left, top + HIGH + 4 + number * line
        draw_text(draw, place, fitting(text, WIDE), QUIET if number else INK)


def fitting(text: str, wide: int, *, title: bool = False) -> str:
    """The text in so many pixels, its middle left out; '?' for letters the font lacks."""
    text = "".join(letter if letter in letters() else "?" for letter in " ".join(text.split()))
    if text_width(text, title=title) <= wide:
        return text
    kept = len(text) - 1
    while kept > 2 and text_width(halves(text, kept), title=title) > wide:
        kept -= 1
    return halves(text, kept)


def halves(text: str, kept: int) -> str:
    return f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
