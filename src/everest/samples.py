"""This file decides what the labelled motion videos of the demo and the tests show.

A handwritten digit moves over a smooth background; the label is the direction. The digit leaves
at one side and comes back at the other, and it starts anywhere with equal probability. So it is
anywhere with equal probability in every frame whatever the direction, and a single frame tells
nothing about the label. Large soft digits, slow steps and a gentle light are what a small masked
autoencoder learns to predict within minutes on two cores; fine textures it does not.

S pixels of a side; T frames.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

# (rows, columns) that a digit moves per frame, times its speed.
DIRECTIONS: dict[str, tuple[int, int]] = {
    "down": (1, 0),
    "left": (0, -1),
    "right": (0, 1),
    "up": (-1, 0),
}
SPLITS = ("train", "val", "test")
NAME = r"\.?(train|val|test)-\d+\.mp4(\.part)?"  # of a file, half written too
DIGIT_SHARE = {"train": 0.7, "val": 0.1, "test": 0.2}  # of the 1,797 digit images
DIGIT_SIDE = 0.65  # of the picture's side
SPEEDS = (1 / 64, 1 / 32)  # of the picture's side per frame: 1 and 2 pixels of 64
TILT = 0.5  # radians that the light may lean to either side
FPS = 8
GROUP = 8  # frames from one key frame to the next


@dataclass(frozen=True)
class Sample:
    """One clip and what it shows."""

    video: np.ndarray  # (T, S, S, 3) uint8
    label: str  # a key of DIRECTIONS
    split: str
    name: str  # of the file; tells nothing of the label


def make_samples(
    folder: Path,
    *,
    train: int,
    val: int,
    test: int,
    size: int = 64,
    frames: int = 16,
    seed: int = 0,
) -> Path:
    """Writes `folder/videos/*.mp4` and `folder/labels.csv` (path,label,split); returns the latter.

    train, val and test are numbers of clips; size is the side in pixels. In each split the
    directions are balanced to one clip, and no digit image is in two splits. Paths in labels.csv
    are relative to the folder. The same arguments write the same bytes. Raises ValueError for
    counts or sizes that make no clips, and where the folder already holds samples.
    """
    from everest.report.film import write_mp4

    folder = Path(folder)
    videos, table = folder / "videos", folder / "labels.csv"
    if table.exists() or (videos.exists() and any(videos.iterdir())):
        raise ValueError(f"{folder}: already holds samples; name a new folder or delete it first")
    counts = {"train": train, "val": val, "test": test}
    clips = draw_samples(counts, size=size, frames=frames, seed=seed)
    videos.mkdir(parents=True, exist_ok=True)
    part = table.with_name(".labels.csv.part")
    with part.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("path", "label", "split"))
        for clip in clips:
            path = write_mp4(list(clip.video), videos / clip.name, fps=FPS, group=GROUP)
            rows.writerow((path.relative_to(folder).as_posix(), clip.label, clip.split))
    # Renamed last: a table means that all of its videos are there.
    os.replace(part, table)
    return table


def remove_samples(folder: Path) -> None:
    """Removes what `make_samples` wrote; raises ValueError where anything else is in the folder."""
    foreign = [
        entry
        for entry in folder.rglob("*")
        if entry.relative_to(folder).parts
        not in {("labels.csv",), (".labels.csv.part",), ("videos",)}
        and not (entry.parent == folder / "videos" and re.fullmatch(NAME, entry.name))
    ]
    if foreign or folder.is_symlink():
        named = foreign[0] if foreign else folder
        raise ValueError(
            f"{folder}: holds {named}, which this demo did not make and which would be lost; move "
            f"it, or give another folder"
        )
    shutil.rmtree(folder)


def draw_samples(counts: dict[str, int], *, size: int, frames: int, seed: int) -> Iterator[Sample]:
    """Draws the clips of each split, one after the other; counts is split -> number of clips."""
    if size < 32 or size % 2:
        raise ValueError(f"size {size}: samples need an even side of at least 32 pixels")
    if frames < 2:
        raise ValueError(f"frames {frames}: a motion needs at least 2 frames")
    if min(counts.values()) < 0 or sum(counts.values()) < 1:
        raise ValueError(f"clips {counts}: give counts from 0 on, and at least 1 clip in all")
    return _draw_all(counts, size, frames, seed)


def _draw_all(counts: dict[str, int], size: int, frames: int, seed: int) -> Iterator[Sample]:
    digits = _digits_by_split(round(DIGIT_SIDE * size), seed)
    for split in SPLITS:
        directions = _generator(seed, split, 0).permutation(np.arange(counts[split]))
        for number, direction in enumerate(directions % len(DIRECTIONS)):
            label = list(DIRECTIONS)[direction]
            generator = _generator(seed, split, 1 + number)
            digit = digits[split][generator.integers(len(digits[split]))]
            video = _draw_clip(digit, DIRECTIONS[label], size, frames, generator)
            yield Sample(video, label, split, f"{split}-{number:05d}.mp4")


def _generator(seed: int, split: str, purpose: int) -> np.random.Generator:
    # A fresh generator a clip: a clip is the same however many others are drawn before it.
    return np.random.default_rng((seed, SPLITS.index(split), purpose))


def _draw_clip(
    digit: np.ndarray,
    direction: tuple[int, int],
    size: int,
    frames: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Draws one clip, (T, S, S, 3) uint8; every draw is independent of the direction."""
    background = _background(size, generator)
    ink = generator.uniform(0.80, 1.0, 3).astype(np.float32)
    cover = np.zeros((size, size), np.float32)
    cover[: len(digit), : len(digit)] = digit * generator.uniform(0.8, 1.0)
    row, column = generator.integers(size, size=2)
    # Whole pixels: a fractional step would blur the digit along its way and so give it away.
    speed = max(1, round(size * generator.choice(SPEEDS)))
    background, difference = 255 * background + 0.5, 255 * (ink - background)
    video = np.empty((frames, size, size, 3), np.uint8)
    for time in range(frames):
        place = (row + time * speed * direction[0], column + time * speed * direction[1])
        moved = np.roll(cover, place, axis=(0, 1))[..., None]
        video[time] = background + moved * difference
    return video


