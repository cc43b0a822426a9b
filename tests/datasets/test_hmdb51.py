"""HMDB51: codes, file names with every sign there is, overlapping splits."""

from pathlib import Path

from imitations import labels, put, put_videos, read, splits, told

ODD = "#1_[x]!_a&b_(c)+d;e@f~g_kick_f_nm_np1_le_bad_2.avi"
BRUSH = "April_09_brush_hair_u_nm_np1_ba_goo_0.avi"
SAME = "same_name_u_nm_np1_ba_goo_0.avi"


def imitate(root: Path) -> Path:
    splits = root / "testTrainMulti_7030_splits"
    put(splits, "brush_hair_test_split1.txt", f"{BRUSH} 1 \n{SAME} 2 \nunused_u_0.avi 0 \n")
    put(splits, "brush_hair_test_split2.txt", f"{BRUSH} 2 \n{SAME} 1 \nunused_u_0.avi 0 \n")
    put(splits, "kick_ball_test_split1.txt", f"{SAME} 1 \n")
    put(splits, "kick_ball_test_split2.txt", f"{SAME} 2 \n")
    put(splits, "kick_test_split1.txt", f"{ODD} 1 \n")
    put(splits, "kick_test_split2.txt", f"{ODD} 1 \n")
    put_videos(root, f"brush_hair/{BRUSH}", "brush_hair/unused_u_0.avi", "brush_hair/extra.avi")
    put_videos(root, f"kick/{ODD}", f"brush_hair/{SAME}", f"kick_ball/{SAME}")
    return root


def test_codes_are_train_test_and_neither_and_lines_end_in_a_blank(tmp_path: Path) -> None:
    index = read("hmdb51", imitate(tmp_path))
    assert splits(index)[BRUSH] == "train"
    assert "unused_u_0.avi" not in splits(index)
    assert "1 clip with code 0" in told(index)


def test_names_with_brackets_and_hashes_are_files_like_others(tmp_path: Path) -> None:
    assert labels(read("hmdb51", imitate(tmp_path)))[ODD] == "kick"


def test_classes_are_sorted_by_name_not_by_the_names_of_their_files(tmp_path: Path) -> None:
    index = read("hmdb51", imitate(tmp_path))
    assert index.classes["label"] == ("brush_hair", "kick", "kick_ball")


def test_one_file_name_in_two_classes_is_two_clips(tmp_path: Path) -> None:
    index = read("hmdb51", imitate(tmp_path))
    found = {Path(row.path).parent.name: row for row in index.rows if SAME in row.path}
    assert {name: row.split for name, row in found.items()} == {
        "brush_hair": "test",
        "kick_ball": "train",
    }
    assert all(index.classes["label"][row.labels["label"]] == name for name, row in found.items())


def test_a_file_of_another_class_does_not_stand_in_for_a_missing_one(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    (root / "brush_hair" / SAME).unlink()
    index = read("hmdb51", root)
    assert [Path(row.path).parent.name for row in index.rows if SAME in row.path] == ["kick_ball"]
    assert "1 missing" in told(index)


def test_splits_are_three_and_not_folds_of_one_another(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    assert splits(read("hmdb51", root, fold=2))[BRUSH] == "test"
    assert splits(read("hmdb51", root, fold=1))[BRUSH] == "train"


def test_clips_without_a_line_are_left_out_and_counted(tmp_path: Path) -> None:
    index = read("hmdb51", imitate(tmp_path))
    assert "extra.avi" not in splits(index)
    assert "1 video below the folder not named" in told(index)
    assert "extra.avi" in told(index)
