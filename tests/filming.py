"""This file decides how tests make video files whose frames carry their own number."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

BLOCKS = 8  # one a bit of the frame's number, least significant on the left


def numbered(number: int, width: int = 64, height: int = 32) -> np.ndarray:
    """A picture (height, width, 3) uint8: columns, white where a bit of the number is set."""
    bit = np.arange(width) * BLOCKS // width
    row = np.where(number >> bit & 1, 220, 30).astype(np.uint8)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def number(picture: np.ndarray) -> int:
    """The number that a picture (height, width, 3) carries."""
    width = picture.shape[1]
    centres = (np.arange(BLOCKS) * 2 + 1) * width // (2 * BLOCKS)
    return int(((picture[:, centres].mean((0, 2)) > 125) << np.arange(BLOCKS)).sum())


def write_film(
    path: Path,
    pictures: int | Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    shown: Sequence[int] | None = None,  # timestamps in 1/25 s
    options: dict[str, str] | None = None,
    **stream_settings: Any,
) -> Path:
    """Encodes pictures, or so many numbered ones, as one file."""
    if isinstance(pictures, int):
        pictures = [numbered(index) for index in range(pictures)]
    muxing = {"movflags": "faststart"} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", options=muxing) as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, 25)
        rotation = stream_settings.pop("rotation", None)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for name, value in stream_settings.items():
            setattr(stream.codec_context, name, value)
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = index if shown is None else shown[index]
            frame.time_base = Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
