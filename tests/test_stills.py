"""How folders of pictures are read as videos."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from everest import video
from everest.cache import FrameCache
from everest.checking import look_at
from everest.decoder import MAX_PIXELS
from everest.frame_folders import NotFrames, frames_among, seconds_at, state_of
from everest.trajectories.files import place_of
from everest.video import VideoError
from filming import number, numbered


def film(folder: Path, count: int, name: str = "img_{:05}.png", first: int = 1) -> Path:
    """A folder of pictures that carry the numbers from 0 on."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.fromarray(numbered(index)).save(folder / name.format(first + index))
    return folder


@pytest.mark.parametrize("first", [0, 1, 9])
@pytest.mark.parametrize(
    "name", ["img_{:05}.png", "frame_{:06}.PNG", "{:06}.jpg", "{}.jpeg", "74225_{}.png", "a {}.jpg"]
)
def test_frames_follow_their_numbers(tmp_path: Path, name: str, first: int) -> None:
    folder = film(tmp_path / "a", 12, name, first)
    assert [number(picture) for picture in video.read(folder, range(12))] == list(range(12))
    info = video.probe(folder)
    assert (info.frames, info.fps, info.width, info.height) == (12, 25.0, 64, 32)
    assert info.seconds == 12 / 25 and info.path == str(folder)


def test_frames_are_read_in_any_order_and_the_last_stands_for_those_past_it(tmp_path: Path) -> None:
    folder = film(tmp_path / "a", 5)
    wanted = [3, 0, 0, 9, 2]
    assert [number(picture) for picture in video.read(folder, wanted)] == [3, 0, 0, 4, 2]
    assert [number(picture) for picture in video.read(folder, [3, 1, 2])] == [3, 1, 2]
    with pytest.raises(ValueError, match="none negative"):
        video.read(folder, [-1])


def test_a_png_is_read_bit_for_bit_and_a_scaled_one_keeps_its_shape(tmp_path: Path) -> None:
    folder = film(tmp_path / "a", 3)
    assert (video.read(folder, [2])[0] == numbered(2)).all()
    assert video.read(folder, [0, 1], short_side=16).shape == (2, 16, 32, 3)


def test_a_folder_streams_like_a_video(tmp_path: Path) -> None:
    folder = film(tmp_path / "a", 10)
    found = list(video.stream(folder, start=0.08, end=0.2))
    assert [number(picture) for _, picture in found] == [2, 3, 4]
    assert [seconds for seconds, _ in found] == [0.08, 0.12, 0.16]


def test_every_frame_is_told_to_who_watches(tmp_path: Path) -> None:
    folder = film(tmp_path / "a", 4)
    calls: list[int] = []
    video.read(folder, [0, 2, 2], alive=lambda: calls.append(1))
    assert len(calls) == 2
    video.scan(folder, lambda: calls.append(1))
    assert len(calls) == 6


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK", "I;16"])
def test_pictures_of_any_mode_become_rgb(tmp_path: Path, mode: str) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    grey = numbered(5)[..., 0]
    if mode == "I;16":
        picture = Image.fromarray(grey.astype(np.uint16) << 8)
    else:
        picture = Image.fromarray(numbered(5)).convert(mode)
    picture.save(folder / ("1.jpg" if mode == "CMYK" else "1.png"))
    assert number(video.read(folder, [0])[0]) == 5


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(numbered(5).swapaxes(0, 1)[:, ::-1].copy()).save(folder / "1.png", exif=exif)
    upright = np.rot90(numbered(5).swapaxes(0, 1)[:, ::-1], -1)
    info = video.probe(folder)
    assert (info.width, info.height) == (64, 32) == upright.shape[1::-1]
    assert (video.read(folder, [0])[0] == upright).all()


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def huge(path: Path) -> None:
    Image.new("1", (40_000, 1_000)).save(path)


def larger(path: Path) -> None:
    Image.new("RGB", (80, 32)).save(path)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (damaged, "cannot be decoded: damaged"),
        (huge, f"claims 40000x1000, more than {MAX_PIXELS:,} pixels"),
        (larger, "is 80x32, the first picture 64x32"),
        (pipe, "not a regular file"),
        (dangling, "No such file or directory"),
        (lambda path: path.write_bytes(b""), r"an empty file \(0 bytes\)"),
        (lambda path: path.write_text("version https://git-lfs.github.com"), "a git-lfs pointer"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\nrubbish"), "damaged, or not a picture"),
        (lambda path: path.write_bytes(b"GIF89a" + bytes(99)), "damaged, or not a picture"),
    ],
)
def test_a_bad_picture_is_named_and_spoils_only_the_clips_that_need_it(
    tmp_path: Path, harm: Callable[[Path], object], told: str
) -> None:
    folder = film(tmp_path / "a", 6)
    harm(folder / "img_00004.png")
    assert [number(picture) for picture in video.read(folder, [0, 1, 2, 5])] == [0, 1, 2, 5]
    assert look_at([str(folder)], scan=False, workers=0).facts[str(folder)].frames == 6
    for act in (lambda: video.read(folder, [2, 3]), lambda: video.scan(folder)):
        with pytest.raises(VideoError, match=rf"a: img_00004\.png: .*{told}"):
            act()


