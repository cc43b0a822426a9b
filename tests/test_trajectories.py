"""Trajectories of points: what moves by a known amount, how it is kept, and what a clip gets."""

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from everest.crops import Box
from everest.trajectories.files import (
    About,
    Settings,
    TrajectoriesError,
    Writer,
    place_of,
    read_trajectories,
)
from everest.trajectories.flow import DenseFlow, MissingOpenCV, require_opencv
from everest.trajectories.following import LOST, follow, lost_map
from everest.trajectories.riding import Wanted, clip_trajectories, fitted

SETTINGS = Settings(96, True)
HEIGHT, WIDTH = 96, 144
WHOLE = Box(0.0, 0.0, 1.0, 1.0)


def texture(height: int, width: int, *, seed: int = 0, blur: int = 5) -> np.ndarray:
    """(height, width) uint8: noise without edges, which flow can hold on to everywhere."""
    import cv2

    drawn = np.random.default_rng(seed).standard_normal((height, width))
    smooth = cv2.GaussianBlur(drawn, (0, 0), blur / 2)
    return (smooth / smooth.std() * 40 + 128).clip(0, 255).astype(np.uint8)


def shifting(step: tuple[int, int], count: int = 5) -> list[np.ndarray]:
    """Frames of a texture that moves by `step` (x, y) pixels a frame."""
    room = 20 * count
    sheet = texture(HEIGHT + 2 * room, WIDTH + 2 * room)
    corners = [(room - number * step[1], room - number * step[0]) for number in range(count)]
    return [sheet[top : top + HEIGHT, left : left + WIDTH].copy() for top, left in corners]


def with_object(
    frames: Sequence[np.ndarray], step: tuple[int, int], start: tuple[int, int] = (56, 32)
) -> list[np.ndarray]:
    """The same frames with a square of 40 pixels that starts at `start` (x, y)."""
    square, out = texture(40, 40, seed=1, blur=3), []
    for number, frame in enumerate(frames):
        left, top = (start[axis] + number * step[axis] for axis in (0, 1))
        picture = frame.copy()
        picture[top : top + 40, left : left + 40] = square
        out.append(picture)
    return out


def followed(frames: Sequence[np.ndarray], *, compensate: bool) -> np.ndarray:
    find = DenseFlow(compensate)
    motions = [find(before, after) for before, after in pairwise(frames)]
    return follow(motions)


# Following points


@pytest.mark.parametrize("step", [(3, -2), (-5, 1), (0, 7), (12, 0)])
def test_what_moves_by_so_many_pixels_a_frame_is_told_to(step: tuple[int, int]) -> None:
    told = followed(shifting(step), compensate=False)
    assert told.shape == (2, 4, 12, 18) and told.dtype == np.int8
    stays = told[0, 0] != LOST
    right = (told == np.array(step)[:, None, None, None]).all((0, 1)) & stays
    assert right.sum() >= 0.95 * stays.sum()
    # Points whose way leads out of the frame are lost.
    rows, columns = np.mgrid[4:HEIGHT:8, 4:WIDTH:8]
    ends = np.stack((columns + 4 * step[0], rows + 4 * step[1]))
    room = np.minimum(ends, np.array([WIDTH - 1, HEIGHT - 1])[:, None, None] - ends).min(axis=0)
    assert stays[room >= 2].mean() >= 0.95 and not stays[room <= -2].any()


def test_a_still_clip_moves_nowhere() -> None:
    for compensate in (False, True):
        assert not followed(shifting((0, 0)), compensate=compensate).any()


def test_a_flat_clip_moves_nowhere() -> None:
    frames = [np.full((64, 64), 77, np.uint8)] * 5
    assert not followed(frames, compensate=True).any()


def test_what_the_camera_moves_is_taken_away_and_an_object_keeps_its_own_motion() -> None:
    frames = with_object(shifting((3, 1)), (-2, 4))
    raw = followed(frames, compensate=False)
    own = followed(frames, compensate=True)
    inside = (slice(None), slice(None), slice(5, 8), slice(8, 11))  # 44..60 x 68..84 of the square
    assert np.array_equal(np.unique(raw[inside][0]), [-2])
    assert np.array_equal(np.unique(raw[inside][1]), [4])
    assert np.abs(own[inside][0] - -5).max() <= 1 and np.median(own[inside][0]) == -5
    assert np.abs(own[inside][1] - 3).max() <= 1 and np.median(own[inside][1]) == 3
    behind = own[:, :, 1:3, 2:12]
    assert (raw[0, :, 1:3, 2:12] == 3).mean() > 0.9
    assert (behind == 0).mean() > 0.98 and np.abs(behind).max() <= 1


