"""Each operation on pictures, held against a formula or against Pillow called another way."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy.ndimage import convolve

from everest.augment import ops

HEIGHT, WIDTH = 40, 56
ACROSS, DOWN = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)  # pixel centres


def noise(seed: int = 0) -> np.ndarray:
    """(2, HEIGHT, WIDTH, 3) uint8; the second frame is darker than the first."""
    drawn = np.random.default_rng(seed).integers(20, 236, (2, HEIGHT, WIDTH, 3))
    return (drawn // [[[[1]]], [[[2]]]]).astype(np.uint8)


def per_frame(clip: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(change(Image.fromarray(frame))) for frame in clip])


def grey(clip: np.ndarray) -> np.ndarray:
    """(T, H, W, 1): the luminance of ITU-R 601."""
    return (clip @ np.array([0.299, 0.587, 0.114]))[..., None]


def blended(base: np.ndarray, clip: np.ndarray, factor: float) -> np.ndarray:
    return np.clip(base + factor * (clip.astype(float) - base), 0, 255)


def assert_close(found: np.ndarray, wanted: np.ndarray, levels: float) -> None:
    assert found.dtype == np.uint8 and found.shape == wanted.shape
    assert np.abs(found.astype(float) - wanted).max() <= levels


# Values


def test_autocontrast_stretches_each_channel_of_each_frame() -> None:
    clip = noise()
    low = clip.min((1, 2), keepdims=True).astype(float)
    high = clip.max((1, 2), keepdims=True)
    assert_close(ops.autocontrast(clip), (clip - low) * 255 / (high - low), 1)


def test_equalize_gives_a_value_the_share_of_pixels_below_it() -> None:
    found = ops.equalize(noise())
    for frame, out in zip(noise(), found, strict=True):
        for channel in range(3):
            values = frame[..., channel].ravel()
            counts = np.bincount(values, minlength=256)
            below = (np.cumsum(counts) - counts)[values]
            share = below / (values.size - counts[values.max()])
            # Pillow counts in whole steps of 1/255 of the pixels.
            assert np.abs(out[..., channel].ravel() - 255 * share).max() < 30
            assert (np.diff(out[..., channel].ravel()[np.argsort(values)].astype(int)) >= 0).all()
    assert found.min() == 0 and found.max() == 255


def test_equalize_is_pillows() -> None:
    assert np.array_equal(ops.equalize(noise()), per_frame(noise(), ImageOps.equalize))


def test_invert_is_pillows() -> None:
    assert np.array_equal(ops.invert(noise()), per_frame(noise(), ImageOps.invert))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_posterize_keeps_the_highest_bits(bits: int) -> None:
    wanted = per_frame(noise(), lambda frame: ImageOps.posterize(frame, bits))
    assert np.array_equal(ops.posterize(noise(), bits), wanted)


def test_posterize_without_bits_is_black() -> None:
    assert not ops.posterize(noise(), 0).any()


@pytest.mark.parametrize("threshold", [0, 1, 77, 128, 255, 256])
def test_solarize_inverts_from_the_threshold_on(threshold: int) -> None:
    wanted = per_frame(noise(), lambda frame: ImageOps.solarize(frame, threshold))
    found = ops.solarize(noise(), threshold)
    assert np.array_equal(found, wanted) and found.dtype == np.uint8


@pytest.mark.parametrize("added", [0, 77, 110])
def test_solarize_add_lifts_what_is_dark(added: int) -> None:
    table = [value + added if value < 128 else value for value in range(256)]
    found = ops.solarize_add(noise(), added)
    assert np.array_equal(found, per_frame(noise(), lambda frame: frame.point(table * 3)))


@pytest.mark.parametrize("factor", [0.1, 0.37, 1.0, 1.63, 1.9])
def test_enhancers_blend_with_their_neutral_picture(factor: float) -> None:
    clip = noise()
    mean = np.broadcast_to(grey(clip).mean((1, 2), keepdims=True), clip.shape)
    assert_close(ops.color(clip, factor), blended(grey(clip), clip, factor), 2)
    assert_close(ops.contrast(clip, factor), blended(mean, clip, factor), 2)
    assert_close(ops.brightness(clip, factor), blended(np.zeros(1), clip, factor), 1)


@pytest.mark.parametrize("factor", [0.1, 1.0, 1.63])
def test_sharpness_blends_with_a_smoothed_picture(factor: float) -> None:
    clip = noise()
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    smooth = convolve(clip.astype(float), kernel[None, :, :, None], mode="nearest")
    found = ops.sharpness(clip, factor)
    inner = (slice(None), slice(1, -1), slice(1, -1))
    assert_close(found[inner], blended(smooth, clip, factor)[inner], 2)


def test_a_factor_of_1_changes_nothing() -> None:
    for change in (ops.color, ops.contrast, ops.brightness, ops.sharpness):
        assert np.array_equal(change(noise(), 1.0), noise())


# Places: a smooth picture is known between its pixels, so where each is seen can be computed


def waves(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What a smooth picture shows at (x, y): (..., 3)."""
    shown = (
        np.sin(x / 9 + y / 14),
        np.cos(x / 11 - y / 8),
        np.sin(x / 16) * np.cos(y / 12),
    )
    return 128 + 110 * np.stack(shown, axis=-1)


