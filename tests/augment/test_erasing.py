"""The box that is erased: one for all frames, filled with noise as the model sees noise."""

import numpy as np
from scipy.stats import norm

from everest import keys
from everest.augment import erasing
from fairness import LEVEL, believed

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
KEYS = [keys.make_key(2, clip) for clip in range(2000)]


def grey_clip() -> np.ndarray:
    return np.full((4, 60, 80, 3), 7, np.uint8)


def test_the_boxs_area_and_shape_lie_where_they_are_published() -> None:
    found = [erasing.box(600, 800, key) for key in KEYS]
    sides = np.array(
        [(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in found]
    )
    areas, ratios = sides.prod(1) / (600 * 800), np.log(sides[:, 0] / sides[:, 1])
    assert 0.019 < areas.min() < 0.025 and 0.31 < areas.max() < 0.335
    assert np.log(0.3) - 0.02 < ratios.min() and ratios.max() < -np.log(0.3) + 0.02
    small = areas < 0.1  # a larger one of extreme shape does not fit
    assert abs((ratios[small] > 0).mean() - 0.5) < 0.06
    assert all(
        0 <= rows.start and rows.stop <= 600 and 0 <= columns.start and columns.stop <= 800
        for rows, columns in found
    )


def test_a_frame_that_no_box_fits_keeps_its_pixels() -> None:
    assert erasing.box(1, 400, KEYS[0]) is None
    clip = np.full((2, 1, 400, 3), 9, np.uint8)
    assert np.array_equal(erasing.erased(clip, 1.0, KEYS[0], MEAN, STD), clip)


def test_the_share_of_clips_that_is_asked_for_loses_a_box() -> None:
    clip = grey_clip()[:1, :12, :16]
    lost = [not np.array_equal(erasing.erased(clip, 0.25, k, MEAN, STD), clip) for k in KEYS[:800]]
    assert believed([sum(lost), 800 - sum(lost)], [0.25, 0.75]) > LEVEL
    assert not any(
        not np.array_equal(erasing.erased(clip, 0.0, k, MEAN, STD), clip) for k in KEYS[:20]
    )


def test_one_box_goes_through_all_frames_with_noise_of_its_own_in_each() -> None:
    clip = grey_clip()
    for key in KEYS[:10]:
        out = erasing.erased(clip, 1.0, key, MEAN, STD)
        rows, columns = erasing.box(60, 80, key)  # type: ignore[misc]
        outside = out.copy()
        outside[:, rows, columns] = 7
        assert np.array_equal(outside, clip)
        hole = out[:, rows, columns]
        assert hole.std() > 30
        frames = hole.reshape(4, -1)
        assert all((frames[0] == frames[other]).mean() < 0.05 for other in (1, 2, 3))
        assert np.array_equal(out, erasing.erased(clip, 1.0, key, MEAN, STD))
    assert np.array_equal(clip, grey_clip())


def test_noise_follows_the_normal_law_that_the_model_sees() -> None:
    drawn = erasing.noise((60, 60, 60, 3), KEYS[0], MEAN, STD)
    for channel in range(3):
        mean, std = 255 * MEAN[channel], 255 * STD[channel]
        edges = norm.cdf(np.arange(255) + 0.5, mean, std)
        shares = np.diff(edges, prepend=0, append=1)  # the ends hold what was cut off
        assert believed(np.bincount(drawn[..., channel].ravel(), minlength=256), shares) > LEVEL
    pairs = drawn.reshape(-1, 3)[:, :2].astype(float).T
    assert abs(np.corrcoef(pairs)[0, 1]) < 0.01
    row = drawn[..., 0].ravel().astype(float)
    assert abs(np.corrcoef(row[1:], row[:-1])[0, 1]) < 0.01


def test_noise_is_made_of_the_same_bits_as_every_other_draw() -> None:
    for key in KEYS[:3]:
        found = erasing.words(key, "erase.noise", 9).tolist()
        assert found == [keys.bits(key, "erase.noise", counter) for counter in range(9)]
