"""This file decides how a clip, what a model keeps of it and what it rebuilds are drawn.

T frames; t, h, w the token grid; H, W pixels of the clip; n candidate frame pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from everest.report.canvas import (
    INK,
    MARGIN,
    PAGE,
    QUIET,
    RULE,
    Key,
    draw_keys,
    draw_text,
    heat,
    keys_height,
    text_height,
    text_width,
)
from everest.report.strip import draw_strip, strip_layout

VISIBLE = (0, 190, 235)
MASKED = (255, 150, 0)
DROPPED = 0.2  # brightness of tokens that are neither read nor predicted
HIDDEN = 0.5  # brightness of tokens that are predicted
OVERLAY = 0.55  # share of the heat colour over the grey frame
GREY = 0.8  # brightness of the grey frame under it
CELL = 224  # pixels across that a panel takes at least, for its text
GAP = 16  # pixels between panels
NEAR = 6  # pixels between a panel and its text
SHEET_ROWS = 4  # time steps of a contact sheet


@dataclass(frozen=True)
class Panel:
    """One picture of a film frame with what stands above and below it."""

    title: str
    caption: str
    picture: np.ndarray  # (height, width, 3) uint8


def film(
    video: np.ndarray,
    scores: np.ndarray,
    is_visible: np.ndarray,
    is_masked: np.ndarray,
    reconstruction: np.ndarray | None,
    chosen: np.ndarray | None,
    candidates: np.ndarray | None,
    *,
    tubelet: int,
    patch: int,
    height: int = 224,
) -> list[np.ndarray]:
    """Draws T pictures: input, importance, kept tokens, reconstruction; the chosen pairs below.

    video and reconstruction (None: nothing was predicted): (T, H, W, 3) uint8; scores: (t, h, w)
    float; is_visible, is_masked: (t, h, w) bool; candidates: (n, H', W', 3) uint8, one thumbnail
    a candidate pair, and chosen: (n,) bool, or both None without frame selection. A panel is at
    least height pixels high, a small clip enlarged by a whole factor. Returns T arrays of one
    size, (., ., 3) uint8. Raises ValueError for shapes that do not fit each other.
    """
    _check(video, scores, is_visible, is_masked, tubelet, patch)
    if reconstruction is not None and reconstruction.shape != video.shape:
        raise ValueError(
            f"reconstruction of shape {reconstruction.shape}: must be that of the video, "
            f"{video.shape}"
        )
    size = _panel_size(video.shape[1], video.shape[2], height)
    scale = _scale(scores)
    strip = None if candidates is None or chosen is None else (candidates, chosen)
    frames = []
    for time in range(len(video)):
        step = time // tubelet
        panels = [
            Panel("input", _place(time, len(video), step, strip), _resize(video[time], size)),
            Panel(
                "importance",
                "change since the step before",
                _importance(video[time], scores[step] / scale, size),
            ),
            Panel(
                "kept tokens",
                _count(is_visible, is_masked),
                kept_tokens(video[time], is_visible[step], is_masked[step], size),
            ),
        ]
        if reconstruction is not None:
            rebuilt = _rebuilt(video[time], reconstruction[time], is_visible[step], is_masked[step])
            panels.append(
                Panel("reconstruction", "read and predicted tokens", _resize(rebuilt, size))
            )
        frames.append(_compose(panels, strip, step, _keys(is_masked)))
    return frames


def sheet(frames: list[np.ndarray]) -> np.ndarray:
    """Stacks up to four frames, evenly spread in time, into one picture, (., ., 3) uint8.

    Of frames of film() only the panels are repeated: titles, strip and legend stand once.
    """
    if not frames:
        raise ValueError("a contact sheet of 0 frames was asked for; give at least 1")
    count = min(SHEET_ROWS, len(frames))
    # The middles of equal parts, so that neither end of the clip is preferred.
    picked = [frames[(2 * row + 1) * len(frames) // (2 * count)] for row in range(count)]
    rules = np.flatnonzero((picked[0] == RULE).all(axis=(1, 2)))
    if not rules.size:
        return np.concatenate(picked)
    bodies = [frame[_head() if row else 0 : rules[0]] for row, frame in enumerate(picked)]
    # The mark of the pair on view is the darker of two colours: the minimum shows all marks.
    rest = np.minimum.reduce([frame[rules[0] :] for frame in picked])
    return np.concatenate([*bodies, rest])


def _head() -> int:
    return MARGIN + text_height(title=True) + NEAR


def _check(
    video: np.ndarray,
    scores: np.ndarray,
    is_visible: np.ndarray,
    is_masked: np.ndarray,
    tubelet: int,
    patch: int,
) -> None:
    frames, rows, columns = video.shape[:3]
    grid = (frames // tubelet, rows // patch, columns // patch)
    if (frames % tubelet, rows % patch, columns % patch) != (0, 0, 0):
        raise ValueError(
            f"video of shape {video.shape}: must be whole tokens of {tubelet} frames and "
            f"{patch} x {patch} pixels"
        )
    for name, values in (("scores", scores), ("visible", is_visible), ("masked", is_masked)):
        if values.shape != grid:
            raise ValueError(f"{name} of shape {values.shape}: this video has tokens {grid}")


def _panel_size(rows: int, columns: int, height: int) -> tuple[int, int]:
    """Returns (width, height) of a panel: a whole factor enlarges, anything shrinks."""
    if rows <= height:
        factor = -(-height // rows)
        return columns * factor, rows * factor
    return max(1, round(columns * height / rows)), height


def _resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    # Nearest enlarges by whole factors only; box weighs every pixel once when it shrinks.
    larger = size[1] >= picture.shape[0]
    method = Image.Resampling.NEAREST if larger else Image.Resampling.BOX
    return np.asarray(Image.fromarray(picture).resize(size, method))


def _scale(scores: np.ndarray) -> float:
    """Finds what counts as the brightest over the whole clip: outliers do not darken the rest."""
    known = scores[np.isfinite(scores)]
    return max(float(np.percentile(known, 99)), 1e-12) if known.size else 1.0


def _importance(frame: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    grey = _resize(frame, size) @ np.array([0.299, 0.587, 0.114]) * GREY
    colours = heat(np.clip(np.nan_to_num(scores), 0, 1))  # (h, w, 3)
    over = np.asarray(Image.fromarray(colours).resize(size, Image.Resampling.NEAREST))
    mixed = OVERLAY * over + (1 - OVERLAY) * grey[..., None]
    return np.round(mixed).astype(np.uint8)


def _brightness(is_visible: np.ndarray, is_masked: np.ndarray, masked: float) -> np.ndarray:
    return np.where(is_visible, 1.0, np.where(is_masked, masked, DROPPED))  # (h, w)


def _spread(values: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Repeats a value a token for each of its pixels: (h, w) -> (H, W, 1)."""
    side = frame.shape[0] // values.shape[0]
    return values.repeat(side, axis=0).repeat(side, axis=1)[..., None]


