"""This file decides how the pictures of a folder are read as the frames of a video (Pillow)."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from PIL import Image, ImageOps

from everest.decoder import MAX_PIXELS, VideoError, in_words, known_start
from everest.frame_folders import RATE, Frames, NotFrames, frames_of
from everest.packets import VideoInfo
from everest.pictures import scaled_size

FORMATS = ("JPEG", "PNG")  # whatever the ending says; Pillow is asked for no other
ORIENTATION = 0x0112  # in the EXIF of a photograph
Size = tuple[int, int]  # width, height in pixels


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Lists the folder and decodes its first picture. Raises VideoError."""
    folder = os.path.abspath(path)
    frames = _frames(folder)
    with _opened(folder, frames.names[0]) as image:
        kind = str(image.format).lower()
        width, height = _picture(folder, frames.names[0], image).size
    return VideoInfo(
        path=folder,
        frames=len(frames.names),
        fps=RATE,
        seconds=len(frames.names) / RATE,
        width=width,
        height=height,
        rotation=0,
        codec=kind,
        container="frames",
    )


def scan(path: str | os.PathLike[str], alive: Callable[[], None]) -> VideoInfo:
    """Decodes every picture once and calls `alive` at each. Raises VideoError."""
    info = probe(path)
    for name in _frames(info.path).names:
        _read(info.path, name, (info.width, info.height))
        alive()
    return info


def read(
    path: str | os.PathLike[str],
    indices: Sequence[int] | np.ndarray,
    *,
    short_side: int | None,
    alive: Callable[[], None],
) -> np.ndarray:
    """Chosen frames -> (len(indices), H, W, 3) uint8, as `video.read` does.

    Raises VideoError that names the picture that is missing, damaged or of another size than the
    folder's first.
    """
    folder = os.path.abspath(path)
    frames = _frames(folder)
    wanted, slots = np.unique(
        np.minimum(np.asarray(indices, np.int64), len(frames.names) - 1), return_inverse=True
    )
    size = _size(folder, frames.names[0])
    width, height = scaled_size(folder, size, short_side)
    pictures = np.empty((len(wanted), height, width, 3), np.uint8)
    for slot, index in enumerate(wanted):
        picture = _scaled(_read(folder, frames.names[index], size), (width, height))
        pictures[slot] = np.asarray(picture)
        alive()
    ascending = len(wanted) == len(slots) and bool((np.diff(slots) > 0).all())
    return pictures if ascending else pictures[slots]


def stream(
    path: str | os.PathLike[str], *, short_side: int | None, start: float, end: float | None
) -> Iterator[tuple[float, np.ndarray]]:
    """(seconds, picture (H, W, 3) uint8), as `video.stream` does, at RATE. Raises VideoError."""
    folder = os.path.abspath(path)
    frames = _frames(folder)
    size = _size(folder, frames.names[0])
    target = scaled_size(folder, size, short_side)
    for index, name in enumerate(frames.names):
        seconds = index / RATE
        if seconds >= start and (end is None or seconds < end):
            yield seconds, np.asarray(_scaled(_read(folder, name, size), target))


def _frames(folder: str) -> Frames:
    try:
        return frames_of(folder)
    except (NotFrames, OSError) as error:
        cause = in_words(error) if isinstance(error, OSError) else str(error)
        raise VideoError(f"{folder}: {cause}") from error


def _opened(folder: str, name: str) -> Image.Image:
    """A picture whose header was read and believed; raises VideoError."""
    path = os.path.join(folder, name)
    try:
        found = os.stat(path)
        # A pipe named 000001.jpg would block whoever opens it.
        if not stat.S_ISREG(found.st_mode):
            raise VideoError(f"{folder}: {name}: not a regular file")
        if found.st_size == 0:
            raise VideoError(f"{folder}: {name}: an empty file (0 bytes)")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is refused just below
            image = Image.open(path, formats=FORMATS)
    except VideoError:
        raise
    except Exception as error:
        raise VideoError(f"{folder}: {name}: {_cause(path, error)}") from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        size = f"{image.width}x{image.height}"
        raise VideoError(f"{folder}: {name}: claims {size}, more than {MAX_PIXELS:,} pixels")
    return image


def _cause(path: str, error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"claims more than {MAX_PIXELS:,} pixels"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    known = known_start(path)
    return known if known and not known.startswith("a picture") else "damaged, or not a picture"


def _size(folder: str, name: str) -> Size:
    """The size of a picture as it is shown, by its header."""
    with _opened(folder, name) as image:
        return image.size[::-1] if _orientation(image) > 4 else image.size


def _orientation(image: Image.Image) -> int:
    """1 to 8 as EXIF numbers them; 1, upright, where nothing readable is said."""
    if "exif" not in image.info:
        return 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            told = image.getexif().get(ORIENTATION, 1)
    except Exception:  # whatever a damaged EXIF raises; the picture itself may be sound
        return 1
    return told if told in range(1, 9) else 1


def _picture(folder: str, name: str, image: Image.Image) -> Image.Image:
    """The picture, decoded, upright and RGB; raises VideoError."""
    try:
        image.load()
        if _orientation(image) > 1:
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):  # 16 bits of grey, which a conversion would cut off at 255
            grey = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
            image = Image.fromarray(grey)
        if image.mode in ("P", "PA"):  # transparency in a palette is not dropped without a warning
            image = image.convert("RGBA")
        return image if image.mode == "RGB" else image.convert("RGB")
    except Exception as error:
        cause = _cause(os.path.join(folder, name), error)
        raise VideoError(f"{folder}: {name}: cannot be decoded: {cause}") from error


def _read(folder: str, name: str, size: Size) -> Image.Image:
    with _opened(folder, name) as image:
        picture = _picture(folder, name, image)
    if picture.size != size:
        raise VideoError(
            f"{folder}: {name}: is {picture.width}x{picture.height}, the first picture"
            f" {size[0]}x{size[1]}; give all frames of a video one size"
        )
    return picture


def _scaled(picture: Image.Image, size: Size) -> Image.Image:
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)
