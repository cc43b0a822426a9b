"""That folders of frames are videos wherever a source of videos is read."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from everest import video
from everest.entries import SourceError
from everest.index import Index, read_index
from everest.loading import Loader
from everest.reading import Framing
from everest.run import load
from everest.sampling import Sampling
from everest.windows import rows_of
from test_stills import film
from tiny import TINY, TINY_PRETRAIN, LabelledSet, done


def document(*words: object) -> Any:
    """What a command prints with --json."""
    return json.loads(done(*words, "--json").out)


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def frames(root: Path, *folders: str, count: int = 3) -> None:
    for folder in folders:
        touch(root, *(f"{folder}/img_{number:05}.jpg" for number in range(1, count + 1)))


def read(source: object, **options: object) -> Index:
    return read_index([str(source)], probe=False, **options)  # type: ignore[arg-type]


def paths(index: Index, root: Path) -> list[str]:
    return [os.path.relpath(row.path, root) for row in index.rows]


def test_a_folder_of_frames_is_one_video(tmp_path: Path) -> None:
    frames(tmp_path, "clip")
    for source in (tmp_path, tmp_path / "clip", f"{tmp_path}/clip/", f"{tmp_path}/cl*"):
        index = read(source)
        assert paths(index, tmp_path) == ["clip"]
        assert any("1 video, a folder of frames" in told for told in index.reading)


def test_a_folder_per_class_of_folders_of_frames_has_labels(tmp_path: Path) -> None:
    frames(tmp_path, "jump/a", "jump/b", "run/a")
    touch(tmp_path, "run/c.mp4")
    index = read(tmp_path, labelled=True)
    assert paths(index, tmp_path) == ["jump/a", "jump/b", "run/a", "run/c.mp4"]
    assert index.classes == {"label": ("jump", "run")}
    assert [row.fps for row in index.rows] == [25, 25, 25, 0]
    assert any("4 videos, 3 of them folders of frames" in told for told in index.reading)
    assert any("read at 25 frames a second" in told for told in index.reading)


def test_split_folders_hold_folders_of_frames(tmp_path: Path) -> None:
    frames(tmp_path, "train/jump/a", "train/run/b", "val/jump/c", "val/run/d")
    index = read(tmp_path, labelled=True)
    assert [row.split for row in index.rows] == ["train", "train", "val", "val"]


def test_pictures_that_are_no_sequence_are_no_video(tmp_path: Path) -> None:
    frames(tmp_path, "clip")
    touch(
        tmp_path, "photos/anna.jpg", "photos/ben.jpg", "cover/1.jpg", "notes/1.jpg", "notes/a.txt"
    )
    touch(tmp_path, "mixed/1.jpg", "mixed/2.jpg", "mixed/a.mp4", "above/1.png", "above/2.png")
    frames(tmp_path, "above/inner")
    assert paths(read(tmp_path), tmp_path) == ["above/inner", "clip", "mixed/a.mp4"]
    for folder, told in (
        ("photos", r"2 files: anna.jpg, ben.jpg\)"),
        ("notes", "pictures among other files, or one alone"),
        ("cover", "pictures among other files, or one alone"),
    ):
        with pytest.raises(SourceError, match=f"no video.*{told}.*folders of numbered pictures"):
            read(tmp_path / folder)


@pytest.mark.parametrize(
    ("video", "folder"),
    [
        ("videos/jump/a.avi", "rawframes/jump/a"),
        ("a.mp4", "a"),
        ("v/a.mp4", "f/a"),
    ],
)
def test_frames_beside_the_video_they_are_of_are_left_out_and_told(
    tmp_path: Path, video: str, folder: str
) -> None:
    touch(tmp_path, video)
    frames(tmp_path, folder, "rawframes/jump/b")
    index = read(tmp_path)
    assert sorted(paths(index, tmp_path)) == sorted([video, "rawframes/jump/b"])
    assert any("1 folder of frames left out, beside the video" in told for told in index.reading)


def test_numbers_left_out_are_told(tmp_path: Path) -> None:
    frames(tmp_path, "a", "b", count=9)
    (tmp_path / "b/img_00004.jpg").unlink()
    told = read(tmp_path).reading
    assert any("1 folder of frames lacks numbers in between" in line for line in told)
    assert any("b: 1 of 9); what is there is read" in line for line in told)


def test_probed_rows_know_their_frames_and_a_bad_picture_is_one_bad_row(tmp_path: Path) -> None:
    film(tmp_path / "a", 7)
    film(tmp_path / "b", 5)
    (tmp_path / "b/img_00001.png").write_bytes(b"no picture, but text")
    index = read_index([str(tmp_path)], frame_rate=10)
    good, bad = index.rows
    assert (good.frames, good.fps, good.width, good.height) == (7, 10, 64, 32)
    assert bad.bad is not None and bad.bad == "img_00001.png: a text file, not a video"


def test_windows_of_a_folder_follow_its_rate(tmp_path: Path) -> None:
    film(tmp_path / "a", 20)
    windows = rows_of([str(tmp_path / "a")], "400ms", None)
    assert [(row.start, row.end) for row in windows] == [(0, 0.4), (0.4, 0.8)]


@pytest.fixture(scope="module")
def pictures(labelled: LabelledSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The list of the labelled set, its videos written out as folders of pictures."""
    root = tmp_path_factory.mktemp("pictures")
    rows = list(csv.DictReader(labelled.table.read_text().splitlines()))
    for row in rows:
        film = labelled.table.parent / row["path"]
        folder = root / film.stem
        folder.mkdir()
        for number, frame in enumerate(video.read(film, range(8))):
            Image.fromarray(frame).save(folder / f"{number:06}.png")
        row["path"] = film.stem
    with (root / "list.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return root / "list.csv"


def test_a_check_counts_pictures_as_it_counts_frames(labelled: LabelledSet, pictures: Path) -> None:
    found, before = document("check", pictures), document("check", labelled.table)
    for what in ("found", "good", "bad", "frames", "sizes", "classes", "splits", "clips"):
        assert found[what] == before[what]


def test_pictures_give_what_their_video_gives(
    labelled: LabelledSet, pictures: Path, pretrained: Path, finetuned: Path, tmp_path: Path
) -> None:
    film = labelled.files[0]
    folder = pictures.parent / film.stem
    vectors = load(pretrained).embed([str(film), str(folder)]).vectors
    assert np.allclose(vectors[0], vectors[1])
    told = {
        guess["path"]: guess["labels"] for guess in document("predict", finetuned, film, folder)
    }
    assert told[str(folder)] == told[str(film)]
    done("predict", finetuned, folder, "--annotate", tmp_path / "x.mp4", "--frame-rate", 5)
    assert video.probe(tmp_path / "x.mp4").fps == 5
    done("show", pretrained, folder, "-o", tmp_path / "x.png")


def test_training_clips_of_pictures_are_those_of_their_video(
    labelled: LabelledSet, pictures: Path
) -> None:
    framing = Framing((32, 32), crop="area", flip=0.5)
    sampling = Sampling(4, 1, None, framing, Framing((32, 32)))
    clips = []
    for table in (labelled.table, pictures):
        rows = read_index([str(table)], labelled=True).part("train").rows
        loader = Loader(rows, sampling)
        clips.append(next(iter(loader.epoch(0, 4))))
        loader.close()
    assert clips[0].weight.sum() == 4
    assert (clips[0].video == clips[1].video).all()


@pytest.mark.slow
def test_a_model_is_trained_and_measured_on_pictures(pictures: Path, tmp_path: Path) -> None:
    done("pretrain", pictures, "--out", tmp_path / "a", "--epochs", 1, *TINY_PRETRAIN)
    words = ("--init", tmp_path / "a", "--out", tmp_path / "b", "--epochs", 1, *TINY)
    done("finetune", pictures, *words)
    assert document("evaluate", tmp_path / "b", pictures)["missing"] == 0


def test_a_check_takes_the_rate_of_a_column(tmp_path: Path) -> None:
    film(tmp_path / "a", 20)
    (tmp_path / "x.csv").write_text("path,fps\na,10\n")
    found = document("check", tmp_path / "x.csv")
    assert found["fps"] == {"10": 1} and found["longest"] == 2.0
