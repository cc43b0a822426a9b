"""Kinetics: names with seconds, ids that begin with a dash, three spellings of a class."""

from pathlib import Path

import pytest
from imitations import labels, put, put_videos, read, splits, told

from everest.datasets.kinetics_classes import PUNCTUATED, key_of, spelt
from everest.index import SourceError

HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"
VAL = HEADER + 'abseiling,-3B32lodo2M,59,69,val,0\n"air drumming",_dbcJuKJQNs,40,50,val,0\n'
TRAIN = HEADER + (
    "abseiling,0347ZoDXyP0,95,105,train,0\n"
    "skiing crosscountry,AbCdEfGhIjK,1.0,11.0,train,0\n"
    "skiing (not slalom or crosscountry),aBcDeFgHiJk,2,12,train,0\n"
)
ABSEILING = "-3B32lodo2M_000059_000069.mp4"
DRUMMING = "_dbcJuKJQNs_000040_000050.mp4"


def imitate(root: Path) -> Path:
    put(root, "annotations/val.csv", VAL)
    put(root, "annotations/train.csv", TRAIN)
    put_videos(root, f"val/{ABSEILING}", f"val/{DRUMMING}", "train/0347ZoDXyP0_000095_000105.mp4")
    put_videos(root, "train/AbCdEfGhIjK_000001_000011.mp4")
    return root


def test_flat_folders_and_names_with_seconds_are_matched(tmp_path: Path) -> None:
    index = read("k400", imitate(tmp_path))
    assert labels(index) == {
        ABSEILING: "abseiling",
        DRUMMING: "air drumming",
        "0347ZoDXyP0_000095_000105.mp4": "abseiling",
        "AbCdEfGhIjK_000001_000011.mp4": "skiing crosscountry",
    }
    assert splits(index)[ABSEILING] == "val"
    assert "1 missing (train 1), such as aBcDeFgHiJk_000002_000012.mp4" in told(index)
    assert {row.group for row in index.rows} >= {"-3B32lodo2M", "_dbcJuKJQNs"}


def test_classes_are_sorted_with_their_brackets(tmp_path: Path) -> None:
    names = read("k400", imitate(tmp_path)).classes["label"]
    assert names == (
        "abseiling",
        "air drumming",
        "skiing (not slalom or crosscountry)",
        "skiing crosscountry",
    )


def test_class_folders_without_annotation_have_the_ids_of_the_release(tmp_path: Path) -> None:
    folders = ("abseiling", "air_drumming", "skiing_crosscountry")
    put_videos(tmp_path, *(f"train/{folder}/a.mp4" for folder in folders))
    put_videos(tmp_path, "val/skiing_not_slalom_or_crosscountry/b.mp4", "val/air drumming/c.mp4")
    index = read("k400", tmp_path)
    assert index.classes["label"] == (
        "abseiling",
        "air drumming",
        "skiing (not slalom or crosscountry)",
        "skiing crosscountry",
    )
    assert splits(index) == {"a.mp4": "train", "b.mp4": "val", "c.mp4": "val"}
    assert labels(index)["c.mp4"] == "air drumming"
    assert "no csv file" in told(index)


def test_two_spellings_in_two_files_are_one_class(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    put(root, "annotations/train.csv", TRAIN.replace("abseiling", '"air_drumming"'))
    index = read("k400", root)
    assert labels(index)["0347ZoDXyP0_000095_000105.mp4"] == "air drumming"


@pytest.mark.parametrize(
    "spelling",
    [
        "massaging person's head",
        "massaging_person's_head",
        "massaging_persons_head",
        '"massaging person\'s head"',
    ],
)
def test_every_spelling_of_a_class_becomes_one(spelling: str) -> None:
    assert spelt(spelling) == "massaging person's head"


def test_no_two_punctuated_classes_share_a_key() -> None:
    assert len({key_of(name) for name in PUNCTUATED}) == len(PUNCTUATED)


def test_columns_are_found_by_name_and_a_file_may_lack_labels(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    put(root, "annotations/test.csv", "youtube_id,time_start,time_end,split\n--07WQ2iBlw,1,11,test")
    put_videos(root, "test/--07WQ2iBlw_000001_000011.mp4")
    index = read("k400", root, labelled=None)
    assert labels(index)["--07WQ2iBlw_000001_000011.mp4"] is None
    assert len(read("k400", root).rows) == len(index.rows) - 1
    assert index.sets[0].reported == "val"


def test_the_split_validate_and_a_file_without_a_split_column_are_understood(
    tmp_path: Path,
) -> None:
    root = imitate(tmp_path)
    (root / "annotations/train.csv").unlink()
    put(root, "annotations/val.csv", VAL.replace(",val,", ",validate,"))
    bare = "label,youtube_id,time_start,time_end\nabseiling,0347ZoDXyP0,95,105\n"
    put(root, "annotations/kinetics_train.csv", bare)
    parts = splits(read("k400", root))
    assert parts[ABSEILING] == "val"
    assert parts["0347ZoDXyP0_000095_000105.mp4"] == "train"


def test_a_video_called_by_its_id_alone_is_found(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    (root / "val" / DRUMMING).rename(root / "val" / "_dbcJuKJQNs.mp4")
    index = read("k400", root)
    assert labels(index)["_dbcJuKJQNs.mp4"] == "air drumming"
    assert "1 video found by the id alone" in told(index)


def test_the_full_name_goes_before_the_id(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    more = VAL + "yoga,-3B32lodo2M,10,20,train,0\n"
    put(root, "annotations/val.csv", more)
    index = read("k400", root)
    assert labels(index)[ABSEILING] == "abseiling"
    assert sum(row.path.endswith(ABSEILING) for row in index.rows) == 1


def test_an_id_that_two_classes_claim_is_left_out(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    put(root, "annotations/val.csv", VAL + "yoga,-3B32lodo2M,10,20,train,0\n")
    (root / "val" / ABSEILING).rename(root / "val" / "-3B32lodo2M.mp4")
    index = read("k400", root)
    assert "-3B32lodo2M.mp4" not in labels(index)
    assert "1 id has several rows of different classes" in told(index)


def test_a_replacement_stands_in_for_a_corrupted_video(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    put_videos(root, f"replacement/replacement_for_corrupted_k400/{ABSEILING}")
    (root / "val" / ABSEILING).write_bytes(b"")
    index = read("k400", root)
    (path,) = [row.path for row in index.rows if row.path.endswith(ABSEILING)]
    assert "replacement" in path
    assert "1 video taken from the folder of replacements" in told(index)


def test_k600_and_k700_are_read_from_the_same_files(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    for name in ("k600", "k700"):
        assert len(read(name, root).rows) == 4


def test_the_csv_files_of_another_kinetics_are_passed_over(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    put(root, "kinetics700/train.csv", HEADER + "yoga,-3B32lodo2M,59,69,train,0\n")
    assert "yoga" not in read("k400", root).classes["label"]


def test_a_folder_with_neither_csv_nor_classes_is_refused(tmp_path: Path) -> None:
    put_videos(tmp_path, "a.mp4")
    with pytest.raises(SourceError, match=r"no annotation there \(train\.csv, val\.csv\)"):
        read("k400", tmp_path)