def kept_tokens(
    frame: np.ndarray, is_visible: np.ndarray, is_masked: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Outlines what is read and what is predicted of a frame (H, W, 3), by its tokens (h, w) bool;
    the rest is dark. Returns (height, width, 3) uint8 for a size of (width, height)."""
    light = _spread(_brightness(is_visible, is_masked, HIDDEN), frame)
    picture = Image.fromarray(_resize(np.round(frame * light).astype(np.uint8), size))
    draw = ImageDraw.Draw(picture)
    rows, columns = is_visible.shape
    line = max(1, round(size[1] / rows / 16))
    for colour, tokens in ((MASKED, is_masked), (VISIBLE, is_visible)):
        for row, column in np.argwhere(tokens):
            left, right = (round(size[0] * (column + side) / columns) for side in (0, 1))
            top, bottom = (round(size[1] * (row + side) / rows) for side in (0, 1))
            draw.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=line)
    return np.asarray(picture)


def _rebuilt(
    frame: np.ndarray, predicted: np.ndarray, is_visible: np.ndarray, is_masked: np.ndarray
) -> np.ndarray:
    source = np.where(_spread(is_masked, frame), predicted, frame)
    light = _spread(_brightness(is_visible, is_masked, 1.0), frame)
    return np.round(source * light).astype(np.uint8)


def _place(time: int, frames: int, step: int, strip: object) -> str:
    place = f"frame {time + 1} of {frames}"
    return place if strip is None else f"{place}, pair {step + 1}"


def _count(is_visible: np.ndarray, is_masked: np.ndarray) -> str:
    sees = f"sees {int(is_visible.sum())} of {is_visible.size}"
    return f"{sees}, predicts {int(is_masked.sum())}" if is_masked.any() else sees


def _keys(is_masked: np.ndarray) -> list[Key]:
    keys = [Key("read by the model", outline=VISIBLE)]
    if is_masked.any():
        keys.append(Key("hidden, to be predicted", outline=MASKED))
    keys.append(Key("not kept", fill=(48, 48, 52)))
    return [*keys, Key("importance, low to high", ramp=True)]


def _compose(
    panels: list[Panel],
    strip: tuple[np.ndarray, np.ndarray] | None,
    step: int,
    keys: list[Key],
) -> np.ndarray:
    """Puts panels side by side; below them, under a rule each, the candidates and the legend."""
    high, wide = panels[0].picture.shape[:2]
    cell = max(CELL, wide, *(text_width(panel.caption) for panel in panels))
    inside = len(panels) * cell + (len(panels) - 1) * GAP
    end = _head() + high + NEAR + text_height() + MARGIN // 2
    layout = None if strip is None else strip_layout(strip[0], inside)
    foot = end if layout is None else end + MARGIN // 2 + layout.height
    page = Image.new("RGB", (inside + 2 * MARGIN, foot + 1 + keys_height(keys, inside)), PAGE)
    draw = ImageDraw.Draw(page)
    for number, panel in enumerate(panels):
        left = MARGIN + number * (cell + GAP)
        draw_text(draw, (left, MARGIN), panel.title, INK, title=True)
        page.paste(Image.fromarray(panel.picture), (left, _head()))
        draw_text(draw, (left, _head() + high + NEAR), panel.caption, QUIET)
    if strip is not None and layout is not None:
        draw.line((0, end, page.width, end), fill=RULE)
        draw_strip(page, (MARGIN, end + MARGIN // 2), strip, layout, step)
    draw.line((0, foot, page.width, foot), fill=RULE)
    draw_keys(page, (MARGIN, foot + 1), keys, inside)
    return np.asarray(page)