def _background(size: int, generator: np.random.Generator) -> np.ndarray:
    """Draws light from above, a ramp between two colours: (S, S, 3) float32 from 0.05 to 0.6."""
    tilt = generator.uniform(-TILT, TILT)
    across = np.arange(size, dtype=np.float32) / (size - 1) - 0.5
    ramp = np.cos(tilt) * across[:, None] + np.sin(tilt) * across  # (S, S), downwards
    ramp = 0.5 + ramp / (np.cos(tilt) + abs(np.sin(tilt)))
    high, low = generator.uniform(0.35, 0.6, 3), generator.uniform(0.05, 0.25, 3)
    return (high + ramp[..., None] * (low - high)).astype(np.float32)


def _digits_by_split(side: int, seed: int) -> dict[str, np.ndarray]:
    """Enlarges scikit-learn's handwritten digits to side pixels and deals them to the splits."""
    from PIL import Image
    from sklearn.datasets import load_digits

    images = load_digits().images.astype(np.float32) / 16  # (1797, 8, 8)
    order = np.random.default_rng(seed).permutation(len(images))
    # A margin of one pixel lets the strokes end softly instead of at the image's edge.
    images = np.pad(images[order], ((0, 0), (1, 1), (1, 1)))
    large = np.stack(
        [
            np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))
            for image in images
        ]
    )
    large = np.clip(large, 0, 1)  # bicubic passes both ends a little
    shares = np.cumsum([DIGIT_SHARE[split] for split in SPLITS])[:-1]
    parts = np.split(large, (shares * len(large)).astype(int))
    return dict(zip(SPLITS, parts, strict=True))
