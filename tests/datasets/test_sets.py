"""What all official sets share: folds, missing videos, refusals, and the commands they go to."""

import json
from pathlib import Path

import pytest
from imitations import labels, put, put_videos, read, told
from PIL import Image

from everest.datasets import SETS
from everest.index import Index, SourceError, read_index
from tiny import TINY, TINY_PRETRAIN, done, everest


def imitate_ucf(root: Path, clips: int = 4) -> Path:
    """Two classes; clip 0 of each is tested, the others are trained on."""
    names = ("HammerThrow", "Basketball")  # not sorted: the order of classInd.txt
    put(root, "classInd.txt", "1 HammerThrow\r\n2 Basketball\r\n")
    trains, tests = [], []
    for number, name in enumerate(names, start=1):
        files = [f"{name}/v_{name}_g{clip + 1:02d}_c01.avi" for clip in range(clips)]
        tests.append(files[0])
        trains.extend(f"{file} {number}" for file in files[1:])
        put_videos(root / "UCF-101", *files)
    put(root, "trainlist01.txt", "\r\n".join(trains) + "\r\n")
    put(root, "testlist01.txt", "\r\n".join(tests) + "\r\n")
    return root


def refused(name: str, root: Path, **options: object) -> str:
    with pytest.raises(SourceError) as caught:
        read(name, root, **options)
    return str(caught.value)


@pytest.mark.parametrize("fold", [0, 4, -1])
def test_a_fold_out_of_range_is_refused_with_the_range(tmp_path: Path, fold: int) -> None:
    sentence = refused("ucf101", imitate_ucf(tmp_path), fold=fold)
    assert f"--fold {fold}: ucf101 has the official splits 1 to 3" in sentence


@pytest.mark.parametrize("name", sorted(set(SETS) - {"ucf101", "hmdb51"}))
def test_a_fold_of_a_set_with_one_split_is_refused(tmp_path: Path, name: str) -> None:
    sentence = refused(name, tmp_path, fold=1)
    assert f"{name}:{tmp_path} has one official split; leave --fold out" in sentence


def test_a_fold_of_a_folder_is_refused(tmp_path: Path) -> None:
    put_videos(tmp_path, "a/1.mp4", "b/2.mp4")
    with pytest.raises(SourceError, match=r"has no official splits; leave --fold out \(sets with"):
        read_index([str(tmp_path)], fold=1, probe=False)


def test_missing_videos_are_a_count_and_some_names_and_no_rows(tmp_path: Path) -> None:
    root = imitate_ucf(tmp_path)
    (root / "UCF-101/Basketball/v_Basketball_g03_c01.avi").unlink()
    index = read("ucf101", root)
    assert len(index.rows) == 7
    assert all(row.bad is None for row in index.rows)
    sentence = "names 8 videos: 7 present, 1 missing (train 1), such as"
    assert f"{sentence} Basketball/v_Basketball_g03_c01.avi" in told(index)
    assert [(part.named, part.missing) for part in index.sets] == [(8, 1)]


def test_classes_without_a_video_keep_their_number(tmp_path: Path) -> None:
    root = imitate_ucf(tmp_path)
    for file in (root / "UCF-101/HammerThrow").iterdir():
        file.unlink()
    index = read("ucf101", root)
    assert index.classes["label"] == ("HammerThrow", "Basketball")
    assert {row.labels["label"] for row in index.rows} == {1}


def test_nothing_present_is_refused_with_what_was_looked_for(tmp_path: Path) -> None:
    root = imitate_ucf(tmp_path)
    for file in (root / "UCF-101").rglob("*.avi"):
        file.unlink()
    put(root, "UCF101.rar", "")
    sentence = refused("ucf101", root)
    assert "none of the 8 videos of the annotation is below this folder" in sentence
    assert "HammerThrow/v_HammerThrow_g02_c01.avi" in sentence
    assert "unpack 1 archive there: UCF101.rar" in sentence


@pytest.mark.parametrize("name", sorted(SETS))
def test_a_folder_without_annotation_is_refused_with_the_files_that_are_needed(
    tmp_path: Path, name: str
) -> None:
    put_videos(tmp_path, "a.mp4")
    sentence = refused(name, tmp_path)
    assert f"{name}:{tmp_path}: no annotation there (" in sentence
    assert ".txt" in sentence or ".csv" in sentence or ".json" in sentence


@pytest.mark.parametrize("name", sorted(SETS))
def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    assert "no such folder" in refused(name, tmp_path / "nowhere")
    with pytest.raises(SourceError, match="needs the folder of the set"):
        read_index([f"{name}:"])


def test_a_set_that_is_none_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"'ucf10:' is not a known data set.*mean 'ucf101'"):
        read_index([f"ucf10:{tmp_path}"])


def test_one_label_may_have_another_name_and_not_two(tmp_path: Path) -> None:
    root = imitate_ucf(tmp_path)
    assert set(read("ucf101", root, label=["action"]).classes) == {"action"}
    assert "ucf101 has one label a clip" in refused("ucf101", root, label=["a", "b"])


def test_a_group_that_a_set_does_not_have_is_refused(tmp_path: Path) -> None:
    assert "ucf101 has no such group" in refused("ucf101", imitate_ucf(tmp_path), group="person")


def test_without_labels_the_split_stays(tmp_path: Path) -> None:
    index = read("ucf101", imitate_ucf(tmp_path), labelled=False)
    assert index.classes == {}
    assert sorted(str(row.split) for row in index.rows) == ["test"] * 2 + ["train"] * 6