def test_a_removed_picture_is_noticed(tmp_path: Path) -> None:
    folder = film(tmp_path / "a", 6)
    assert video.probe(folder).frames == 6
    (folder / "img_00003.png").unlink()
    os.utime(folder, ns=(0, 0))
    assert [number(picture) for picture in video.read(folder, range(5))] == [0, 1, 3, 4, 5]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], "without numbered pictures"),
        (["a.txt", "cover.jpg", "._img_1.jpg"], "without numbered pictures"),
        (["img_1.jpg", "mask_1.jpg"], r"several sequences \(img_N, mask_N\)"),
        (["1.jpg", "01.png"], r"holds frame 1 twice \(01.png, 1.jpg\)"),
        (["flow_x_1.jpg", "flow_y_1.jpg"], "optical flow"),
    ],
)
def test_a_folder_that_is_no_video_says_why(tmp_path: Path, names: list[str], told: str) -> None:
    with pytest.raises(NotFrames, match=told):
        frames_among(names)
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(VideoError, match=f"{tmp_path}: a folder .*{told}"):
        video.probe(tmp_path)


def test_what_lies_beside_the_frames_is_passed_over() -> None:
    names = ["img_2.jpg", "flow_x_1.jpg", "y_1.jpg", "img_10.jpg", "._img_1.jpg", "cover.jpg"]
    frames = frames_among([*names, "img_1.jpg", "n_frames"])
    assert frames.names == ("img_1.jpg", "img_2.jpg", "img_10.jpg")
    assert frames.numbers == (1, 2, 10) and frames.gaps == 7


def test_the_state_of_a_folder_changes_with_any_picture(tmp_path: Path) -> None:
    folder = film(tmp_path / "a", 3)
    before = state_of(str(folder))
    assert before.files == 3
    same = folder / "img_00002.png"
    same.write_bytes(same.read_bytes()[:-1] + b"x")
    os.utime(same, ns=(before.mtime_ns + 5, before.mtime_ns + 5))
    assert state_of(str(folder)).mtime_ns == before.mtime_ns + 5
    (folder / "img_00003.png").unlink()
    assert state_of(str(folder)).files == 2


def test_facts_of_a_folder_are_remembered_until_it_changes(tmp_path: Path) -> None:
    folder = film(tmp_path / "a", 3)
    first = look_at([str(folder)], scan=True, workers=0)
    assert first.known == 0 and first.facts[str(folder)].frames == 3
    assert look_at([str(folder)], scan=True, workers=0).known == 1
    film(folder, 4)
    again = look_at([str(folder)], scan=True, workers=0)
    assert again.known == 0 and again.facts[str(folder)].frames == 4
    damaged(folder / "img_00002.png")
    broken = look_at([str(folder)], scan=True, workers=0).facts[str(folder)].bad
    assert broken is not None and "img_00002.png: cannot be decoded" in broken


def test_kept_frames_of_a_folder_are_its_own_until_it_changes(tmp_path: Path) -> None:
    folder = film(tmp_path / "a", 4)
    cache = FrameCache(str(tmp_path / "cache"))
    direct = video.read(folder, [0, 3], short_side=16)
    for _ in range(2):
        assert (cache.read(str(folder), [0, 3], short_side=16) == direct).all()
    assert len(list((tmp_path / "cache").glob("*/*.npy"))) == 1
    later = state_of(str(folder)).mtime_ns + 5
    Image.fromarray(numbered(7)).save(folder / "img_00004.png")
    os.utime(folder / "img_00004.png", ns=(later, later))
    assert number(cache.read(str(folder), [3], short_side=32)[0]) == 7


@pytest.mark.parametrize("rate", [8, 12, 23.976, 24, 25, 29.97, 30, 59.94])
def test_seconds_of_a_frame_lead_back_to_it(rate: float) -> None:
    assert all(int(seconds_at(frame, rate) * rate) == frame for frame in range(3000))


def test_trajectories_of_a_folder_are_found_where_it_was_moved(tmp_path: Path) -> None:
    folder = film(tmp_path / "clip", 3)
    place = place_of(folder, tmp_path / "motion")
    assert place.name.startswith("clip.") and place.suffix == ".npz"
    moved = tmp_path / "elsewhere" / "clip"
    moved.parent.mkdir()
    folder.rename(moved)
    assert place_of(f"{moved}/", tmp_path / "motion") == place
    film(moved, 4)
    assert place_of(moved, tmp_path / "motion") != place
    with pytest.raises(OSError, match="without numbered pictures"):
        place_of(tmp_path / "elsewhere", tmp_path / "motion")
