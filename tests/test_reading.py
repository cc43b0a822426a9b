"""A request becomes the same pixels with and without a cache, framed as it says."""

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from everest import video
from everest.augment.clip import Changes
from everest.augment.erasing import erased
from everest.augment.jitter import jitter
from everest.augment.randaugment import randaugment
from everest.augment.spec import parse
from everest.cache import FrameCache
from everest.reading import ClipReader, Fit, Framing, Request, padded
from everest.video import VideoError
from filming import write_film

HEIGHT, WIDTH = 36, 64


def picture(number: int) -> np.ndarray:
    """Nothing in it is alike left and right or above and below."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    red, green = 255 * columns // (WIDTH - 1), 255 * rows // (HEIGHT - 1)
    return np.stack((red, green, np.full_like(red, 20 * number)), axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight frames, as good as lossless."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return write_film(path, [picture(number) for number in range(8)], options={"crf": "4"})


def read(film: Path, framing: Framing, *, cache: Path | None = None, key: int = 0) -> np.ndarray:
    request = Request(str(film), (5, 1, 1, 7), key, framing)
    reader = ClipReader(FrameCache(None if cache is None else str(cache)))
    return reader(request, lambda: None).pixels


# Framing


@pytest.mark.parametrize("size", [(16, 16), (32, 24), (36, 64), (48, 80)])
@pytest.mark.parametrize("crop", ["center", "multiscale", "area", "shift"])
@pytest.mark.parametrize("short_side", [None, 20, 40])
def test_every_framing_gives_the_size_that_is_asked_for(
    size: tuple[int, int], crop: str, short_side: int | None, film: Path
) -> None:
    framing = Framing(size, "crop", short_side, crop, 4)  # type: ignore[arg-type]
    clip = read(film, framing)
    assert clip.shape == (4, *size, 3) and clip.dtype == np.uint8
    assert clip.flags["C_CONTIGUOUS"]


def test_frames_come_in_the_order_asked_for_with_repeats(film: Path) -> None:
    clip = read(film, Framing((HEIGHT, WIDTH)))
    blue = clip[..., 2].mean((1, 2))
    assert np.abs(blue - [100, 20, 20, 140]).max() < 6
    assert np.array_equal(clip[1], clip[2])


def test_the_frame_at_its_own_size_is_passed_on_as_it_was_decoded(film: Path) -> None:
    whole = video.read(str(film), (5, 1, 1, 7))
    assert np.array_equal(read(film, Framing((HEIGHT, WIDTH))), whole)
    cut = read(film, Framing((HEIGHT, HEIGHT), short_side=HEIGHT))
    assert np.array_equal(cut, whole[:, :, 14 : 14 + HEIGHT])


def test_a_centre_crop_of_a_wide_frame_loses_both_ends_alike(film: Path) -> None:
    clip = read(film, Framing((18, 18))).astype(float)
    red = clip[0, :, :, 0].mean(0)
    assert red[0] + red[-1] == pytest.approx(255, abs=8)
    assert 50 < red[0] < 65


@pytest.mark.parametrize(
    ("size", "inside"),
    [((32, 32), (slice(7, 25), slice(0, 32))), ((36, 80), (slice(0, 36), slice(8, 72)))],
)
def test_padding_shows_the_whole_frame_with_black_beside_it(
    size: tuple[int, int], inside: tuple[slice, slice], film: Path
) -> None:
    clip = read(film, Framing(size, "pad"))
    assert clip.shape == (4, *size, 3)
    shown = clip[:, inside[0], inside[1]].astype(float)
    assert shown[0, :, 0, 0].mean() < 12 and shown[0, :, -1, 0].mean() > 243
    assert shown[0, 0, :, 1].mean() < 14 and shown[0, -1, :, 1].mean() > 241
    outside = clip.copy()
    outside[:, inside[0], inside[1]] = 0
    assert outside.max() == 0
    assert clip.any(axis=(0, 3)).sum() == shown.shape[1] * shown.shape[2]


def test_padding_never_stretches() -> None:
    tall = np.full((1, 40, 10, 3), 200, np.uint8)
    out = padded(tall, (20, 20))
    lit = out[0].any(axis=2)
    assert lit.any(axis=1).sum() == 20 and lit.any(axis=0).sum() == 5


def test_a_flip_mirrors_the_share_of_clips_that_is_asked_for(film: Path) -> None:
    plain = read(film, Framing((HEIGHT, WIDTH)))
    flipped = 0
    for key in range(200):
        clip = read(film, Framing((HEIGHT, WIDTH), flip=0.3), key=key) if key < 40 else None
        if clip is None:
            break
        mirrored = np.array_equal(clip, plain[:, :, ::-1])
        assert mirrored or np.array_equal(clip, plain)
        flipped += mirrored
    assert 3 <= flipped <= 23  # 0.3 of 40, five deviations to both sides
    assert np.array_equal(read(film, Framing((HEIGHT, WIDTH), flip=1.0)), plain[:, :, ::-1])


def test_all_frames_of_a_clip_are_cropped_alike_and_by_the_key(film: Path) -> None:
    framing = Framing((16, 16), crop="area")
    clip = read(film, framing, key=3)
    assert np.array_equal(clip, read(film, framing, key=3))
    assert np.abs(clip[0, ..., :2].astype(int) - clip[1, ..., :2]).max() < 14
    others = [read(film, framing, key=key) for key in range(4, 8)]
    assert all(not np.array_equal(clip, other) for other in others)


class Counted:
    """Counts how often a video is decoded."""

    def __init__(self, real: Callable[..., np.ndarray]) -> None:
        self.real = real
        self.calls: list[Sequence[int]] = []

    def __call__(self, path: str, indices: Sequence[int], **more: object) -> np.ndarray:
        self.calls.append(indices)
        return self.real(path, indices, **more)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted(video.read)
    monkeypatch.setattr(video, "read", counted)
    return counted


# Changes of training clips


SPEC = parse("rand-m7-n4-mstd0.5-inc1")


def test_changes_come_in_the_order_frames_crop_flip_clip(film: Path) -> None:
    changes = Changes(SPEC, 0.4, 1.0)
    size = (24, 24)
    for key in range(12):
        framing = Framing(size, crop="shift", crop_shift=0, flip=1.0, changes=changes)
        whole = randaugment(video.read(str(film), (5, 1, 1, 7)), SPEC, key)
        cut = whole[:, 6:30, 20:44, :][:, :, ::-1]
        wanted = erased(jitter(cut, 0.4, key), 1.0, key, changes.mean, changes.std)
        assert np.array_equal(read(film, framing, key=key), wanted)


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_more_clips_of_a_decode_are_those_of_their_keys(
    fit: Fit, film: Path, decoded: Counted
) -> None:
    framing = Framing((24, 24), fit, crop="area", flip=0.5, changes=Changes(SPEC, 0.4, 0.5))
    request = Request(str(film), (5, 1, 1, 7), 3, framing, further=(4, 5))
    clip = ClipReader(FrameCache(None))(request, lambda: None)
    assert len(decoded.calls) == 1 and len(clip.further) == 2
    found = [clip.pixels, *(more.pixels for more in clip.further)]
    for key, pixels in zip((3, 4, 5), found, strict=True):
        assert pixels.flags["C_CONTIGUOUS"] and pixels.dtype == np.uint8
        assert np.array_equal(pixels, read(film, framing, key=key))
    assert not np.array_equal(found[0], found[1]) and not np.array_equal(found[1], found[2])


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_video_that_cannot_be_read_is_named(fit: Fit, tmp_path: Path) -> None:
    path = tmp_path / "none.mp4"
    with pytest.raises(VideoError, match=str(path)):
        read(path, Framing((16, 16), fit))
    path.write_bytes(b"no film")
    for cache in (None, tmp_path / "cache"):
        with pytest.raises(VideoError, match=str(path)):
            read(path, Framing((16, 16), fit), cache=cache)


# The cache


FRAMINGS = [
    Framing((16, 16), short_side=20, crop="shift", crop_shift=2),
    Framing((24, 24), crop="multiscale", flip=0.5),
    Framing((32, 32), "pad"),
]


@pytest.mark.parametrize("framing", FRAMINGS, ids=["shift", "multiscale", "pad"])
def test_cached_pixels_equal_uncached_ones_bit_for_bit(
    framing: Framing, film: Path, tmp_path: Path, decoded: Counted
) -> None:
    plain = [read(film, framing, key=key) for key in range(3)]
    assert len(decoded.calls) == 3
    cached = [read(film, framing, key=key, cache=tmp_path / "cache") for key in range(3)]
    assert len(decoded.calls) == 4 and list(decoded.calls[3]) == list(range(8))
    assert all(np.array_equal(one, other) for one, other in zip(plain, cached, strict=True))


def test_a_changed_video_is_decoded_anew(film: Path, tmp_path: Path, decoded: Counted) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(film.read_bytes())
    cache = tmp_path / "cache"
    framing = Framing((HEIGHT, WIDTH))
    before = read(path, framing, cache=cache)
    write_film(path, [picture(8 - number) for number in range(8)], options={"crf": "4"})
    after = read(path, framing, cache=cache)
    assert len(decoded.calls) == 2
    assert np.array_equal(after, read(path, framing)) and not np.array_equal(after, before)


def test_scales_are_cached_apart(film: Path, tmp_path: Path, decoded: Counted) -> None:
    cache = tmp_path / "cache"
    for short_side in (20, 24, 20):
        read(film, Framing((16, 16), short_side=short_side), cache=cache)
    assert len(decoded.calls) == 2
    assert len(list(cache.glob("*/*.npy"))) == 2


def test_a_cache_that_has_reached_its_limit_keeps_no_more_and_reading_goes_on(
    film: Path, tmp_path: Path, decoded: Counted
) -> None:
    one = HEIGHT * WIDTH * 3 * 8
    other = tmp_path / "other.mp4"
    other.write_bytes(film.read_bytes())
    reader = ClipReader(FrameCache(str(tmp_path / "cache"), limit_bytes=int(1.5 * one)))
    framing = Framing((HEIGHT, WIDTH))
    clips = [
        reader(Request(str(path), (5, 1, 1, 7), 0, framing), lambda: None).pixels
        for path in (film, other, film, other)
    ]
    assert len(list((tmp_path / "cache").glob("*/*.npy"))) == 1
    assert [len(indices) for indices in decoded.calls] == [8, 4, 4]
    assert all(np.array_equal(clip, clips[0]) for clip in clips)


def test_a_long_video_is_read_from_its_file(
    film: Path, tmp_path: Path, decoded: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("everest.cache.LARGEST", HEIGHT * WIDTH * 3 * 7)
    read(film, Framing((16, 16)), cache=tmp_path / "cache")
    assert [list(indices) for indices in decoded.calls] == [[5, 1, 1, 7]]


def test_a_full_disk_costs_the_cache_and_not_the_run(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "save", full)
    cache = tmp_path / "cache"
    plain = read(film, Framing((16, 16)))
    assert np.array_equal(read(film, Framing((16, 16)), cache=cache), plain)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_a_cache_folder_that_cannot_be_made_costs_the_cache_and_not_the_run(
    film: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    plain = read(film, Framing((16, 16)))
    assert np.array_equal(read(film, Framing((16, 16)), cache=tmp_path / "file" / "cache"), plain)


def test_a_damaged_file_of_the_cache_is_replaced(
    film: Path, tmp_path: Path, decoded: Counted
) -> None:
    cache, framing = tmp_path / "cache", Framing((16, 16))
    plain = read(film, framing, cache=cache)
    (kept,) = cache.glob("*/*.npy")
    whole = kept.read_bytes()
    for damaged in (b"", whole[:100], whole[: len(whole) // 2], b"x" * 200):
        kept.write_bytes(damaged)
        assert np.array_equal(read(film, framing, cache=cache), plain)
        assert kept.read_bytes() == whole


def test_after_a_write_that_failed_videos_are_no_longer_decoded_whole(
    film: Path, tmp_path: Path, decoded: Counted
) -> None:
    (tmp_path / "file").write_text("in the way")
    reader = ClipReader(FrameCache(str(tmp_path / "file" / "cache")))
    for _ in range(3):
        reader(Request(str(film), (5, 1, 1, 7), 0, Framing((16, 16))), lambda: None)
    assert [len(indices) for indices in decoded.calls] == [8, 4, 4]
