"""Diving48: version 2 only, classes by the vocabulary."""

from pathlib import Path

import pytest
from imitations import labels, put, put_videos, read, splits, told

from everest.index import SourceError

TRAIN = '[{"vid_name": "-mmq0PT-u8k_00155", "label": 0, "start_frame": 0, "end_frame": 48}]'
TEST = '[{"vid_name": "_8Vy3dlHg2w_00000", "label": 1, "start_frame": 0, "end_frame": 60}]'
VOCABULARY = '[["Back","15som","05Twis","FREE"],["Back", "15som", "15Twis", "FREE"]]'


def imitate(root: Path, version: str = "V2_") -> Path:
    put(root, f"Diving48_{version}train.json", TRAIN)
    put(root, f"Diving48_{version}test.json", TEST)
    put(root, "Diving48_vocab.json", VOCABULARY)
    put_videos(root, "rgb/-mmq0PT-u8k_00155.mp4", "rgb/_8Vy3dlHg2w_00000.mp4")
    return root


def test_numbers_are_dives_of_the_vocabulary(tmp_path: Path) -> None:
    index = read("diving48", imitate(tmp_path))
    assert labels(index) == {
        "-mmq0PT-u8k_00155.mp4": "Back+15som+05Twis+FREE",
        "_8Vy3dlHg2w_00000.mp4": "Back+15som+15Twis+FREE",
    }
    assert splits(index) == {"-mmq0PT-u8k_00155.mp4": "train", "_8Vy3dlHg2w_00000.mp4": "test"}
    assert {row.group for row in index.rows} == {"-mmq0PT-u8k", "_8Vy3dlHg2w"}


def test_the_annotation_beside_the_folder_rgb_is_found(tmp_path: Path) -> None:
    assert len(read("diving48", imitate(tmp_path) / "rgb").rows) == 2


def test_the_first_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="version 1, whose labels are wrong in part"):
        read("diving48", imitate(tmp_path, ""))


def test_without_the_vocabulary_classes_are_numbers(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    (root / "Diving48_vocab.json").unlink()
    index = read("diving48", root)
    assert index.classes["label"] == tuple(map(str, range(48)))
    assert "no Diving48_vocab.json" in told(index)


def test_a_label_outside_the_vocabulary_is_refused(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    put(root, "Diving48_V2_test.json", TEST.replace('"label": 1', '"label": 2'))
    with pytest.raises(SourceError, match="a label of 0 to 1"):
        read("diving48", root)
