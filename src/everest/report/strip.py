"""This file decides how the candidates of frame selection and the choice among them are drawn.

n candidate frame pairs; H, W pixels of a thumbnail.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from everest.report.canvas import INK, PAGE, QUIET, draw_text, text_height

NOW = (0, 135, 190)  # darker than CHOSEN in each channel: a contact sheet merges by the minimum
CHOSEN = (150, 205, 228)
COLUMNS = 16  # thumbnails in one row at most
APART = 10  # pixels between thumbnails
FRAME = 3  # pixels of the frame around a chosen one
TALLEST = 84  # pixels of a thumbnail's height
PALE = 0.72  # share of the page's colour over a pair that was not chosen


@dataclass(frozen=True)
class StripLayout:
    """Where the thumbnails stand."""

    columns: int
    side: tuple[int, int]  # (width, height) of a thumbnail
    across: float  # pixels from one to the next
    height: int  # of the whole strip, its title and the space below included

    @property
    def down(self) -> int:
        return self.side[1] + FRAME + text_height() + APART


def strip_layout(candidates: np.ndarray, inside: int) -> StripLayout:
    """Fits thumbnails, (n, H, W, 3), into rows of that many pixels."""
    count, rows, columns = candidates.shape[:3]
    if not count:
        raise ValueError("frame selection with 0 candidate pairs: give at least 1, or None")
    per_row = min(count, COLUMNS)
    width = min((inside + APART - 2 * FRAME) / per_row - APART, TALLEST * columns / rows)
    side = (max(1, int(width)), max(1, round(width * rows / columns)))
    layout = StripLayout(per_row, side, side[0] + APART, 0)
    # A full row ends at the right margin; a few thumbnails stay together.
    spread = (inside - 2 * FRAME - side[0]) / max(1, per_row - 1)
    lines = -(-count // per_row)
    height = text_height(title=True) + APART + lines * layout.down
    return StripLayout(per_row, side, min(spread, side[0] + 2 * APART), height)


def draw_strip(
    page: Image.Image,
    corner: tuple[int, int],
    strip: tuple[np.ndarray, np.ndarray],
    layout: StripLayout,
    step: int,
) -> None:
    """Draws candidates (n, H, W, 3) in time order; the chosen, (n,) bool, carry their number.

    step is the place among the chosen of the pair on view.
    """
    candidates, chosen = strip
    if chosen.shape != candidates.shape[:1]:
        raise ValueError(
            f"chosen of shape {chosen.shape}: must say yes or no to {len(candidates)} candidates"
        )
    draw = ImageDraw.Draw(page)
    title = f"chosen frame pairs: {int(chosen.sum())} of {len(candidates)}"
    draw_text(draw, corner, title, INK, title=True)
    first = corner[1] + text_height(title=True) + APART
    order = np.cumsum(chosen) - 1
    paper = Image.new("RGB", layout.side, PAGE)
    for number, picture in enumerate(candidates):
        row, column = divmod(number, layout.columns)
        left = corner[0] + FRAME + round(column * layout.across)
        top = first + row * layout.down
        small = Image.fromarray(picture).resize(layout.side, Image.Resampling.BOX)
        if not chosen[number]:
            page.paste(Image.blend(small, paper, PALE), (left, top))
            continue
        right, bottom = left + layout.side[0] - 1, top + layout.side[1] - 1
        colour = NOW if order[number] == step else CHOSEN
        draw.rectangle((left - FRAME, top - FRAME, right + FRAME, bottom + FRAME), fill=colour)
        page.paste(small, (left, top))
        draw_text(draw, (left, bottom + FRAME + 3), str(order[number] + 1), QUIET)
