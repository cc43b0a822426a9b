"""This file decides which of RandAugment's operations a clip gets, and how strong they are.

The set is the one known as "increasing": every operation changes more as its magnitude grows.
"""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from everest import keys
from everest.augment import ops
from everest.augment.spec import MOST, RandAugment

APPLIED = 0.5  # the share of drawn operations that are carried out
NORMAL = NormalDist()
Op = Callable[[np.ndarray, float], np.ndarray]  # clip, signed level in -1..1 -> clip


def factor(level: float) -> float:
    """What a picture is enhanced by: 0.1..1.9."""
    return 1.0 + 0.9 * level


# Every operation at a level from 0 to 1, signed where it has two directions.
OPERATIONS: dict[str, Op] = {
    "autocontrast": lambda clip, level: ops.autocontrast(clip),
    "equalize": lambda clip, level: ops.equalize(clip),
    "invert": lambda clip, level: ops.invert(clip),
    "rotate": lambda clip, level: ops.rotate(clip, 30 * level),
    "posterize": lambda clip, level: ops.posterize(clip, 4 - int(4 * abs(level))),
    "solarize": lambda clip, level: ops.solarize(clip, 256 - int(256 * abs(level))),
    "solarize_add": lambda clip, level: ops.solarize_add(clip, int(110 * abs(level))),
    "color": lambda clip, level: ops.color(clip, factor(level)),
    "contrast": lambda clip, level: ops.contrast(clip, factor(level)),
    "brightness": lambda clip, level: ops.brightness(clip, factor(level)),
    "sharpness": lambda clip, level: ops.sharpness(clip, factor(level)),
    "shear_x": lambda clip, level: ops.shear_x(clip, 0.3 * level),
    "shear_y": lambda clip, level: ops.shear_y(clip, 0.3 * level),
    "translate_x": lambda clip, level: ops.translate_x(clip, 0.45 * level),
    "translate_y": lambda clip, level: ops.translate_y(clip, 0.45 * level),
}
NAMES = tuple(OPERATIONS)


def drawn(spec: RandAugment, key: int) -> list[tuple[str, float]]:
    """(operation, signed level) of those that are carried out, in order; they may repeat."""
    found = []
    for number in range(spec.number):
        if keys.uniform(key, "randaugment.applied", number) >= APPLIED:
            continue
        name = NAMES[keys.below(key, "randaugment.operation", len(NAMES), number)]
        deviates = NORMAL.inv_cdf(keys.uniform(key, "randaugment.magnitude", number))
        magnitude = min(max(spec.magnitude + spec.deviation * deviates, 0.0), MOST)
        turned = keys.uniform(key, "randaugment.sign", number) < 0.5
        found.append((name, -magnitude / MOST if turned else magnitude / MOST))
    return found


def randaugment(clip: np.ndarray, spec: RandAugment, key: int) -> np.ndarray:
    """(T, H, W, 3) uint8 -> the same shape."""
    for name, level in drawn(spec, key):
        clip = OPERATIONS[name](clip, level)
    return clip
