"""This file decides how a clip's brightness, contrast and colours vary."""

import numpy as np

from everest import keys
from everest.augment import ops

CHANGES = {"brightness": ops.brightness, "contrast": ops.contrast, "color": ops.color}


def drawn(strength: float, key: int) -> list[tuple[str, float]]:
    """(change, factor in 1 - strength..1 + strength) in a drawn order."""
    names = tuple(CHANGES)
    return [
        (names[place], 1 + strength * (2 * keys.uniform(key, "jitter.factor", place) - 1))
        for place in keys.order(key, "jitter.order", len(names))
    ]


def jitter(clip: np.ndarray, strength: float, key: int) -> np.ndarray:
    """(T, H, W, 3) uint8 -> the same shape; strength 0..1."""
    for name, factor in drawn(strength, key):
        clip = CHANGES[name](clip, factor)
    return clip
