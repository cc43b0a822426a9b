"""Which of RandAugment's operations a clip gets: by its key, all frames alike."""

from collections import Counter

import numpy as np
import pytest

from everest import keys
from everest.augment import ops
from everest.augment.randaugment import NAMES, OPERATIONS, drawn, randaugment
from everest.augment.spec import RandAugment, parse
from fairness import LEVEL, believed

SPEC = RandAugment(7.0, 4, 0.5)
KEYS = [keys.make_key(1, clip) for clip in range(3000)]


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (1, 24, 32, 3)).astype(np.uint8)


# The name


def test_the_published_name_is_read() -> None:
    assert parse("rand-m7-n4-mstd0.5-inc1") == SPEC
    assert parse("rand-m9-n2-inc1") == RandAugment(9.0, 2, 0.0)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("rand-m7-n4-mstd0.5", "give rand, m, n and inc1"),
        ("rand-m7-n4-mstd0.5-inc0", "give rand, m, n and inc1"),
        ("rand-n4-inc1", "give rand, m, n and inc1"),
        ("augmix-m7-n4-inc1", "give rand, m, n and inc1"),
        ("rand-m7-n4-w0-inc1", "cannot read 'w0'"),
        ("rand-m7-m8-n4-inc1", "cannot read 'm8'"),
        ("rand-m-7-n4-inc1", "cannot read 'm'"),
        ("rand-m11-n4-inc1", "m and mstd go from 0 to 10"),
        ("rand-m7-n0-inc1", "n is a whole number from 1 on"),
        ("rand-m7-n2.5-inc1", "n is a whole number from 1 on"),
    ],
)
def test_another_name_is_refused_with_an_example(name: str, told: str) -> None:
    with pytest.raises(ValueError, match=r"rand-m7-n4-mstd0\.5-inc1") as refused:
        parse(name)
    assert str(refused.value).startswith(f"--randaugment {name}: ")
    assert told in str(refused.value)


# The draws


def test_every_operation_is_drawn_equally_often_and_half_are_carried_out() -> None:
    found = [drawn(SPEC, key) for key in KEYS]
    counts = Counter(name for clip in found for name, _ in clip)
    assert set(counts) == set(NAMES) and len(NAMES) == 15
    assert believed([counts[name] for name in NAMES]) > LEVEL
    halves = np.bincount([len(clip) for clip in found], minlength=5)
    assert believed(halves, [1, 4, 6, 4, 1]) > LEVEL  # of four, each with a chance of one half


def test_magnitudes_deviate_as_asked_and_signs_are_even() -> None:
    levels = np.array([level for key in KEYS for _, level in drawn(SPEC, key)])
    magnitudes = 10 * np.abs(levels)
    assert magnitudes.mean() == pytest.approx(7, abs=0.05)
    assert magnitudes.std() == pytest.approx(0.5, abs=0.03)
    assert believed([(levels < 0).sum(), (levels > 0).sum()]) > LEVEL


def test_magnitudes_stay_between_0_and_10() -> None:
    for middle in (0.0, 10.0):
        levels = [abs(it) for key in KEYS[:300] for _, it in drawn(RandAugment(middle, 4, 5), key)]
        assert min(levels) == 0.0 or middle == 10
        assert max(levels) == 1.0 or middle == 0
        assert all(0 <= level <= 1 for level in levels)


def test_a_key_draws_the_same_each_time_and_another_key_otherwise() -> None:
    assert [drawn(SPEC, key) for key in KEYS[:20]] == [drawn(SPEC, key) for key in KEYS[:20]]
    assert len({str(drawn(SPEC, key)) for key in KEYS[:20]}) > 15


# What a magnitude of 7 means


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("invert", ops.invert),
        ("rotate", lambda clip: ops.rotate(clip, -21.0)),
        ("posterize", lambda clip: ops.posterize(clip, 2)),
        ("solarize", lambda clip: ops.solarize(clip, 77)),
        ("solarize_add", lambda clip: ops.solarize_add(clip, 77)),
        ("color", lambda clip: ops.color(clip, 0.37)),
        ("contrast", lambda clip: ops.contrast(clip, 0.37)),
        ("brightness", lambda clip: ops.brightness(clip, 0.37)),
        ("sharpness", lambda clip: ops.sharpness(clip, 0.37)),
        ("shear_x", lambda clip: ops.shear_x(clip, -0.21)),
        ("shear_y", lambda clip: ops.shear_y(clip, -0.21)),
        ("translate_x", lambda clip: ops.translate_x(clip, -0.315)),
        ("translate_y", lambda clip: ops.translate_y(clip, -0.315)),
    ],
)
def test_a_magnitude_is_a_strength_of_each_operation(name: str, wanted: ops.Change) -> None:
    found = OPERATIONS[name](picture(), -0.7).astype(int)
    assert np.abs(found - wanted(picture())).max() <= 1
    assert not np.array_equal(found, picture())


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"autocontrast", "equalize", "invert"}))
def test_every_operation_changes_more_as_its_magnitude_grows(name: str) -> None:
    across, down = np.meshgrid(np.arange(32) * 5, np.arange(24) * 4)
    smooth = np.stack((across, down, (across + down) // 2), axis=2)[None]
    clip = (picture() // 8 + smooth * 7 // 8).astype(np.uint8)

    def changed(level: float) -> float:
        return float(np.abs(OPERATIONS[name](clip, level).astype(int) - clip).mean())

    assert changed(0.1) < changed(1.0)
    assert name == "posterize" or changed(0.0) <= changed(0.1)


def test_frames_that_are_alike_stay_alike_and_the_key_decides() -> None:
    still = np.repeat(picture(), 3, axis=0)
    outs = [randaugment(still, SPEC, key) for key in KEYS[:30]]
    for out in outs:
        assert out.shape == still.shape and out.dtype == np.uint8
        assert np.array_equal(out[0], out[1]) and np.array_equal(out[0], out[2])
    again = [randaugment(still, SPEC, key) for key in KEYS[:30]]
    assert all(np.array_equal(one, other) for one, other in zip(outs, again, strict=True))
    assert len({out.tobytes() for out in outs}) > 20
