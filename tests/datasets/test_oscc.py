"""Ego4D OSCC: spans in seconds, null labels by two rules, clips and full videos."""

import json
from pathlib import Path
from typing import Any

import pytest
from imitations import put, put_videos, read, splits, told

from everest.index import SourceError

VIDEO = "4e3fc1e9-424f-4921-9068-d468c135f347"
TRAIN = json.loads(
    '{"clip_uid": null, "clip_id": "1042", "unique_id":'
    ' "c31c6a6f-e65d-449f-a624-f9dceef9057f-1_1543619333333333-9_154361933333332", "video_uid":'
    ' "4e3fc1e9-424f-4921-9068-d468c135f347",\n'
    '"clip_start_sec": 1.1543619333333333, "clip_end_sec": 9.154361933333332, "clip_start_frame":'
    ' 34, "clip_end_frame": 274, "clip_pnr_frame": 157, "parent_start_sec": 1.1543619333333333,'
    ' "parent_end_sec": 9.154361933333332,\n'
    '"parent_start_frame": 34, "parent_end_frame": 274, "state_change": true, "parent_pnr_frame":'
    " 157}"
)


def row(**changes: Any) -> dict[str, Any]:
    return {**TRAIN, **changes}


def later(start: float, **changes: Any) -> dict[str, Any]:
    """Another span of the same video."""
    return row(parent_start_sec=start, parent_end_sec=start + 7.17, **changes)


def imitate(root: Path, train: list[dict[str, Any]], *, bare: bool = False) -> Path:
    place = "v2/annotations/fho_oscc-pnr_{}.json"
    document: Any = train if bare else {"split": "train", "clips": train}
    put(root, place.format("train"), json.dumps(document))
    val = [row(state_change=False, clip_pnr_frame=None)]
    put(root, place.format("val"), json.dumps({"split": "val", "clips": val}))
    put_videos(root, f"v2/full_scale/{VIDEO}.mp4")
    return root


def states(root: Path, name: str = "oscc") -> list[str]:
    index = read(name, root)
    names = index.classes["label"]
    return [names[r.labels["label"]] for r in index.rows if r.split == "train"]


@pytest.mark.parametrize("bare", [False, True])
def test_a_clip_is_a_span_of_seconds_of_the_full_video(tmp_path: Path, bare: bool) -> None:
    index = read("oscc", imitate(tmp_path, [TRAIN], bare=bare))
    first = index.rows[0]
    assert Path(first.path).name == f"{VIDEO}.mp4"
    assert (first.start, first.end) == (1.1543619333333333, 9.154361933333332)
    assert index.classes["label"] == ("no_state_change", "state_change")
    assert [r.labels["label"] for r in index.rows] == [1, 0]
    assert {r.group for r in index.rows} == {VIDEO}


def test_null_and_absent_are_no_change_and_counted(tmp_path: Path) -> None:
    absent = later(40.0)
    del absent["state_change"]
    root = imitate(tmp_path, [TRAIN, later(20.0, state_change=None), absent])
    assert states(root) == ["state_change", "no_state_change", "no_state_change"]
    sentence = "neither true nor false in 2 rows (1 null, 1 absent), read as no_state_change"
    assert sentence in told(read("oscc", root))


def test_the_official_rule_reads_them_as_a_change(tmp_path: Path) -> None:
    root = imitate(tmp_path, [TRAIN, later(20.0, state_change=None)])
    assert states(root, "oscc-official") == ["state_change", "state_change"]
    assert "(1 null), read as state_change" in told(read("oscc-official", root))


def test_a_cut_clip_is_read_by_its_own_seconds_where_its_file_is_there(tmp_path: Path) -> None:
    clip = later(1497.23, clip_uid="0f1d1c2b-clip", clip_start_sec=2.5, clip_end_sec=9.67)
    root = imitate(tmp_path, [clip])
    whole = read("oscc", root).rows[0]
    assert (whole.start, whole.end) == (1497.23, 1497.23 + 7.17)
    put_videos(root, "v2/clips/0f1d1c2b-clip.mp4")
    cut = read("oscc", root).rows[0]
    assert (Path(cut.path).name, cut.start, cut.end) == ("0f1d1c2b-clip.mp4", 2.5, 9.67)
    assert cut.group == VIDEO


def test_seconds_are_read_not_the_unique_id(tmp_path: Path) -> None:
    shifted = later(1497.23, unique_id="x-1496_4-1504_4")
    assert read("oscc", imitate(tmp_path, [shifted])).rows[0].start == 1497.23


def test_the_test_part_has_no_labels(tmp_path: Path) -> None:
    root = imitate(tmp_path, [TRAIN])
    names = ("clip_id", "unique_id", "video_uid", "parent_start_sec", "parent_end_sec")
    test = {name: TRAIN[name] for name in names} | {"parent_start_sec": 2.0}
    path = "v2/annotations/fho_oscc-pnr_test_unannotated.json"
    put(root, path, json.dumps({"clips": [test]}))
    assert len(read("oscc", root).rows) == 2
    assert "neither true nor false" not in told(read("oscc", root))
    assert [r.labels["label"] for r in read("oscc", root, labelled=None).rows] == [1, 0, -1]


def test_a_video_of_train_may_be_in_val_too(tmp_path: Path) -> None:
    index = read("oscc", imitate(tmp_path, [TRAIN]))
    assert splits(index) == {f"{VIDEO}.mp4": "val"}  # the later row of the same file
    assert [r.split for r in index.rows] == ["train", "val"]
    assert "1 file has clips in train and in val" in told(index)


def test_missing_videos_are_counted_with_their_clips(tmp_path: Path) -> None:
    gone = [row(video_uid="gone"), later(30.0, video_uid="gone")]
    index = read("oscc", imitate(tmp_path, [TRAIN, *gone]))
    assert "names 4 clips of 2 videos: 1 present, 1 missing (train 2 clips)" in told(index)


def test_a_document_of_another_form_is_refused(tmp_path: Path) -> None:
    root = imitate(tmp_path, [TRAIN])
    put(root, "v2/annotations/fho_oscc-pnr_train.json", '{"videos": []}')
    with pytest.raises(SourceError, match="expected a list of objects"):
        read("oscc", root)
