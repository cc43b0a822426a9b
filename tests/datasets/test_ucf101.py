"""UCF101: the order of its classes, its three splits, its groups."""

from pathlib import Path

import pytest
from imitations import labels, put, put_videos, read, splits, told

from everest.index import SourceError

CLASSES = (
    "1 ApplyEyeMakeup\r\n35 Hammering\r\n36 HammerThrow\r\n37 HandstandPushups\r\n"
    "47 JumpingJack\r\n48 JumpRope\r\n101 YoYo\r\n"
)
TRAIN = (
    "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\n"
    "Hammering/v_Hammering_g08_c01.avi 35\r\n"
    "HammerThrow/v_HammerThrow_g08_c01.avi 36\r\n"
    "YoYo/v_YoYo_g25_c05.avi 101\r\n"
)
TEST = (
    "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\r\n"
    "HandstandPushups/v_HandStandPushups_g01_c01.avi\r\n"
)


@pytest.fixture
def ucf(tmp_path: Path) -> Path:
    root = tmp_path / "ucf101"
    put(root, "ucfTrainTestlist/classInd.txt", CLASSES)
    put(root, "ucfTrainTestlist/trainlist01.txt", TRAIN)
    put(root, "ucfTrainTestlist/testlist01.txt", TEST)
    put(root, "ucfTrainTestlist/trainlist02.txt", TRAIN.replace("g08", "g01"))
    put(root, "ucfTrainTestlist/testlist02.txt", TEST.replace("g01", "g08"))
    put_videos(
        root / "UCF-101",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi",
        "Hammering/v_Hammering_g08_c01.avi",
        "HammerThrow/v_HammerThrow_g08_c01.avi",
        "HandstandPushups/v_HandStandPushups_g01_c01.avi",
    )
    return root


def test_class_ids_follow_classind_which_is_not_sorted(ucf: Path) -> None:
    index = read("ucf101", ucf)
    names = index.classes["label"]
    assert names[1:3] == ("Hammering", "HammerThrow")  # bytes would have them the other way round
    assert names[4:6] == ("JumpingJack", "JumpRope")
    assert names != tuple(sorted(names))
    assert labels(index)["v_Hammering_g08_c01.avi"] == "Hammering"
    assert labels(index)["v_HammerThrow_g08_c01.avi"] == "HammerThrow"


def test_the_class_of_a_test_clip_is_its_folder_not_its_file_name(ucf: Path) -> None:
    assert labels(read("ucf101", ucf))["v_HandStandPushups_g01_c01.avi"] == "HandstandPushups"


def test_the_first_split_is_read_where_none_is_chosen_and_this_is_told(ucf: Path) -> None:
    index = read("ucf101", ucf)
    assert splits(index)["v_ApplyEyeMakeup_g08_c01.avi"] == "train"
    assert splits(index)["v_ApplyEyeMakeup_g01_c01.avi"] == "test"
    assert "split 1 of 3" in told(index)
    assert "--fold 2" in told(index)


def test_another_split_is_chosen_by_fold(ucf: Path) -> None:
    index = read("ucf101", ucf, fold=2)
    assert splits(index)["v_ApplyEyeMakeup_g08_c01.avi"] == "test"
    assert splits(index)["v_ApplyEyeMakeup_g01_c01.avi"] == "train"


def test_a_split_whose_lists_are_not_there_is_refused_by_name(ucf: Path) -> None:
    with pytest.raises(SourceError, match=r"trainlist03\.txt"):
        read("ucf101", ucf, fold=3)


def test_groups_are_source_videos(ucf: Path) -> None:
    groups = {Path(row.path).name: row.group for row in read("ucf101", ucf).rows}
    assert groups["v_ApplyEyeMakeup_g08_c01.avi"] == "ApplyEyeMakeup_g08"
    assert groups["v_ApplyEyeMakeup_g01_c01.avi"] == "ApplyEyeMakeup_g01"
    assert groups["v_Hammering_g08_c01.avi"] == "Hammering_g08"


def test_a_line_that_is_none_of_the_official_file_is_named(ucf: Path) -> None:
    path = put(ucf, "ucfTrainTestlist/trainlist01.txt", TRAIN + "v_YoYo_g25_c06.avi 101\r\n")
    with pytest.raises(SourceError, match=r"trainlist01\.txt: line 5 is 'v_YoYo_g25_c06\.avi 101'"):
        read("ucf101", ucf)
    path.write_text(TRAIN + "Yodel/v_Yodel_g25_c06.avi 102\n")
    with pytest.raises(SourceError, match="line 5 has the class 'Yodel'"):
        read("ucf101", ucf)


def test_without_classind_the_train_lists_ids_give_the_order(ucf: Path) -> None:
    (ucf / "ucfTrainTestlist/classInd.txt").unlink()
    put(ucf, "ucfTrainTestlist/testlist01.txt", TEST.splitlines()[0])
    names = read("ucf101", ucf).classes["label"]
    assert names == ("ApplyEyeMakeup", "Hammering", "HammerThrow", "YoYo")


def test_videos_converted_to_another_container_are_found(ucf: Path) -> None:
    old = ucf / "UCF-101/Hammering/v_Hammering_g08_c01.avi"
    put_videos(ucf, "videos/Hammering/v_Hammering_g08_c01.mp4")
    old.unlink()
    assert labels(read("ucf101", ucf))["v_Hammering_g08_c01.mp4"] == "Hammering"


@pytest.mark.parametrize("given", [".", "UCF-101"])
@pytest.mark.parametrize(
    "place", ["ucf101/annotations", "ucf101", "ucf101/UCF-101", "splits/ucfTrainTestlist"]
)
def test_annotations_are_found_wherever_they_lie(
    ucf: Path, place: str, given: str, tmp_path: Path
) -> None:
    wanted = tmp_path / place
    wanted.mkdir(parents=True, exist_ok=True)
    for file in (ucf / "ucfTrainTestlist").iterdir():
        file.rename(wanted / file.name)
    assert len(read("ucf101", ucf / given).rows) == 5
