"""`everest demo` runs the whole path and says what came of it."""

import csv
import re
from pathlib import Path

import pytest

from everest.commands import demo
from everest.samples import make_samples, remove_samples
from tiny import Told, done, everest


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    out = tmp_path_factory.mktemp("demo") / "run"
    with pytest.MonkeyPatch.context() as patch:
        for name, count in (("TRAIN", 24), ("VAL", 8), ("TEST", 12)):
            patch.setattr(demo, name, count)
        return out, done("demo", "--out", out)


def test_it_says_each_step_as_the_command_one_would_type(small: tuple[Path, Told]) -> None:
    steps = re.findall(r"^\$ everest (\w+)", small[1].out, re.MULTILINE)
    assert steps == ["check", "pretrain", "finetune", "finetune", "show", "evaluate", "evaluate"]


def test_it_ends_with_what_came_of_it(small: tuple[Path, Told]) -> None:
    end = small[1].out.split("what came of it")[1]
    for told in (
        r"fine-tuned +top-1 .* of 12 test clips \(95 % interval",
        r"from scratch +top-1 ",
        r"pre-training gained [+-]",
        r"chance +25\.0 %",
        r"one frame +linear .* \(99\.9 % interval .*\); nearest .* \(99\.9 % interval .*\): ",
        r"pre-training \(VideoMAE\) on full tokens: .* times the time .* MiB of activations",
        r"fine-tuning on full tokens: ",
        r"everest pretrain my_videos/ --out runs/a",
    ):
        assert re.search(told, end), told


def test_it_leaves_the_picture_and_the_curves(small: tuple[Path, Told]) -> None:
    assert (small[0] / "tokens.gif").stat().st_size > 10_000
    assert (small[0] / "pretrained" / "curves.png").stat().st_size > 10_000


def test_an_earlier_demo_is_not_replaced_unasked(small: tuple[Path, Told]) -> None:
    told = everest("demo", "--out", small[0])
    assert told.code == 2 and "--overwrite" in told.err and str(small[0]) in told.err


def test_a_folder_without_labels_stops_after_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "PRETRAIN_CLIPS", 16)
    make_samples(tmp_path / "own_videos", train=4, val=4, test=4, size=48)
    told = done("demo", tmp_path / "own_videos" / "videos", "--out", tmp_path / "own")
    assert "stopped here, there are no labels" in told.out
    assert (tmp_path / "own" / "tokens.gif").exists()
    assert not (tmp_path / "own" / "finetuned").exists()


def test_a_folder_per_class_of_ones_own_is_split_and_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "PRETRAIN_CLIPS", 16)
    monkeypatch.setattr(demo, "FINETUNE_CLIPS", 16)
    monkeypatch.setattr("everest.demo.CLIPS", 2)
    table = make_samples(tmp_path / "made", train=16, val=4, test=4, size=48)
    for line in csv.DictReader(table.read_text().splitlines()):
        place = tmp_path / "own_videos" / line["label"]
        place.mkdir(parents=True, exist_ok=True)
        (table.parent / line["path"]).rename(place / Path(line["path"]).name)
    told = done("demo", tmp_path / "own_videos", "--out", tmp_path / "own")
    assert "--split 0.8" in told.out
    assert re.search(r"fine-tuned +top-1 .* of 4 val clips", told.out)


@pytest.mark.slow
def test_the_real_demo_learns_to_see_motion(tmp_path: Path) -> None:
    end = done("demo", "--out", tmp_path / "demo").out.split("what came of it")[1]
    chance = re.search(r"chance +([\d.]+) %", end)
    reached = re.search(r"fine-tuned +top-1 ([\d.]+) %", end)
    assert chance and reached and "motion is needed" in end
    assert float(reached[1]) >= 2 * float(chance[1])


def test_overwrite_leaves_clips_that_the_demo_did_not_make(tmp_path: Path) -> None:
    mine = tmp_path / "clips" / "videos" / "holiday.mp4"
    mine.parent.mkdir(parents=True)
    mine.write_text("precious")
    told = everest("demo", "--out", tmp_path, "--overwrite")
    assert told.code == 2 and "holiday.mp4" in told.err
    assert mine.read_text() == "precious"


def test_what_the_demo_made_is_removed_and_nothing_else(tmp_path: Path) -> None:
    make_samples(tmp_path / "clips", train=4, val=4, test=4, size=32, frames=8)
    (tmp_path / "clips" / "videos" / ".test-00007.mp4.part").write_text("it was stopped here")
    (tmp_path / "clips" / ".labels.csv.part").write_text("and here")
    remove_samples(tmp_path / "clips")
    assert not list(tmp_path.iterdir())