def test_equal_base_names_in_two_folders_stay_two_clips(tmp_path: Path) -> None:
    put_videos(tmp_path, "jump/clip.mp4", "run/clip.mp4")
    put(tmp_path, "test.csv", "path,label\njump/clip.mp4,jump\nrun/clip.mp4,run\n")
    index = read_index([str(tmp_path / "test.csv")], labelled=True, probe=False)
    found = [(Path(row.path).parent.name, row.labels["label"]) for row in index.rows]
    assert found == [("jump", 0), ("run", 1)]


def test_two_blanks_between_path_and_label_are_one_separator(tmp_path: Path) -> None:
    put_videos(tmp_path, "a.mp4", "b.mp4")
    put(tmp_path, "train.csv", "a.mp4  0\nb.mp4  3\n")
    index = read_index([str(tmp_path / "train.csv")], labelled=True, probe=False)
    assert labels(index) == {"a.mp4": "0", "b.mp4": "3"}


def test_check_counts_present_missing_and_bad_and_exits_0(tmp_path: Path) -> None:
    root = imitate_ucf(tmp_path)
    (root / "UCF-101/Basketball/v_Basketball_g03_c01.avi").unlink()
    (root / "UCF-101/Basketball/v_Basketball_g04_c01.avi").write_bytes(b"")
    document = json.loads(done("check", f"ucf101:{root}", "--fold", 1, "--json").out)
    assert (document["named"], document["found"], document["missing"]) == (8, 7, 1)
    assert [Path(bad["path"]).name for bad in document["bad"]] == ["v_Basketball_g04_c01.avi"]
    assert document["classes"] == {"label": {"HammerThrow": 4, "Basketball": 3}}
    assert list(document["classes"]["label"]) == ["HammerThrow", "Basketball"]
    shown = done("check", f"ucf101:{root}").out
    assert "1 of the 8 that the annotation names" in " ".join(shown.split())


@pytest.mark.parametrize("command", ["check", "pretrain", "finetune"])
def test_commands_refuse_a_fold_that_is_none_before_any_work(tmp_path: Path, command: str) -> None:
    root = imitate_ucf(tmp_path / "set")
    words = [] if command == "check" else ["--out", tmp_path / "run"]
    left = everest(command, f"ucf101:{root}", "--fold", 7, *words)
    assert left.code == 2
    assert "--fold 7: ucf101 has the official splits 1 to 3" in left.err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_set_is_pretrained_on_finetuned_and_evaluated_by_its_name(tmp_path: Path) -> None:
    source = f"ucf101:{imitate_ucf(tmp_path / 'ucf')}"
    runs = tmp_path / "runs"
    fold = ("--fold", 1)
    done("pretrain", source, *fold, "--out", runs / "a", "--epochs", 1, *TINY_PRETRAIN)
    learnt = json.loads((runs / "a" / "data.json").read_text())
    assert not any("g01" in entry["path"] for entry in learnt["train"])  # the test part
    start = ("--init", runs / "a", "--epochs", 1)
    done("finetune", source, *fold, *start, "--out", runs / "b", *TINY)
    told = done("evaluate", runs / "b", source, *fold, "--json")
    document = json.loads(told.out)
    assert document["clips"] == 2
    config = json.loads((runs / "b/weights/last/config.json").read_text())
    assert config["classes"] == {"label": ["HammerThrow", "Basketball"]}
    figures = json.loads(done("probe", runs / "a", source, *fold, "--json").out)
    assert figures["columns"]["label"]["clips"]["test"] == 2


def reported_by(index: Index) -> list[str]:
    return [part.reported for part in index.sets]


def test_papers_report_on_validation_where_there_is_no_better(tmp_path: Path) -> None:
    assert reported_by(read("ucf101", imitate_ucf(tmp_path))) == ["test"]
    put(tmp_path / "k", "val.csv", "label,youtube_id,time_start,time_end\nyoga,abcdefghijk,1,2\n")
    put_videos(tmp_path / "k", "abcdefghijk_000001_000002.mp4")
    assert reported_by(read("k400", tmp_path / "k", labelled=None)) == ["val"]


def test_a_recipe_that_mirrors_is_warned_where_directions_are_classes(tmp_path: Path) -> None:
    rows = []
    for number in range(4):
        way = "left to right" if number % 2 else "right to left"
        rows.append({"id": str(number), "template": f"Pushing [something] from {way}"})
        put_videos(tmp_path, f"{number}.webm")
    names = ("left to right", "right to left")
    document = {f"Pushing something from {way}": str(n) for n, way in enumerate(names)}
    put(tmp_path, "labels.json", json.dumps(document))
    put(tmp_path, "train.json", json.dumps(rows))
    words = ("finetune", f"ssv2:{tmp_path}", "--epochs", 1, *TINY)
    mirrored = done(*words, "--out", tmp_path / "a", "--flip", 0.5)
    assert "--flip 0.5 mirrors clips" in mirrored.out + mirrored.err
    plain = done(*words, "--out", tmp_path / "b")
    assert "mirrors clips" not in plain.out + plain.err


def test_a_folder_of_frames_stands_for_its_video(tmp_path: Path) -> None:
    root = imitate_ucf(tmp_path)
    video = root / "UCF-101/Basketball/v_Basketball_g03_c01.avi"
    frames = root / "rawframes/Basketball/v_Basketball_g03_c01"
    frames.mkdir(parents=True)
    for number in range(1, 4):
        Image.new("RGB", (8, 8)).save(frames / f"img_{number:05d}.jpg")
    assert str(frames) not in [row.path for row in read("ucf101", root).rows]  # the file is there
    video.unlink()
    (row,) = [row for row in read("ucf101", root, probe=True).rows if row.path == str(frames)]
    assert (row.frames, row.fps, row.bad) == (3, 25.0, None)
