"""This file decides how a list of RGB frames becomes a file: .gif, .mp4 or .png.

T frames; H, W pixels. Every file is written beside its place and renamed last, so a stopped
program leaves no half picture.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

ENDINGS = (".gif", ".mp4", ".png")
GIF_COLOURS = 255  # one of the 256 is left for "unchanged", which makes files small
PALETTE_PIXELS = 400_000  # pixels looked at to choose a GIF's colours


def write_film(frames: Sequence[np.ndarray], path: Path | str, *, fps: float = 8.0) -> Path:
    """Writes frames, each (H, W, 3) uint8, by the ending of path and returns the path.

    .gif loops for ever; .mp4 is H.264; .png is the frame itself, or a contact sheet of several.
    Raises ValueError for another ending, for no frames, or for frames of different sizes.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"{path}: a film ends in {', '.join(ENDINGS)}; give one of these endings")
    _check(frames, path)
    if ending == ".mp4":
        return write_mp4(frames, path, fps=fps)
    if ending == ".gif":
        return _write_gif(frames, path, fps)
    return _write_png(frames, path)


def write_mp4(
    frames: Sequence[np.ndarray],
    path: Path | str,
    *,
    fps: float = 8.0,
    quality: int = 18,
    group: int = 12,
) -> Path:
    """Writes frames, each (H, W, 3) uint8, as H.264 in plain 8-bit yuv420p and returns the path.

    quality is x264's constant rate factor (lower is better, 18 looks like the original); group
    is the number of frames from one key frame to the next. Odd sides get one more row or column,
    a copy of the last. The same frames give the same bytes: one thread, no clock in the file.
    """
    import av

    path = Path(path)
    _check(frames, path)
    height, width = frames[0].shape[:2]
    odd = ((0, height % 2), (0, width % 2), (0, 0))
    is_odd = bool(height % 2 or width % 2)
    part = path.with_name(f".{path.name}.part")
    try:
        with av.open(str(part), "w", format="mp4", options={"movflags": "faststart"}) as container:
            stream = container.add_stream(
                "libx264",
                rate=Fraction(fps).limit_denominator(1001),
                options={
                    "crf": str(quality),
                    "preset": "veryfast",
                    "g": str(group),
                    "x264-params": (
                        "threads=1:lookahead-threads=1:scenecut=0:bframes=0:"
                        # What the conversion below uses, written down: else players guess by size.
                        "colorprim=smpte170m:transfer=smpte170m:colormatrix=smpte170m"
                    ),
                },
            )
            stream.width, stream.height = width + width % 2, height + height % 2
            stream.pix_fmt = "yuv420p"
            for frame in frames:
                picture = np.pad(frame, odd, mode="edge") if is_odd else frame
                picture = np.ascontiguousarray(picture)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _check(frames: Sequence[np.ndarray], path: Path) -> None:
    if not len(frames):
        raise ValueError(f"{path}: a film of 0 frames was asked for; give at least 1")
    first = frames[0].shape
    for number, frame in enumerate(frames):
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(
                f"{path}: frame {number} is {frame.dtype} of shape {frame.shape}; "
                "give uint8 of shape (H, W, 3)"
            )
        if frame.shape != first:
            raise ValueError(
                f"{path}: frame {number} has shape {frame.shape}, the first {first}; "
                "bring all frames to one size"
            )


def _write_gif(frames: Sequence[np.ndarray], path: Path, fps: float) -> Path:
    from PIL import Image

    palette = _palette(frames)
    # No dithering: its noise differs from frame to frame, which flickers and does not compress.
    pictures = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]
    part = path.with_name(f".{path.name}.part")
    try:
        pictures[0].save(
            part,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=max(20, round(1000 / fps)),  # milliseconds; browsers slow down below 20
            loop=0,
            optimize=False,
        )
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _palette(frames: Sequence[np.ndarray]) -> Image.Image:
    """Chooses one set of colours for the whole film, so that still parts do not flicker."""
    from PIL import Image

    pixels = np.concatenate([frame.reshape(-1, 3) for frame in frames])
    step = max(1, len(pixels) // PALETTE_PIXELS)
    seen = pixels[::step]
    rows = max(1, len(seen) // 1024)
    seen = seen[: rows * (len(seen) // rows)].reshape(rows, -1, 3)
    return Image.fromarray(np.ascontiguousarray(seen)).quantize(
        GIF_COLOURS, method=Image.Quantize.MEDIANCUT, kmeans=1
    )


def _write_png(frames: Sequence[np.ndarray], path: Path) -> Path:
    from PIL import Image

    from everest.report.panels import sheet

    picture = frames[0] if len(frames) == 1 else sheet(list(frames))
    part = path.with_name(f".{path.name}.part")
    try:
        Image.fromarray(picture).save(part, format="PNG", optimize=True)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path
