"""How a clip's brightness, contrast and colours vary."""

from collections import Counter

import numpy as np

from everest import keys
from everest.augment.jitter import drawn, jitter
from fairness import LEVEL, believed

KEYS = [keys.make_key(3, clip) for clip in range(3000)]


def test_factors_are_even_about_1_and_orders_equally_likely() -> None:
    found = [drawn(0.4, key) for key in KEYS]
    factors = np.array([factor for clip in found for _, factor in clip])
    assert 0.6 < factors.min() < 0.61 and 1.39 < factors.max() < 1.4
    assert believed(np.histogram(factors, bins=8, range=(0.6, 1.4))[0]) > LEVEL
    orders = Counter(tuple(name for name, _ in clip) for clip in found)
    assert len(orders) == 6 and believed(list(orders.values())) > LEVEL


def naive(clip: np.ndarray, changes: list[tuple[str, float]]) -> np.ndarray:
    """The same changes as formulas, rounded after each as pixels are."""
    values = clip.astype(float)
    for name, factor in changes:
        grey = (values @ [0.299, 0.587, 0.114])[..., None]
        base = {
            "brightness": np.zeros(1),
            "contrast": grey.mean((1, 2), keepdims=True).round(),
            "color": grey.round(),
        }[name]
        values = np.clip(base + factor * (values - base), 0, 255).round()
    return values


def test_the_changes_follow_each_other_as_formulas_say() -> None:
    clip = np.random.default_rng(0).integers(0, 256, (2, 20, 24, 3)).astype(np.uint8)
    for key in KEYS[:20]:
        out = jitter(clip, 0.4, key)
        assert out.shape == clip.shape and out.dtype == np.uint8
        assert np.abs(out - naive(clip, drawn(0.4, key))).max() <= 4
        assert np.array_equal(out, jitter(clip, 0.4, key))
    assert np.array_equal(jitter(clip, 0.0, KEYS[0]), clip)


def test_frames_that_are_alike_stay_alike() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1, 20, 24, 3)).astype(np.uint8)
    out = jitter(np.repeat(frame, 3, axis=0), 0.8, KEYS[1])
    assert np.array_equal(out[0], out[1]) and np.array_equal(out[0], out[2])
    assert not np.array_equal(out[0], frame[0])
