"""This file decides which box of a clip is erased, and by what: random erasing in its cube form.

One box for all frames; every value in it is noise of its own. Source: METHOD.md 1.3 (reprob).
"""

from functools import lru_cache
from statistics import NormalDist

import numpy as np

from everest import keys

AREA = (0.02, 1 / 3)  # of the frame
RATIO = (0.3, 1 / 0.3)  # height over width, drawn evenly on a logarithmic scale
TRIES = 10
LANES = 4  # 16-bit numbers in a draw of 64 bits
LEVELS = 1 << 16
Span = tuple[slice, slice]  # rows, columns


def box(height: int, width: int, key: int) -> Span | None:
    """The box; None where no drawn one is smaller than the frame both ways."""
    for attempt in range(TRIES):
        share = AREA[0] + (AREA[1] - AREA[0]) * keys.uniform(key, "erase.area", attempt)
        ratio = RATIO[0] * (RATIO[1] / RATIO[0]) ** keys.uniform(key, "erase.ratio", attempt)
        tall = round((share * height * width * ratio) ** 0.5)
        wide = round((share * height * width / ratio) ** 0.5)
        if 0 < tall < height and 0 < wide < width:
            top = keys.below(key, "erase.top", height - tall + 1, attempt)
            left = keys.below(key, "erase.left", width - wide + 1, attempt)
            return slice(top, top + tall), slice(left, left + wide)
    return None


@lru_cache(maxsize=16)
def levels(mean: float, std: float) -> np.ndarray:
    """(65536,) uint8: 16 fair bits -> a pixel value of a normal law, cut off at 0 and 255.

    `mean` and `std` are a model's, of pixels in 0..1: normalised, the noise has mean 0 and
    deviation 1.
    """
    law = NormalDist(255 * mean, 255 * std)
    edges = [law.cdf(value + 0.5) for value in range(255)]
    return np.searchsorted(edges, (np.arange(LEVELS) + 0.5) / LEVELS).astype(np.uint8)


def words(key: int, purpose: str, count: int) -> np.ndarray:
    """(count,) uint64: `keys.bits` at the counters 0..count-1."""
    base = np.uint64(keys.mix((key & keys.WORD) ^ keys.code_of(purpose)))
    word = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(keys.GOLDEN) + base
    for shift, multiplier in zip(keys.SHIFTS, keys.MULTIPLIERS, strict=False):
        word = (word ^ (word >> np.uint64(shift))) * np.uint64(multiplier)
    return word ^ (word >> np.uint64(keys.SHIFTS[-1]))


def noise(
    shape: tuple[int, ...], key: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> np.ndarray:
    """(..., channels) uint8; the last size is that of `mean` and `std`."""
    size = int(np.prod(shape))
    bits = words(key, "erase.noise", -(-size // LANES)).astype("<u8").view("<u2")
    drawn = bits[:size].reshape(shape)
    out = np.empty(shape, np.uint8)
    for channel, law in enumerate(zip(mean, std, strict=True)):
        out[..., channel] = levels(*law)[drawn[..., channel]]
    return out


def erased(
    clip: np.ndarray, share: float, key: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> np.ndarray:
    """(T, H, W, 3) uint8 -> the same shape; that share of clips loses a box."""
    if keys.uniform(key, "erase") >= share:
        return clip
    found = box(clip.shape[1], clip.shape[2], key)
    if found is None:
        return clip
    out = clip.copy()
    hole = out[:, found[0], found[1]]
    hole[...] = noise(hole.shape, key, mean, std)
    return out
