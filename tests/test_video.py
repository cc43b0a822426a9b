"""A video gives the frames asked for, as the ffmpeg program shows them, or says why not."""

import csv
import os
import random
import resource
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everest import packets, video
from everest.video import VideoError, probe, read, scan, stream
from filming import number, numbered, write_film

DATA = os.environ.get("EVEREST_DATA")
needs_data = pytest.mark.skipif(DATA is None, reason="EVEREST_DATA is not set")
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on PATH")
BOUND = 2.0  # mean absolute difference, of 255; rotated, 10-bit and HDR files keep it as well
QUICK = (
    "torchcodec__nasa_13013_rotated.mp4",
    "torchcodec__test_non_zero_start.mp4",
    "torchcodec__discard_first_keyframe.mp4",
    "torchcodec__testsrc2_av1_10bit.mp4",
    "torchcodec__testsrc2_odd_height_and_width_mpeg2.mp4",
    "torchcodec__testsrc2_mpeg4.mp4",
    "torchcodec__animated.gif",
    "torchcodec__bt2020_10bit.mp4",
    "decord__corrupted.mp4",
    "decord__video_90.mov",
    "decord__video_180.mov",
    "mmaction2__test.avi",
    "moviepy__result.webm",
    "opencv-doc__tree.avi",
)
FORMATS = {  # file -> encoder and its settings; each in another way of telling time
    "b.mp4": ("libx264", {"max_b_frames": 2}),
    "b.mkv": ("libx264", {"max_b_frames": 2}),
    "b.ts": ("libx264", {"max_b_frames": 2}),
    "b.flv": ("libx264", {"max_b_frames": 2}),
    "b.avi": ("mpeg4", {"max_b_frames": 2, "bit_rate": 2_000_000}),
    "plain.avi": ("mpeg4", {"max_b_frames": 0, "bit_rate": 2_000_000}),
    "b.mpg": ("mpeg2video", {"max_b_frames": 2, "bit_rate": 2_000_000}),
    "raw.h264": ("libx264", {"max_b_frames": 2}),
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes each film of 100 numbered frames and a key frame every 12 once."""
    folder = tmp_path_factory.mktemp("films")

    def film(name: str) -> Path:
        path = folder / name
        if not path.exists():
            codec, how = FORMATS[name]
            write_film(path, 100, codec=codec, gop_size=12, **how)
        return path

    return film


def numbers(pictures: np.ndarray) -> list[int]:
    return [number(picture) for picture in pictures]


def manifest() -> list[dict[str, str]]:
    with open(f"{DATA}/testvids/MANIFEST.csv", newline="") as file:
        return list(csv.DictReader(file))


def of_manifest(quick: bool) -> list[dict[str, str]]:
    return [row for row in manifest() if (row["file"] in QUICK) == quick]


# Which frame is which


@pytest.mark.parametrize("name", FORMATS)
def test_an_index_is_a_place_in_the_order_of_showing(
    films: Callable[[str], Path], name: str
) -> None:
    draw = random.Random(name)
    assert numbers(read(films(name), [0, 1, 2, 31])) == [0, 1, 2, 31]
    for wanted in ([99], [50, 51], [13, 60], *(draw.sample(range(100), 6) for _ in range(8))):
        assert numbers(read(films(name), wanted)) == wanted


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(wanted=st.lists(st.integers(0, 120), min_size=1, max_size=8))
def test_indices_may_repeat_come_in_any_order_and_pass_the_end(
    films: Callable[[str], Path], wanted: list[int]
) -> None:
    expected = [min(index, 99) for index in wanted]
    assert numbers(read(films("b.mp4"), wanted)) == expected


@pytest.mark.parametrize("name", FORMATS)
def test_a_clip_longer_than_its_video_repeats_the_last_frame(
    films: Callable[[str], Path], name: str
) -> None:
    assert numbers(read(films(name), [97, 98, 99, 100, 5000])) == [97, 98, 99, 99, 99]


def test_no_index_and_negative_indices_are_refused(films: Callable[[str], Path]) -> None:
    for wanted in ([], [3, -1]):
        with pytest.raises(ValueError, match="one or more numbers, none negative"):
            read(films("b.mp4"), wanted)
    assert len(read(films("b.mp4"), [3, 0])) == 2


def test_frames_before_the_key_frame_and_after_the_last_wanted_are_not_decoded(
    films: Callable[[str], Path],
) -> None:
    read(films("b.mp4"), [90])
    decoded: list[None] = []
    assert numbers(read(films("b.mp4"), [50], alive=lambda: decoded.append(None))) == [50]
    assert 1 <= len(decoded) <= 12


def test_key_frames_between_two_wanted_frames_are_jumped_to(films: Callable[[str], Path]) -> None:
    read(films("b.mp4"), [90])
    decoded: list[None] = []
    assert numbers(read(films("b.mp4"), [1, 97], alive=lambda: decoded.append(None))) == [1, 97]
    assert 2 <= len(decoded) <= 16


def test_a_file_that_changes_is_looked_at_anew(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", 40)
    assert numbers(read(path, [39])) == [39] and probe(path).frames == 40
    write_film(path, [numbered(100 + index) for index in range(60)])
    assert numbers(read(path, [39])) == [139] and probe(path).frames == 60


@pytest.mark.parametrize(("limit", "most"), [("TIMES_KEPT", 150), ("FILES_KEPT", 2)])
def test_only_so_much_is_remembered_of_files(
    films: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    memory = packets.Memory()
    monkeypatch.setattr(video, "memory", memory)
    monkeypatch.setattr(packets, "memory", memory)
    monkeypatch.setattr(packets, limit, most)
    for name in ("b.mp4", "b.mkv", "b.ts", "b.mp4"):
        assert numbers(read(films(name), [70])) == [70]
        assert memory.times == sum(len(table.shown) for table in memory.tables.values())
        assert 1 <= (memory.times if limit == "TIMES_KEPT" else len(memory.tables)) <= most


def test_frames_that_encode_nothing_are_not_counted_after_a_scan(tmp_path: Path) -> None:
    whole = write_film(tmp_path / "whole.avi", 60, codec="mpeg4", bit_rate=2_000_000)
    not_coded = bytes.fromhex("000001b650cf")
    path = tmp_path / "promises.avi"
    with av.open(str(whole)) as source, av.open(str(path), "w") as copy:
        target = copy.add_stream_from_template(source.streams.video[0])
        last = 0
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                last = packet.dts
                packet.stream = target
                copy.mux(packet)
        for later in range(1, 6):
            packet = av.Packet(not_coded)
            packet.stream, packet.pts, packet.dts = target, last + later, last + later
            packet.time_base = source.streams.video[0].time_base
            copy.mux(packet)
    assert probe(path).frames == 65
    assert scan(path).frames == 61  # at the end the decoder shows the last picture once more
    assert probe(path).frames == 61
    assert numbers(read(path, [58, 59, 62])) == [58, 59, 59]


# Time


def test_probe_and_scan_agree_on_a_sound_file(films: Callable[[str], Path]) -> None:
    decoded: list[None] = []
    info = scan(films("b.mkv"), lambda: decoded.append(None))
    assert info == probe(films("b.mkv"))
    assert (info.frames, info.width, info.height, info.rotation) == (100, 64, 32, 0)
    assert (info.codec, info.container) == ("h264", "matroska,webm")
    assert info.fps == pytest.approx(25, rel=0.01) and info.seconds == pytest.approx(4, rel=0.01)
    assert info.path == str(films("b.mkv")) and len(decoded) >= 100


def test_a_variable_frame_rate_keeps_the_time_of_every_frame(tmp_path: Path) -> None:
    shown = [0, 1, 2, 10, 11, 30, 31, 50]
    path = write_film(tmp_path / "a.mp4", 8, shown=shown)
    times, pictures = zip(*stream(path), strict=True)
    assert numbers(np.stack(pictures)) == list(range(8))
    assert times == pytest.approx([time / 25 for time in shown])
    assert probe(path).fps == pytest.approx(8 * 25 / 51, rel=0.1)


def test_a_span_gives_the_frames_within_it_and_not_its_end(films: Callable[[str], Path]) -> None:
    for name in ("b.mp4", "b.avi"):
        found = list(stream(films(name), start=2.0, end=2.2))
        assert numbers(np.stack([picture for _, picture in found])) == [50, 51, 52, 53, 54]
        assert found[0][0] == pytest.approx(2.0)


def test_a_span_beyond_the_end_is_empty(films: Callable[[str], Path]) -> None:
    assert list(stream(films("b.mp4"), start=10.0)) == []


def test_a_film_that_starts_late_counts_from_its_first_frame(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mkv", 50, shown=range(200, 250), gop_size=10)
    assert probe(path).seconds == pytest.approx(2.0, rel=0.02)
    assert numbers(read(path, [0, 45])) == [0, 45]
    assert next(stream(path))[0] == 0.0


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.gif"])
def test_one_frame_is_a_video(tmp_path: Path, name: str) -> None:
    how = {"codec": "gif", "pix_fmt": "rgb8"} if name == "a.gif" else {"codec": "mpeg4"}
    info = probe(write_film(tmp_path / name, [numbered(5)], **how))
    assert info.frames == 1 and 0 < info.seconds <= 1 and info.fps > 0
    assert numbers(read(tmp_path / name, [0, 3])) == [5, 5]


# Pictures


def test_the_shorter_side_is_scaled_and_the_shape_kept(tmp_path: Path) -> None:
    wide = write_film(tmp_path / "wide.mp4", [numbered(77, 96, 64)])
    tall = write_film(tmp_path / "tall.mp4", [numbered(77, 64, 96)])
    assert read(wide, [0], short_side=32).shape == (1, 32, 48, 3)
    assert read(tall, [0], short_side=128).shape == (1, 192, 128, 3)
    assert numbers(read(wide, [0], short_side=16)) == [77]


def test_scaling_a_strip_to_more_pixels_than_memory_holds_is_refused(tmp_path: Path) -> None:
    path = write_film(
        tmp_path / "strip.mkv", [numbered(1, 4096, 1)], codec="ffv1", pix_fmt="yuv444p"
    )
    assert read(path, [0], short_side=2).shape == (1, 2, 8192, 3)
    with pytest.raises(VideoError, match="4096x1, scaled to a shorter side of 224"):
        read(path, [0], short_side=224)


@pytest.mark.parametrize(
    ("width", "height", "codec", "pix_fmt"),
    [
        (65, 33, "libx264", "yuv444p"),
        (66, 34, "libx264", "yuvj420p"),
        (65, 33, "libvpx-vp9", "yuv420p"),
        (64, 32, "ffv1", "yuv420p10le"),
        (64, 32, "ffv1", "bgra"),
        (64, 32, "ffv1", "gray"),
        (64, 32, "ffv1", "yuv422p"),
    ],
)
def test_every_pixel_format_and_odd_size_becomes_the_same_rgb(
    tmp_path: Path, width: int, height: int, codec: str, pix_fmt: str
) -> None:
    shown = [numbered(index, width, height) for index in (0, 90, 165, 255)]
    path = write_film(tmp_path / "a.mkv", shown, codec=codec, pix_fmt=pix_fmt)
    pictures = read(path, range(4))
    assert pictures.shape == (4, height, width, 3)
    assert np.abs(pictures.astype(int) - np.stack(shown)).mean() < 6
    assert (probe(path).width, probe(path).height) == (width, height)


def test_colours_come_back_as_red_green_blue(tmp_path: Path) -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    picture = read(write_film(tmp_path / "a.mp4", [red]), [0])[0]
    assert np.abs(picture.astype(int) - red).max() < 8


@pytest.mark.parametrize("rotation", [0, 90, -180, -90])
def test_a_rotated_film_is_shown_upright(tmp_path: Path, rotation: int) -> None:
    stored = numbered(0b00001011, 64, 32)
    stored[:16] //= 3
    path = write_film(tmp_path / "a.mp4", [stored] * 2, rotation=rotation)
    info, pictures = probe(path), read(path, [0, 1])
    upright = np.rot90(stored, rotation // 90)
    assert info.rotation == rotation
    assert (info.height, info.width) == upright.shape[:2] == pictures.shape[1:3]
    assert np.abs(pictures[1].astype(int) - upright).mean() < 6


def test_a_film_whose_pictures_change_size_keeps_the_first(tmp_path: Path) -> None:
    sizes = ((64, 32), (32, 48))
    parts = [
        write_film(tmp_path / f"{index}.h264", [numbered(index, *size)] * 3)
        for index, size in enumerate(sizes)
    ]
    path = tmp_path / "a.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    pictures = read(path, range(6))
    assert pictures.shape == (6, 32, 64, 3)
    assert numbers(pictures) == [0, 0, 0, 1, 1, 1]


def test_transparent_gifs_and_their_pauses_are_read(tmp_path: Path) -> None:
    path = write_film(
        tmp_path / "a.gif", 6, codec="gif", pix_fmt="rgb8", shown=[0, 2, 4, 20, 22, 24]
    )
    assert numbers(read(path, range(6))) == list(range(6))
    assert [round(time * 25) for time, _ in stream(path)] == [0, 2, 4, 20, 22, 24]


# What is no video


def refusals(path: Path) -> list[str]:
    """What each way of reading says."""
    said = []
    for attempt in (probe, scan, lambda path: read(path, [0]), lambda path: list(stream(path))):
        with pytest.raises(VideoError) as raised:
            attempt(path)
        said.append(str(raised.value))
    assert all(words.startswith(os.path.abspath(path)) for words in said)
    return said


GIF_BOMB = (
    b"GIF89a" + struct.pack("<HH", 16000, 16000) + bytes(3) + b"," + bytes(4)
    + struct.pack("<HH", 16000, 16000) + bytes.fromhex("0002024c01003b")
)  # fmt: skip
HOLDING = {
    "text.mp4": (b"not a video\n" * 20, "a text file, not a video"),
    "page.mp4": (b"<!DOCTYPE html><html></html>", "a web page, not a video"),
    "pointer.mp4": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "picture.mp4": (b"\x89PNG\r\n\x1a\n" + bytes(200), "a picture, not a video"),
    "archive.mp4": (b"PK\x03\x04" + bytes(200), "an archive, not a video"),
    "empty.mp4": (b"", "an empty file"),
    "zeros.mp4": (bytes(4000), "damaged, or not a video"),
    "noise.avi": (random.Random(0).randbytes(4000), "damaged, or not a video"),
    "bomb.gif": (GIF_BOMB, "larger than 35,651,584 pixels"),
    "hls.mp4": (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\ngood.mp4\n#EXT-X-ENDLIST\n",
        "a playlist, not a video",
    ),
    "dash.mp4": (
        b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
        "a playlist, not a video",
    ),
    "concat.mp4": (b"ffconcat version 1.0\nfile good.mp4\n", "a playlist, not a video"),
    "session.mp4": (b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\n", "a playlist, not a video"),
}


@pytest.mark.parametrize("name", HOLDING)
def test_what_is_no_video_is_refused_in_plain_words(tmp_path: Path, name: str) -> None:
    write_film(tmp_path / "good.mp4", 3)
    content, words = HOLDING[name]
    (tmp_path / name).write_bytes(content)
    assert all(words in said for said in refusals(tmp_path / name))
    assert probe(tmp_path / "good.mp4").frames == 3


def test_a_header_that_claims_a_giant_picture_costs_no_memory(tmp_path: Path) -> None:
    assert len(GIF_BOMB) < 40
    (tmp_path / "bomb.gif").write_bytes(GIF_BOMB)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refusals(tmp_path / "bomb.gif")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 100_000  # KiB


@pytest.mark.parametrize("kind", ["mkv", "mp4"])
def test_a_file_of_very_many_streams_is_refused(tmp_path: Path, kind: str) -> None:
    for streams in (3, 150):
        path = tmp_path / f"{streams}.{kind}"
        with av.open(str(path), "w") as container:
            tracks = [container.add_stream("mpeg4", rate=25) for _ in range(streams)]
            for track in tracks:
                track.width, track.height, track.pix_fmt = 32, 32, "yuv420p"
            frame = av.VideoFrame.from_ndarray(numbered(0, 32, 32), format="rgb24")
            for track in tracks:
                container.mux(track.encode(frame))
                container.mux(track.encode(None))
    assert probe(tmp_path / f"3.{kind}").frames == 1
    assert all("100 streams" in said for said in refusals(path))


def test_what_is_no_regular_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    assert "a pipe" in refusals(tmp_path / "pipe.mp4")[0]
    assert "a folder" in refusals(tmp_path / "folder.mp4")[0]
    assert "device" in refusals(Path("/dev/zero"))[0]
    assert "No such file" in refusals(tmp_path / "missing.mp4")[0]


def test_a_name_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(VideoError, match="null"):
        probe("a\0b.mp4")


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w") as container:
        track = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 8000
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    assert all("holds no video stream" in said for said in refusals(path))


def test_a_file_cut_in_the_middle_gives_its_beginning_and_an_error_beyond(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 32, 64, 3), dtype=np.uint8)
    whole = write_film(tmp_path / "whole.mp4", list(noise), gop_size=10).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    assert read(path, [0, 3]).shape == (2, 32, 64, 3)
    with pytest.raises(VideoError, match=r"cut\.mp4: a frame cannot be decoded: damaged"):
        read(path, [39])
    with pytest.raises(VideoError, match="damaged"):
        scan(path)


def test_a_file_cut_inside_its_header_or_first_frame_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (4, 128, 128, 3), dtype=np.uint8)
    whole = write_film(tmp_path / "whole.mp4", list(noise)).read_bytes()
    start = whole.index(b"mdat")
    for length in (1, 20, start // 2, start + 4, start + 2000):
        path = tmp_path / f"cut{length}.mp4"
        path.write_bytes(whole[:length])
        refusals(path)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "avi", "gif"])
def test_damaged_copies_give_frames_or_a_video_error_and_nothing_else(
    tmp_path: Path, kind: str
) -> None:
    codec = {"mp4": "libx264", "mkv": "libx264", "avi": "mpeg4", "gif": "gif"}[kind]
    pix_fmt = "rgb8" if kind == "gif" else "yuv420p"
    whole = write_film(tmp_path / f"whole.{kind}", 12, codec=codec, pix_fmt=pix_fmt).read_bytes()
    draw = random.Random(kind)
    outcomes = {"frames": 0, "error": 0}
    for copy in range(40):
        damaged = bytearray(whole[: draw.randrange(1, len(whole))] if copy % 3 == 0 else whole)
        for _ in range(0 if copy % 3 == 0 else draw.choice((1, 8, 40))):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path = tmp_path / f"{copy}.{kind}"
        path.write_bytes(damaged)
        try:
            scan(path)
            assert read(path, [0, 11], short_side=16).dtype == np.uint8
            outcomes["frames"] += 1
        except VideoError as error:
            assert str(error).startswith(str(path))
            outcomes["error"] += 1
    assert min(outcomes.values()) > 0


def test_opening_good_and_bad_files_leaves_no_descriptor_open(
    films: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "bad.mp4").write_bytes(films("b.mp4").read_bytes()[:900])
    read(films("b.mp4"), [50])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(30):
        read(films("b.mp4"), [50])
        next(stream(films("b.mp4")))
        with pytest.raises(VideoError):
            probe(tmp_path / "bad.mp4")
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_alive_raises_is_not_taken_for_a_fault_of_the_file(
    films: Callable[[str], Path],
) -> None:
    def stop() -> None:
        raise KeyError("stop")

    for attempt in (
        lambda: read(films("b.mp4"), [0], alive=stop),
        lambda: scan(films("b.mp4"), stop),
    ):
        with pytest.raises(KeyError, match="stop"):
            attempt()


@pytest.mark.parametrize(
    "name",
    [
        "a b.mp4", "a,b.mp4", "a\nb.mp4", "-x.mp4", "%03d.mp4", "http:a.mp4", "file:a.mp4",
        "concat:a.mp4", "ü日本.mp4", "'\"&;.mp4", os.fsdecode(b"not utf8 \xff.mp4"),
        "n" * 200 + ".mp4",
    ],
)  # fmt: skip
def test_any_file_name_is_read_relative_or_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, films: Callable[[str], Path], name: str
) -> None:
    shutil.copy(films("b.mp4"), tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert probe(name).path == str(tmp_path / name)
    assert numbers(read(name, [40])) == numbers(read(str(tmp_path / name), [40])) == [40]


# Real files


def check_manifest(row: dict[str, str]) -> None:
    path = f"{DATA}/testvids/{row['file']}"
    if row["error"]:
        with pytest.raises(VideoError, match=row["file"]):
            scan(path)
        return
    for info in (probe(path), scan(path)):
        assert info.frames == int(row["frames_decoded"])
        assert info.rotation == int(row["rotation"] or 0)
        size = (int(row["width"]), int(row["height"]))
        assert (info.width, info.height) == (size if info.rotation % 180 == 0 else size[::-1])
        if row["dt_max"] == row["dt_min"] and row["duration"]:
            assert info.fps == pytest.approx(float(row["avg_fps"]), rel=0.002)
            assert info.seconds == pytest.approx(float(row["duration"]), abs=0.02)
        assert (info.codec, info.container) == (row["codec"], row["container"])


@needs_data
def test_real_files_are_what_the_manifest_says() -> None:
    rows = of_manifest(quick=True)
    assert len(rows) == len(QUICK)
    for row in rows:
        check_manifest(row)


@needs_data
@pytest.mark.slow
def test_the_larger_real_files_are_what_the_manifest_says() -> None:
    rows = of_manifest(quick=False)
    assert len(rows) == 48 - len(QUICK)
    for row in rows:
        check_manifest(row)


def by_ffmpeg(path: str, wanted: list[int], shape: tuple[int, ...]) -> np.ndarray:
    """Frames as the ffmpeg program gives them."""
    chosen = "+".join(f"eq(n\\,{index})" for index in wanted)
    command = ["ffmpeg", "-v", "error", "-i", path, "-map", "0:v:0", "-vf", f"select={chosen}"]
    command += ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(shape)


def check_pictures(rows: list[dict[str, str]]) -> None:
    swapped = []
    for row in rows:
        if row["error"]:
            continue
        path, frames = f"{DATA}/testvids/{row['file']}", int(row["frames_decoded"])
        wanted = sorted({0, frames // 2, frames - 1})
        pictures = read(path, wanted).astype(int)
        expected = by_ffmpeg(path, wanted, pictures.shape)
        differences = np.abs(pictures - expected).mean((1, 2, 3))
        assert differences.max() <= BOUND, (row["file"], differences)
        swapped.append(np.abs(pictures - expected[::-1]).mean())
    assert np.mean(swapped) > 2 * BOUND  # other frames of the same files would have been noticed


@needs_data
@needs_ffmpeg
def test_pictures_of_real_files_are_those_of_the_ffmpeg_program() -> None:
    check_pictures(of_manifest(quick=True))


@needs_data
@needs_ffmpeg
@pytest.mark.slow
def test_pictures_of_the_larger_real_files_are_those_of_the_ffmpeg_program() -> None:
    check_pictures(of_manifest(quick=False))


@needs_data
@pytest.mark.slow
def test_in_real_files_a_seek_gives_what_decoding_from_the_start_gives() -> None:
    draw = random.Random(0)
    for row in manifest():
        if row["error"]:
            continue
        path = f"{DATA}/testvids/{row['file']}"
        every = [picture for _, picture in stream(path, short_side=32)]
        assert len(every) == int(row["frames_decoded"])
        for _ in range(4):
            wanted = [draw.randrange(len(every)) for _ in range(draw.choice((1, 4)))]
            pictures = read(path, wanted, short_side=32)
            for index, picture in zip(wanted, pictures, strict=True):
                assert np.array_equal(picture, every[index]), (row["file"], index)