def assert_seen(found: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """Whether each pixel shows what lay at (x, y), and grey where that is outside."""
    is_inside = (x > 1.5) & (x < WIDTH - 1.5) & (y > 1.5) & (y < HEIGHT - 1.5)
    is_outside = (x < -0.01) | (x > WIDTH + 0.01) | (y < -0.01) | (y > HEIGHT + 0.01)
    assert is_inside.mean() > 0.5
    for frame in found:
        assert np.abs(frame[is_inside] - waves(x, y)[is_inside]).max() < 4
        assert (frame[is_outside] == 128).all()


def film() -> np.ndarray:
    return np.stack([waves(ACROSS, DOWN).round().astype(np.uint8)] * 2)


@pytest.mark.parametrize("degrees", [-30.0, -4.0, 21.0])
def test_rotation_turns_about_the_centre_counter_clockwise(degrees: float) -> None:
    turn = np.deg2rad(degrees)
    x, y = ACROSS - WIDTH / 2, DOWN - HEIGHT / 2
    # Rows go down: what lay to the right (x > 0) is seen higher up (y < 0).
    lay_x = np.cos(turn) * x - np.sin(turn) * y + WIDTH / 2
    lay_y = np.sin(turn) * x + np.cos(turn) * y + HEIGHT / 2
    assert_seen(ops.rotate(film(), degrees), lay_x, lay_y)


def test_a_quarter_turn_is_numpys() -> None:
    square = noise()[:, :, :HEIGHT]
    assert np.array_equal(ops.rotate(square, 90), np.rot90(square, axes=(1, 2)))


@pytest.mark.parametrize("factor", [-0.3, 0.21])
def test_a_shear_moves_a_row_by_its_distance_from_the_top(factor: float) -> None:
    assert_seen(ops.shear_x(film(), factor), ACROSS + factor * DOWN, DOWN)
    assert_seen(ops.shear_y(film(), factor), ACROSS, DOWN + factor * ACROSS)


@pytest.mark.parametrize("share", [-0.45, -0.1, 0.0, 0.315, 1.5])
def test_a_translation_moves_whole_pixels_and_leaves_grey(share: float) -> None:
    def pillow(x: int, y: int) -> np.ndarray:
        return per_frame(
            noise(),
            lambda frame: frame.transform(
                frame.size,
                Image.Transform.AFFINE,
                (1, 0, x, 0, 1, y),
                Image.Resampling.NEAREST,
                fillcolor=(128, 128, 128),
            ),
        )

    assert np.array_equal(ops.translate_x(noise(), share), pillow(round(share * WIDTH), 0))
    assert np.array_equal(ops.translate_y(noise(), share), pillow(0, round(share * HEIGHT)))


def test_no_operation_changes_the_clip_it_is_given() -> None:
    clip = noise()
    for change in (
        ops.autocontrast, ops.equalize, ops.invert, lambda it: ops.posterize(it, 2),
        lambda it: ops.solarize(it, 77), lambda it: ops.solarize_add(it, 77),
        lambda it: ops.color(it, 1.6), lambda it: ops.contrast(it, 1.6),
        lambda it: ops.brightness(it, 1.6), lambda it: ops.sharpness(it, 1.6),
        lambda it: ops.rotate(it, 21), lambda it: ops.shear_x(it, 0.2),
        lambda it: ops.shear_y(it, 0.2), lambda it: ops.translate_x(it, 0.3),
        lambda it: ops.translate_y(it, 0.3),
    ):  # fmt: skip
        assert not np.array_equal(change(clip), clip)
        assert np.array_equal(clip, noise())
