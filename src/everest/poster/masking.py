"""This file decides the picture that shows ways of masking side by side on one clip.

T frames; H, W pixels; t, h, w the token grid; P numbers of a patch.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from everest import crops, frames, video
from everest.cells import RunningCells
from everest.reading import resized
from everest.report.canvas import (
    INK,
    MARGIN,
    PAGE,
    QUIET,
    Key,
    draw_keys,
    draw_text,
    keys_height,
    text_height,
)
from everest.report.panels import MASKED, VISIBLE, kept_tokens
from everest.samples import draw_samples
from everest.selection import Look, RandomTokens, ReRo, Selection, Selector, Tube
from everest.vit import VideoTransformer, VitConfig

SIDE = 224  # pixels of the clip and of a panel
LENGTH = 16  # frames
STEPS = (1, 2, 4, 7)  # time steps that are shown: each turn of the running cells once
STRIDE = 4  # source frames, where the video is long enough
GAP = 14  # pixels between panels
WAYS: dict[str, Selector] = {
    "tube (VideoMAE)": Tube(0.1),
    "random tokens": RandomTokens(0.3, 0.1),
    "running cell": RunningCells(Tube(0.1), 0.5),
    "ReRo (EVEREST)": ReRo(0.3, 0.1),
}


def generated_clip() -> np.ndarray:
    """(T, H, W, 3) uint8: a clip as `everest demo` makes them."""
    counts = {"train": 1, "val": 0, "test": 0}
    return next(iter(draw_samples(counts, size=SIDE, frames=LENGTH, seed=6))).video


def clip_of(path: Path) -> np.ndarray:
    """(T, H, W, 3) uint8: the middle of a video; raises VideoError, a ValueError."""
    total = video.probe(path).frames
    stride = max(min(STRIDE, total // LENGTH), 1)
    read = video.read(path, frames.middle(total, LENGTH, stride))
    return resized(read, crops.center(read.shape[1:3], (SIDE, SIDE)), (SIDE, SIDE))


def selections(clip: np.ndarray) -> dict[str, Selection]:
    """What each way chooses of a clip; change is scored on pixels, no trained model is asked."""
    vit = VideoTransformer(VitConfig(32, 1, 1))
    patches = vit.patchify(torch.from_numpy(clip).permute(3, 0, 1, 2)[None])  # (1, t, h, w, P)
    look = Look(patches, torch.tensor([7]), torch.eye(patches.shape[4]))
    return {name: way(look) for name, way in WAYS.items()}


def draw_masking(clip: np.ndarray, path: Path) -> Path:
    """Draws a column for the clip and for each way, a row for each of some time steps, a PNG."""
    tubelet = VitConfig(32, 1, 1).tubelet
    patch = VitConfig(32, 1, 1).patch
    grid = (len(clip) // tubelet, clip.shape[1] // patch, clip.shape[2] // patch)
    chosen = selections(clip)
    head = MARGIN + text_height(title=True) + text_height() + 10
    columns, rows = 1 + len(chosen), len(STEPS)
    inside = columns * SIDE + (columns - 1) * GAP
    keys = [
        Key("read by the model", outline=VISIBLE),
        Key("predicted", outline=MASKED),
        Key("neither", fill=(48, 48, 52)),
    ]
    foot = head + rows * SIDE + (rows - 1) * GAP + MARGIN // 2
    page = Image.new("RGB", (inside + 2 * MARGIN, foot + keys_height(keys, inside)), PAGE)
    draw = ImageDraw.Draw(page)
    captions = {"the clip": f"{len(clip)} frames, {grid[0] * grid[1] * grid[2]:,} tokens"}
    captions |= {
        name: f"reads {selection.visible.shape[1]:,}, predicts {selection.masked.shape[1]:,}"
        for name, selection in chosen.items()
    }
    for column, (title, caption) in enumerate(captions.items()):
        left = MARGIN + column * (SIDE + GAP)
        draw_text(draw, (left, MARGIN), title, INK, title=True)
        draw_text(draw, (left, MARGIN + text_height(title=True) + 2), caption, QUIET)
        for row, step in enumerate(STEPS):
            frame = clip[step * tubelet]
            if column:
                selection = chosen[title]
                frame = kept_tokens(
                    frame,
                    marked(selection.visible, grid)[step],
                    marked(selection.masked, grid)[step],
                    (SIDE, SIDE),
                )
            page.paste(Image.fromarray(frame), (left, head + row * (SIDE + GAP)))
    draw_keys(page, (MARGIN, foot), keys, inside)
    page.save(path, format="PNG")
    return path


def marked(positions: torch.Tensor, grid: tuple[int, int, int]) -> np.ndarray:
    """(1, K) positions -> (t, h, w) bool."""
    flags = np.zeros(grid, bool)
    flags.reshape(-1)[positions[0].numpy()] = True
    return flags
