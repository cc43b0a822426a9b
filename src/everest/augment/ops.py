"""This file decides what each operation on pictures does, given its strength: RandAugment's 15.

A clip is (T, H, W, 3) uint8 and stays that; every frame is changed alike. Nothing is drawn here.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

GREY = 128  # where a moved picture leaves nothing
FILL = (GREY, GREY, GREY)
Change = Callable[[np.ndarray], np.ndarray]


def each(clip: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """The clip with `change` applied to its frames one by one."""
    out = np.empty_like(clip)
    for number, frame in enumerate(clip):
        out[number] = np.asarray(change(Image.fromarray(frame)))
    return out


def at_once(clip: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """The same for a change that looks at single pixels: all frames are one tall picture."""
    frames, height, width, channels = clip.shape
    tall = Image.fromarray(np.ascontiguousarray(clip).reshape(frames * height, width, channels))
    return np.asarray(change(tall)).reshape(clip.shape)


def autocontrast(clip: np.ndarray) -> np.ndarray:
    """Each channel of each frame stretched to 0..255."""
    return each(clip, ImageOps.autocontrast)


def equalize(clip: np.ndarray) -> np.ndarray:
    """Each channel of each frame with a flat histogram."""
    return each(clip, ImageOps.equalize)


def invert(clip: np.ndarray) -> np.ndarray:
    return 255 - clip


def posterize(clip: np.ndarray, bits: int) -> np.ndarray:
    """The highest `bits` of 8 kept; 0 leaves black."""
    return clip & np.uint8(256 - (1 << (8 - bits)))


def solarize(clip: np.ndarray, threshold: int) -> np.ndarray:
    """Inverted from `threshold` (0..256) on."""
    return np.where(clip < threshold, clip, 255 - clip)


def solarize_add(clip: np.ndarray, added: int) -> np.ndarray:
    """`added` (0..127) more where a value is below 128."""
    return np.where(clip < 128, clip + np.uint8(added), clip)


def color(clip: np.ndarray, factor: float) -> np.ndarray:
    """0 is grey, 1 the clip itself; beyond 1 colours are stronger."""
    return at_once(clip, lambda tall: ImageEnhance.Color(tall).enhance(factor))


def contrast(clip: np.ndarray, factor: float) -> np.ndarray:
    """0 is the frame's mean grey, 1 the clip itself."""
    return each(clip, lambda frame: ImageEnhance.Contrast(frame).enhance(factor))


def brightness(clip: np.ndarray, factor: float) -> np.ndarray:
    """0 is black, 1 the clip itself."""
    return at_once(clip, lambda tall: ImageEnhance.Brightness(tall).enhance(factor))


def sharpness(clip: np.ndarray, factor: float) -> np.ndarray:
    """0 is smoothed, 1 the clip itself."""
    return each(clip, lambda frame: ImageEnhance.Sharpness(frame).enhance(factor))


def rotate(clip: np.ndarray, degrees: float) -> np.ndarray:
    """Counter-clockwise about the centre."""
    return each(clip, lambda frame: frame.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=FILL))


def affine(clip: np.ndarray, matrix: tuple[float, ...]) -> np.ndarray:
    """`matrix` (a, b, c, d, e, f): what is seen at (x, y) lay at (ax + by + c, dx + ey + f)."""
    height, width = clip.shape[1:3]
    return each(
        clip,
        lambda frame: frame.transform(
            (width, height),
            Image.Transform.AFFINE,
            matrix,
            Image.Resampling.BICUBIC,
            fillcolor=FILL,
        ),
    )


def shear_x(clip: np.ndarray, factor: float) -> np.ndarray:
    return affine(clip, (1, factor, 0, 0, 1, 0))


def shear_y(clip: np.ndarray, factor: float) -> np.ndarray:
    return affine(clip, (1, 0, 0, factor, 1, 0))


def translate_x(clip: np.ndarray, share: float) -> np.ndarray:
    """To the left by a share of the width, in whole pixels."""
    return moved(clip, 0, round(share * clip.shape[2]))


def translate_y(clip: np.ndarray, share: float) -> np.ndarray:
    """Up by a share of the height, in whole pixels."""
    return moved(clip, round(share * clip.shape[1]), 0)


def moved(clip: np.ndarray, up: int, left: int) -> np.ndarray:
    """Whole pixels are moved as they are: interpolating them would cost twenty times as much."""
    height, width = clip.shape[1:3]
    out = np.full_like(clip, GREY)
    kept = (max(height - abs(up), 0), max(width - abs(left), 0))
    to, back = (max(-up, 0), max(-left, 0)), (max(up, 0), max(left, 0))
    out[:, to[0] : to[0] + kept[0], to[1] : to[1] + kept[1]] = clip[
        :, back[0] : back[0] + kept[0], back[1] : back[1] + kept[1]
    ]
    return out