def test_a_camera_that_turns_and_nears_is_taken_away_too() -> None:
    import cv2

    sheet = texture(HEIGHT, WIDTH)
    frames = [sheet]
    for number in range(1, 5):
        turn = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 1.5 * number, 1 + 0.02 * number)
        frames.append(
            cv2.warpAffine(sheet, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101)
        )
    raw, own = (followed(frames, compensate=compensate) for compensate in (False, True))
    known = raw[0, 0] != LOST
    assert np.abs(raw[..., known]).max() >= 3
    assert (own[..., known] == 0).mean() > 0.95


def test_fast_motion_is_told_as_twenty_pixels() -> None:
    find = DenseFlow(False)
    motion = find(*shifting((0, 0), 2))
    motion.flow[..., 0] = 25
    told = follow([motion] * 4)
    known = told[0, 0] != LOST
    assert known.sum() == 12 * 5  # of 144 columns 100 are passed
    assert (told[0][:, known] == 20).all()


def test_without_opencv_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingOpenCV, match=r"pip install 'everest-video\[motion\]'"):
        require_opencv()


# Files


def maps(count: int, seed: int = 0) -> np.ndarray:
    told = np.random.default_rng(seed).integers(-20, 21, (count, 2, 4, 12, 18)).astype(np.int8)
    told[:, :, :, 0, 0] = LOST
    return told


def kept(place: Path, told: np.ndarray) -> Path:
    with Writer(place) as writer:
        for each in told:
            writer.add(each)
        writer.finish(About("a.mp4", len(told), HEIGHT, WIDTH, SETTINGS))
    return place


def test_a_file_gives_back_the_frames_that_are_asked_for(tmp_path: Path) -> None:
    told = maps(75)
    place = kept(tmp_path / "a.npz", told)
    frames = (0, 31, 32, 70, 70, 3)
    about, found = read_trajectories(place, frames)
    assert np.array_equal(found, told[list(frames)])
    assert about == About("a.mp4", 75, HEIGHT, WIDTH, SETTINGS)
    assert (read_trajectories(place, (74, 75, 400))[1][1:] == LOST).all()
    assert (read_trajectories(place, (400,))[1] == LOST).all()
    assert os.listdir(tmp_path) == ["a.npz"]


def test_numpy_reads_a_file_without_pickle(tmp_path: Path) -> None:
    told = maps(40)
    with np.load(kept(tmp_path / "a.npz", told), allow_pickle=False) as found:
        assert np.array_equal(found["000001"], told[32:])


def test_the_same_trajectories_are_the_same_bytes(tmp_path: Path) -> None:
    one, two = (kept(tmp_path / name, maps(40)).read_bytes() for name in ("a.npz", "b.npz"))
    assert one == two


def test_a_file_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeyError), Writer(tmp_path / "a.npz") as writer:
        writer.add(maps(1)[0])
        raise KeyError
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("cut", [0, 10, 0.5, 0.99])
def test_a_damaged_file_is_named(cut: float, tmp_path: Path) -> None:
    place = kept(tmp_path / "a.npz", maps(40))
    content = place.read_bytes()
    place.write_bytes(content[: cut if isinstance(cut, int) else int(cut * len(content))])
    with pytest.raises(TrajectoriesError, match=r"a\.npz: damaged .* run everest trajectories"):
        read_trajectories(place, (0,))


def test_flipped_bytes_are_found(tmp_path: Path) -> None:
    place = kept(tmp_path / "a.npz", maps(40))
    content = bytearray(place.read_bytes())
    content[2000:2010] = b"\x55" * 10
    place.write_bytes(content)
    with pytest.raises(TrajectoriesError, match="damaged"):
        read_trajectories(place, (0,))


