"""This file decides the page of a picture: its colours, its letters and its legend."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PAGE = (252, 252, 250)
INK = (28, 30, 34)
QUIET = (98, 102, 110)
RULE = (224, 224, 222)
MARGIN = 20  # pixels around the page
TEXT = 13  # pixels of a caption's letters
TITLE = 15  # pixels of a title's letters
HEAT = "inferno"  # perceptually uniform, readable in grey and by the colour-blind
SWATCH = 14  # pixels of a legend's square
RAMP = 84  # pixels of a legend's colour bar
BETWEEN = 24  # pixels from one entry of a legend to the next


@dataclass(frozen=True)
class Key:
    """One entry of a legend: a square, outlined or filled, or the colour bar of the heat map."""

    label: str
    fill: tuple[int, int, int] | None = None
    outline: tuple[int, int, int] | None = None
    ramp: bool = False


@cache
def font(title: bool = False) -> ImageFont.FreeTypeFont:
    """Loads the DejaVu letters that matplotlib brings, so that every machine draws alike."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if title else "DejaVuSans.ttf"
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    return ImageFont.truetype(str(path), TITLE if title else TEXT)


@cache
def letters() -> frozenset[str]:
    """Returns the letters that the font can draw."""
    from matplotlib.ft2font import FT2Font

    return frozenset(chr(code) for code in FT2Font(font().path).get_charmap())


def text_height(*, title: bool = False) -> int:
    """Returns the pixels of one line, letters below the line included."""
    ascent, descent = font(title).getmetrics()
    return ascent + descent


def text_width(text: str, *, title: bool = False) -> int:
    return int(np.ceil(font(title).getlength(text)))


def draw_text(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    text: str,
    colour: tuple[int, int, int],
    *,
    title: bool = False,
) -> None:
    draw.text(corner, text, fill=colour, font=font(title))


@cache
def _heat_table() -> np.ndarray:
    from matplotlib import colormaps

    table = colormaps[HEAT](np.linspace(0, 1, 256))[:, :3]  # (256, 3)
    return np.round(255 * table).astype(np.uint8)


def heat(values: np.ndarray) -> np.ndarray:
    """Colours values from 0 to 1: (...) float -> (..., 3) uint8."""
    return _heat_table()[np.round(255 * values).astype(int)]


def _key_width(key: Key) -> int:
    return (RAMP if key.ramp else SWATCH) + 8 + text_width(key.label)


def _lines(keys: list[Key], inside: int) -> list[list[Key]]:
    """Breaks a legend into lines that fit between the margins."""
    lines: list[list[Key]] = [[]]
    used = 0
    for key in keys:
        width = _key_width(key)
        if lines[-1] and used + BETWEEN + width > inside:
            lines.append([])
            used = 0
        used += width + (BETWEEN if lines[-1] else 0)
        lines[-1].append(key)
    return lines


def keys_height(keys: list[Key], inside: int) -> int:
    """Returns the pixels that draw_keys takes for a legend of that width."""
    return len(_lines(keys, inside)) * (text_height() + 8) + 16


def draw_keys(page: Image.Image, corner: tuple[int, int], keys: list[Key], inside: int) -> None:
    """Draws a legend from its top left corner, in as many lines as it needs."""
    draw = ImageDraw.Draw(page)
    top = corner[1] + 12
    for line in _lines(keys, inside):
        left = corner[0]
        for key in line:
            wide = RAMP if key.ramp else SWATCH
            box = (left, top + 1, left + wide - 1, top + SWATCH)
            if key.ramp:
                bar = np.broadcast_to(heat(np.linspace(0, 1, RAMP)), (SWATCH, RAMP, 3))
                page.paste(Image.fromarray(np.ascontiguousarray(bar)), box[:2])
            else:
                draw.rectangle(box, fill=key.fill, outline=key.outline or key.fill, width=2)
            draw_text(draw, (left + wide + 8, top), key.label, QUIET)
            left += _key_width(key) + BETWEEN
        top += text_height() + 8
