"""Predictions: of what is still coming, of what is unknown, over time."""

import csv
import io
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from everest.frames import span_of
from everest.guesses import coming, standard_input
from everest.guesses.camera import Camera
from everest.guesses.standard_input import Ahead, in_file, plays_as_it_comes
from everest.guesses.telling import Telling
from everest.index import Row
from everest.kinds import Kind
from everest.run import Guess, load
from everest.windows import windows
from filming import write_film
from tiny import LabelledSet, done, everest


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Three seconds of noise, 25 frames each, as a stream."""
    noise = np.random.default_rng(0).integers(0, 255, (75, 96, 96, 3), np.uint8)
    return write_film(tmp_path / "film.ts", list(noise))


def give(stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))


# Windows


@pytest.mark.parametrize("hop", [None, 0.3, 1.0, 1.7])
def test_windows_that_come_are_those_of_the_file(hop: float | None) -> None:
    for total in (1, 3, 11, 24, 25, 26, 40, 63):
        for fps in (10.0, 12.5, 29.97):
            row = Row("x", {}, None, None, None, None, total, fps)
            wanted = []
            for part in windows(row, 1.0, hop):
                first, count = span_of(total, fps, part.start, part.end)
                assert part.start is not None and part.end is not None
                wanted.append((part.start, part.end, list(range(first, first + count))))
            pictures = (np.full((1, 1, 3), number, np.uint8) for number in range(total))
            found = [
                (start, end, [int(picture[0, 0, 0]) for picture in kept])
                for start, end, _, kept in coming.windows_of(pictures, fps, 1.0, hop)
            ]
            assert [(start, kept) for start, _, kept in found] == [
                (start, kept) for start, _, kept in wanted
            ], (total, fps)
            # What is left of a frame after the last whole one, a file's length does not have.
            assert [end for _, end, _ in found] == pytest.approx(
                [end for _, end, _ in wanted], abs=1 / fps
            )


def test_a_window_is_told_with_its_last_frame() -> None:
    taken = 0

    def pictures() -> Iterator[np.ndarray]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield np.zeros((1, 1, 3), np.uint8)

    found = coming.windows_of(pictures(), 10.0, 2.0, 1.0)
    next(found)
    assert taken == 20
    next(found)
    assert taken == 30


# Standard input


def test_a_stream_is_predicted_as_the_file_would_be(
    film: Path, finetuned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--window", "1s", "--hop", "0.5s", "--json"]
    wanted = json.loads(done("predict", finetuned, film, *words).out)
    give(io.BytesIO(film.read_bytes()), monkeypatch)
    found = json.loads(done("predict", finetuned, "-", *words).out)
    assert found == [{**entry, "path": "-"} for entry in wanted] and len(found) == 6


def test_a_stream_is_predicted_while_it_comes(
    film: Path, finetuned: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = film.read_bytes()
    given = 0

    class Live(io.BufferedIOBase):
        def read(self, size: int | None = -1) -> bytes:
            nonlocal given
            assert size is not None
            found = content[given : given + size]
            given += len(found)
            return found

        def read1(self, size: int = -1) -> bytes:
            return self.read(min(size, 1024))

    from everest.guesses.watching import standard_input as watch

    give(Live(), monkeypatch)
    run = load(finetuned)
    with watch(run, "0.5s", None, 1.0, whole=False) as (guesses, path):
        assert guesses is not None and path == "-"
        first = next(iter(guesses))
        assert (first.start, first.end) == (0.0, 0.5)
        assert given < len(content) / 2
        assert [guess.start for guess in guesses] == [0.5]  # for one second


@pytest.mark.parametrize(("options", "plays"), [({}, False), ({"movflags": "faststart"}, True)])
def test_an_mp4_is_told_as_it_comes_where_its_table_stands_first(
    options: dict[str, str], plays: bool, tmp_path: Path
) -> None:
    path = tmp_path / "x.mp4"
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 32
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    stream_of = io.BytesIO(path.read_bytes())
    ahead = Ahead(stream_of)
    assert plays_as_it_comes(ahead) == plays
    assert stream_of.tell() < 100  # no more was waited for
    assert ahead.read(8) + ahead.read() == path.read_bytes()[: stream_of.tell()]


def test_what_standard_input_brings_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standard_input, "AT_MOST", 1000)
    with in_file(Ahead(io.BytesIO(b"x" * 1000))) as path:
        assert Path(path).stat().st_size == 1000
    assert not Path(path).exists()
    with pytest.raises(ValueError, match="more than"), in_file(Ahead(io.BytesIO(b"x" * 1001))):
        raise AssertionError


@pytest.mark.parametrize("words", [[], ["--window", "1s"]])
@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x00\x00\x00\x18ftypmp42"])
def test_no_video_on_standard_input_is_told(
    content: bytes, words: list[str], finetuned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(io.BytesIO(content), monkeypatch)
    told = everest("predict", finetuned, "-", *words)
    assert told.code == 2 and "standard input" in told.err and "/tmp" not in told.err


# Unknown


def guess(*shares: float) -> Guess:
    labels = list(zip("abc", shares, strict=False))
    return Guess("x.mp4", 0.0, 1.0, {"label": labels}, {})


def test_a_class_below_the_threshold_is_unknown() -> None:
    telling = Telling(unknown_below=0.5)
    assert telling.line(guess(0.6, 0.4), "label") == "a 60.0 %, b 40.0 %"
    assert telling.line(guess(0.4, 0.3), "label") == "unknown (the likeliest is a, 40.0 %)"
    assert [entry["unknown"] for entry in telling.documents(guess(0.4, 0.3))] == [True]
    assert [entry["unknown"] for entry in telling.documents(guess(0.5, 0.3))] == [False]
    (row,) = telling.rows(guess(0.4, 0.3))
    assert row == ["x.mp4", 0.0, 1.0, "label", "unknown", "0.400000"]
    assert telling.named(guess(0.4, 0.3)).labels == {"label": [("unknown", 0.4)]}
    assert telling.named(guess(0.6, 0.3)) == guess(0.6, 0.3)
    assert "unknown" not in Telling().documents(guess(0.1, 0.1))[0]


def test_labels_of_which_a_clip_has_several_are_never_unknown() -> None:
    kinds: dict[str, Kind] = {"label": "multi"}
    telling = Telling(kinds, unknown_below=0.99)
    assert telling.line(guess(0.6, 0.4), "label") == "a 60.0 %"
    assert "unknown" not in telling.documents(guess(0.6, 0.4))[0]


def test_the_command_tells_the_unknown(
    labelled: LabelledSet, finetuned: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    told = done("predict", finetuned, labelled.files[0], "--unknown-below", "1", "--csv", out)
    assert "unknown (the likeliest is " in told.out
    with out.open() as file:
        (row,) = csv.DictReader(file)
    assert row["label"] == "unknown"


def test_what_predict_cannot_do_is_refused(
    labelled: LabelledSet, finetuned: Path, tmp_path: Path
) -> None:
    file = labelled.files[0]
    for words, said in (
        ([], "videos or --camera"),
        ([file, "--camera", 0], "one of both"),
        ([file, "-"], "one video"),
        ([file, "--seconds", 3], "--seconds"),
        ([file, "--unknown-below", 1.5], "--unknown-below 1.5"),
        ([file, "--timeline", tmp_path / "t.png"], "--window"),
        ([file, "--window", "1s", "--timeline", tmp_path / "t.jpg"], ".png"),
        ([file, "--window", "9s", "--timeline", tmp_path / "t.png"], "no course"),
        (["--camera", 0, "--annotate", tmp_path / "t.mp4"], "--annotate"),
    ):
        told = everest("predict", finetuned, *words)
        assert told.code == 2 and said in told.err, (said, told.err)


# Over time


def test_the_windows_are_drawn_over_time(film: Path, finetuned: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.png"
    words = ["--window", "1s", "--hop", "0.5s", "--timeline", out, "--unknown-below", "0.4"]
    done("predict", finetuned, film, *words)
    with Image.open(out) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape[1] > 1000
    colours = [(0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167)]  # a label each
    for colour in colours:
        assert (np.abs(pixels - colour).sum(axis=2) < 20).sum() > 50


# A camera


def camera(frames: int, rate: float) -> Any:
    """An OpenCV with a camera that gives so many frames."""

    class Capture:
        left = frames

        def __init__(self, number: int) -> None:
            self.number = number

        def isOpened(self) -> bool:
            return self.number == 0

        def read(self) -> tuple[bool, np.ndarray | None]:
            if not self.left:
                return False, None
            self.left -= 1
            time.sleep(1 / rate)
            return True, np.full((48, 64, 3), self.left % 256, np.uint8)

        def release(self) -> None:
            pass

    logging = SimpleNamespace(setLogLevel=lambda level: None, LOG_LEVEL_SILENT=0)
    return SimpleNamespace(VideoCapture=Capture, utils=SimpleNamespace(logging=logging))


def test_a_camera_is_told_window_by_window(
    finetuned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", camera(60, 100))
    told = done("predict", finetuned, "--camera", 0, "--window", "200ms", "--json")
    found = json.loads(told.out)
    assert found
    for entry in found:
        assert entry["path"] == "camera 0"
        assert entry["end"] - entry["start"] == pytest.approx(0.2, abs=1e-6)
    starts = [entry["start"] for entry in found]
    assert starts == sorted(starts)


def test_a_slow_prediction_is_of_the_latest_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", camera(1000, 200))
    with Camera(0, 0.1, None, lambda picture: picture) as watched:
        ends = []
        for window in watched.windows(0.1, None):
            ends.append(window.end)
            if len(ends) == 3:
                break
            time.sleep(0.3)  # the prediction
    assert ends[1] - ends[0] >= 0.3


def test_a_camera_that_is_not_there_is_told(
    finetuned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", camera(5, 100))
    told = everest("predict", finetuned, "--camera", 3)
    assert told.code == 2 and "--camera 3: there is no such camera" in told.err
    monkeypatch.setitem(sys.modules, "cv2", None)
    told = everest("predict", finetuned, "--camera", 0)
    assert told.code == 2 and "everest-video[motion]" in told.err