def test_a_file_is_found_when_its_video_was_moved_and_not_when_it_changed(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    video.write_bytes(bytes(range(256)) * 300)
    place = place_of(str(video), tmp_path)
    (tmp_path / "elsewhere").mkdir()
    moved = video.rename(tmp_path / "elsewhere" / "a.mp4")
    assert place_of(moved, tmp_path) == place
    content = bytearray(moved.read_bytes())
    content[-5] ^= 1
    moved.write_bytes(content)
    assert place_of(moved, tmp_path) != place
    long = tmp_path / ("ü" * 120 + ".mp4")
    long.write_bytes(b"long")
    place_of(long, tmp_path).write_bytes(b"fits")


# What a clip gets


def ramp(height: int = 12, width: int = 18) -> np.ndarray:
    """(1, 2, 4, Y, X): x tells the column of a point, y its row."""
    told = np.zeros((1, 2, 4, height, width), np.int8)
    told[0, 0], told[0, 1] = np.arange(width), np.arange(height)[:, None]
    return told


def test_the_whole_frame_at_a_point_each_is_passed_on() -> None:
    told = maps(3)
    found = fitted(told, (HEIGHT, WIDTH), WHOLE, (12, 18))
    assert found.shape == (3, 8, 12, 18) and found.dtype == np.float16
    assert np.isnan(found[:, :, 0, 0]).all()
    known = told[:, 0, 0] != LOST
    assert np.array_equal(found.reshape(3, 2, 4, 12, 18)[:, :, :, known[0]], told[..., known[0]])


def test_a_crop_takes_its_part_of_the_map() -> None:
    box = Box(48 / WIDTH, 24 / HEIGHT, 48 / WIDTH, 32 / HEIGHT)  # points 6..11 across, 3..6 down
    found = fitted(ramp(), (HEIGHT, WIDTH), box, (4, 6))[0].astype(float)
    assert np.array_equal(found[0], np.broadcast_to(np.arange(6, 12), (4, 6)))
    assert np.array_equal(found[4], np.broadcast_to(np.arange(3, 7)[:, None], (4, 6)))


def test_a_map_is_resized_between_its_points_and_never_scaled() -> None:
    box = Box(48 / WIDTH, 24 / HEIGHT, 48 / WIDTH, 32 / HEIGHT)
    found = fitted(ramp(), (HEIGHT, WIDTH), box, (8, 12))[0].astype(float)
    assert np.allclose(found[0, 0], 6 + (np.arange(12) - 0.5) / 2)
    found = fitted(np.full((1, 2, 4, 12, 18), 7, np.int8), (HEIGHT, WIDTH), box, (5, 9))
    assert (found == 7).all()


def test_the_size_that_a_map_was_computed_at_does_not_matter() -> None:
    box = Box(0.25, 0.25, 0.5, 0.5)
    small, large = ramp(), np.repeat(np.repeat(ramp(), 2, axis=3), 2, axis=4)
    one = fitted(small, (HEIGHT, WIDTH), box, (3, 5)).astype(float)
    two = fitted(large, (2 * HEIGHT, 2 * WIDTH), box, (3, 5)).astype(float)
    assert np.abs(one - two).max() <= 0.5


def test_a_lost_point_leaves_its_place_to_the_others_up_to_half() -> None:
    told = ramp()
    told[:, :, :, 5, 8] = LOST
    found = fitted(told, (HEIGHT, WIDTH), WHOLE, (24, 36))[0, 0].astype(float)
    lost = np.isnan(found)
    assert lost.sum() == 4 and lost[10:12, 16:18].all()
    assert found[9, 15] == found[9, 15] and abs(found[9, 15] - 7.25) < 0.2


def test_beside_a_padded_frame_all_is_lost() -> None:
    box = Box(0.0, -0.25, 1.0, 1.5)  # a sixth of the clip above the frame, and below
    found = fitted(ramp(), (HEIGHT, WIDTH), box, (18, 18))[0]
    assert np.isnan(found[:, :3]).all() and np.isnan(found[:, 15:]).all()
    assert np.array_equal(
        found[4, 3:15].astype(int), np.broadcast_to(np.arange(12)[:, None], (12, 18))
    )


def test_a_mirrored_clip_mirrors_its_map_and_turns_x_around(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    video.write_bytes(b"any")
    told = np.concatenate([ramp(), ramp() + 1, maps(1)])
    kept(place_of(video, tmp_path), told)
    wanted = Wanted(str(tmp_path), 2, (12, 18))
    plain, mirrored = (
        clip_trajectories(str(video), (0, 9, 1, 9, 7, 9), wanted, WHOLE, flag)
        for flag in (False, True)
    )
    assert plain.shape == (3, 8, 12, 18)
    assert np.array_equal(plain[:2, 0, 0].astype(int), np.array([range(18), range(1, 19)]))
    assert np.isnan(plain[2]).all()  # frame 7 of 3
    assert np.array_equal(mirrored[:2, :4], -plain[:2, :4, :, ::-1])
    assert np.array_equal(mirrored[:2, 4:], plain[:2, 4:, :, ::-1])


def test_a_video_without_a_file_is_lost_altogether(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    video.write_bytes(b"any")
    wanted = Wanted(str(tmp_path), 2, (4, 6))
    found = clip_trajectories(str(video), (0, 1, 2, 3), wanted, WHOLE, False)
    assert found.shape == (2, 8, 4, 6) and np.isnan(found).all()


def test_the_last_frames_of_a_video_are_lost() -> None:
    assert (lost_map((HEIGHT, WIDTH)) == LOST).all()
    assert lost_map((HEIGHT, WIDTH)).shape == (2, 4, 12, 18)
