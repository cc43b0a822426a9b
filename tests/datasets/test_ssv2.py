"""Something-Something v2: brackets, string ids, both releases' names, no mirroring."""

import json
from pathlib import Path

import pytest
from imitations import labels, put, put_videos, read, splits, told

from everest.index import SourceError

LABELS = (
    '{"Approaching something with your camera":"0","Holding something next to something":"1",\n'
    '"Wiping something off of something":"173"}'
)
ROW = (
    '{"id":"78687","label":"holding potato next to vicks vaporub bottle",'
    '"template":"Holding [something] next to [something]",'
    '"placeholders":["potato","vicks vaporub bottle"]}'
)
WIPING = (
    '{"id":"42326","label":"wiping dirt off of desk",'
    '"template":"Wiping [something] off of [something]","placeholders":["dirt","desk"]}'
)
APPROACHING = (
    '{"id":"100904","label":"approaching a chair with your camera",'
    '"template":"Approaching [something] with your camera","placeholders":["a chair"]}'
)


def imitate(root: Path, names: str = "labels/{}.json", validation: str = "validation") -> Path:
    put(root, names.format("labels"), LABELS)
    put(root, names.format("train"), f"[{ROW},{WIPING}]")
    put(root, names.format(validation), f"[{APPROACHING}]")
    put_videos(root / "20bn-something-something-v2", "78687.webm", "100904.webm")
    return root


def test_a_class_is_the_template_without_brackets(tmp_path: Path) -> None:
    index = read("ssv2", imitate(tmp_path))
    assert labels(index) == {
        "78687.webm": "Holding something next to something",
        "100904.webm": "Approaching something with your camera",
    }
    assert splits(index) == {"78687.webm": "train", "100904.webm": "val"}


def test_numbers_are_those_of_the_labels_file_though_they_are_text(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    names = [f"Class {number}" for number in range(12)]
    # "10" sorts before "2": as text the order would be another.
    document = json.loads(LABELS)
    numbered = {name: str(n) for n, name in enumerate([*names, *document])}
    put(root, "labels/labels.json", json.dumps(dict(sorted(numbered.items(), key=lambda p: p[1]))))
    index = read("ssv2", root)
    assert index.classes["label"] == (*names, *document)


def test_a_part_of_the_classes_is_numbered_in_the_official_order(tmp_path: Path) -> None:
    index = read("ssv2", imitate(tmp_path))  # 0, 1 and 173
    assert index.classes["label"][2] == "Wiping something off of something"
    assert "the 3 classes here are not all of the set" in told(index)


@pytest.mark.parametrize(
    ("names", "validation"),
    [
        ("something-something-v2-{}.json", "validation"),
        ("annotations/something-something-v2-{}.json", "validation"),
        ("labels/{}.json", "val"),
    ],
)
def test_the_names_of_both_releases_are_known(tmp_path: Path, names: str, validation: str) -> None:
    assert len(read("ssv2", imitate(tmp_path, names, validation)).rows) == 2


def test_labels_beside_the_folder_of_videos_are_found(tmp_path: Path) -> None:
    imitate(tmp_path)
    assert len(read("ssv2", tmp_path / "20bn-something-something-v2").rows) == 2


def test_an_id_is_webm_or_mp4(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    put_videos(root, "mp4/42326.mp4", "mp4/78687.mp4")
    index = read("ssv2", root)
    assert set(labels(index)) == {"78687.mp4", "42326.mp4", "100904.webm"}


def test_the_test_part_has_labels_where_its_answers_are_there(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    put(root, "labels/test.json", '[{"id":"1420"},{"id":"1421"}]')
    put_videos(root, "20bn-something-something-v2/1420.webm")
    assert "1420.webm" not in labels(read("ssv2", root))
    assert "1 clip whose labels are not published, left out" in told(read("ssv2", root))
    assert splits(read("ssv2", root, labelled=False))["1420.webm"] == "test"
    put(root, "labels/test-answers.csv", "1420;Holding something next to something\n")
    assert labels(read("ssv2", root))["1420.webm"] == "Holding something next to something"


def test_a_template_that_the_labels_do_not_know_is_named(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    put(root, "labels/train.json", f"[{ROW.replace('next to [', 'beside [')}]")
    with pytest.raises(SourceError, match=r"clip 78687 has the template 'Holding \[something\] b"):
        read("ssv2", root)


def test_directions_are_classes_and_this_is_told(tmp_path: Path) -> None:
    index = read("ssv2", imitate(tmp_path))
    assert "must not be mirrored" in told(index)
    assert [part.mirrored for part in index.sets] == [False]


def test_a_cut_file_of_labels_is_refused(tmp_path: Path) -> None:
    root = imitate(tmp_path)
    put(root, "labels/train.json", f"[{ROW},")
    with pytest.raises(SourceError, match=r"train\.json: is not JSON"):
        read("ssv2", root)
