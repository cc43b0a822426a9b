"""This file decides how pictures stand in the page itself: many in one, as a data URI.

T frames; H, W pixels.
"""

import base64
import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, features

TALLEST = 160  # pixels of a frame's shorter side
FRAMES = 32  # of a clip at most
QUALITY = 82


@dataclass(frozen=True)
class Sprites:
    """Pictures of one size in a sheet: the first row from left to right, then the next."""

    picture: str  # data URI
    count: int
    columns: int
    width: int  # pixels of one
    height: int

    def to_json(self) -> dict[str, Any]:
        return {
            "picture": self.picture,
            "count": self.count,
            "columns": self.columns,
            "width": self.width,
            "height": self.height,
        }


def sprites(video: np.ndarray, *, shortest: int = TALLEST) -> Sprites:
    """(T, H, W, C) uint8 -> a sheet, each picture shrunk so that its shorter side fits."""
    count, height, width = video.shape[:3]
    share = min(1.0, shortest / min(height, width))
    size = (max(1, round(width * share)), max(1, round(height * share)))
    columns = max(1, math.ceil(math.sqrt(count * size[1] / size[0])))
    rows = -(-count // columns)
    sheet = Image.new("RGB", (columns * size[0], rows * size[1]))
    for number, frame in enumerate(video):
        picture = Image.fromarray(coloured(frame))
        if picture.size != size:
            picture = picture.resize(size, Image.Resampling.BOX)
        row, column = divmod(number, columns)
        sheet.paste(picture, (column * size[0], row * size[1]))
    return Sprites(data_uri(sheet), count, columns, *size)


def coloured(frame: np.ndarray) -> np.ndarray:
    """(H, W, C) -> (H, W, 3): grey is shown grey, of more channels the first three."""
    if frame.shape[2] >= 3:
        return np.ascontiguousarray(frame[..., :3])
    return np.repeat(frame[..., :1], 3, axis=2)


def data_uri(picture: Image.Image) -> str:
    """WebP where this Pillow can write it, else JPEG: every browser of today shows both."""
    form = "WEBP" if features.check("webp") else "JPEG"
    buffer = io.BytesIO()
    options = {"method": 2} if form == "WEBP" else {}
    picture.save(buffer, format=form, quality=QUALITY, **options)
    return f"data:image/{form.lower()};base64,{packed(buffer.getvalue())}"


def packed(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
