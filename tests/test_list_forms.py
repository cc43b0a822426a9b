"""That the lists which other programs keep are read as they are."""

import json
import os
import sys
from pathlib import Path

import pytest

from everest.entries import SourceError
from everest.index import Index, read_index

Told = list[tuple[str, str | None]]


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def frames(
    root: Path, folder: str, count: int, name: str = "img_{:05}.jpg", first: int = 1
) -> None:
    touch(root, *(f"{folder}/{name.format(number)}" for number in range(first, first + count)))


def read(path: Path, text: str, **options: object) -> Index:
    path.write_text(text)
    return read_index([str(path)], probe=False, **options)  # type: ignore[arg-type]


def told(index: Index, root: Path) -> Told:
    """(path below root, class name) of each row."""
    names = index.classes.get("label", ())
    ids = [row.labels.get("label", -1) for row in index.rows]
    return [
        (os.path.relpath(row.path, root), names[at] if isinstance(at, int) and at >= 0 else None)
        for row, at in zip(index.rows, ids, strict=True)
    ]


def spans(index: Index, rate: float = 25.0) -> list[tuple[int | None, int | None]]:
    """(first frame, frame after the last) of each row."""
    return [
        (
            None if row.start is None else int(row.start * rate),
            None if row.end is None else int(row.end * rate),
        )
        for row in index.rows
    ]


# mmaction2 VideoDataset


def test_mmaction2_videos_have_one_label_or_several_or_none(tmp_path: Path) -> None:
    touch(tmp_path, "some/path/000.mp4", "some/path/001.mp4", "some/path/002.mp4")
    names = [f"some/path/00{number}.mp4" for number in range(3)]
    one = read(tmp_path / "x.txt", f"{names[0]} 1\n{names[1]} 1\n{names[2]} 2\n", labelled=True)
    assert told(one, tmp_path) == list(zip(names, ["1", "1", "2"], strict=True))
    none = read(tmp_path / "x.txt", "\n".join(names))
    assert told(none, tmp_path) == [(name, None) for name in names] and none.classes == {}
    some = read(tmp_path / "x.txt", f"{names[0]} 1\n{names[1]}\n{names[2]} -1\n", labelled=None)
    assert told(some, tmp_path) == list(zip(names, ["1", None, None], strict=True))


def test_mmaction2_multi_class_lists_are_read_where_several_labels_are_asked_for(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    text = "a.mp4 1 3 5\nb.mp4 0\nc.mp4 3 5\n"
    index = read(tmp_path / "x.txt", text, label=("tags:multi",), labelled=True)
    assert [row.labels["tags"] for row in index.rows] == [(1, 2, 3), (0,), (2, 3)]
    assert index.classes["tags"] == ("0", "1", "3", "5")
    with pytest.raises(
        SourceError, match=r"line 1 has several labels \(1 3 5\); --label label:mul"
    ):
        read(tmp_path / "x.txt", text, labelled=True)
    assert any("--label label:multi" in line for line in read(tmp_path / "x.txt", text).reading)


def test_two_labels_a_line_are_two_where_several_are_asked_for(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    text = "a.mp4 1 3\nb.mp4 0\n"
    several = read(tmp_path / "x.txt", text, label=("label:multi",), labelled=True)
    assert several.rows[0].labels == {"label": (1, 2)}
    single = read(tmp_path / "x.txt", text, labelled=True)
    assert told(single, tmp_path) == [("a.mp4", "3"), ("b.mp4", "0")]
    assert any("taken for a frame count and not used" in line for line in single.reading)


# mmaction2 RawframeDataset


def test_mmaction2_rawframes_are_folder_frames_label(tmp_path: Path) -> None:
    frames(tmp_path, "some/dir-1", 30)
    frames(tmp_path, "some/dir-2", 12)
    text = "some/dir-1 30 1\nsome/dir-2 12 0\n"
    index = read(tmp_path / "x.txt", text, labelled=True)
    assert told(index, tmp_path) == [("some/dir-1", "1"), ("some/dir-2", "0")]
    assert spans(index) == [(None, None), (None, None)]
    assert [row.fps for row in index.rows] == [25.0, 25.0]


def test_a_frame_count_below_the_folders_restricts_it_and_one_above_is_told(tmp_path: Path) -> None:
    frames(tmp_path, "a", 30)
    frames(tmp_path, "b", 12)
    frames(tmp_path, "c", 9)
    index = read(tmp_path / "x.txt", "a 20 1\nb 15 0\nc 9 0\n", labelled=True)
    assert spans(index) == [(None, 20), (None, None), (None, None)]
    assert any("(line 2: 15, it holds 12)" in line for line in index.reading)


def test_mmaction2_rawframes_with_an_offset_are_parts_of_a_folder(tmp_path: Path) -> None:
    frames(tmp_path, "match", 100)
    frames(tmp_path, "other", 50)
    text = "match 0 40 2\nmatch 40 60 0\nother 10 20 1\n"
    index = read(tmp_path / "x.txt", text, labelled=True)
    assert told(index, tmp_path) == [("match", "2"), ("match", "0"), ("other", "1")]
    assert spans(index) == [(None, 40), (40, None), (10, 30)]
    assert any("come before the clip" in line for line in index.reading)
    assert any("from 0.4 s to 1.2 s is '1'" in line for line in index.reading)


def test_mmaction2_rawframes_of_several_labels_begin_with_the_frame_count(tmp_path: Path) -> None:
    frames(tmp_path, "a", 30)
    frames(tmp_path, "b", 12)
    text = "a 30 1 4 7\nb 12 4 7 9\n"
    index = read(tmp_path / "x.txt", text, label=("label:multi",), labelled=True)
    assert [row.labels["label"] for row in index.rows] == [(0, 1, 2), (1, 2, 3)]


def test_a_part_that_lies_past_the_folder_is_bad(tmp_path: Path) -> None:
    frames(tmp_path, "a", 30)
    frames(tmp_path, "b", 30)
    index = read(tmp_path / "x.txt", "a 0 30 1\nb 40 10 0\na 10 20 1\n")
    assert [row.bad for row in index.rows][::2] == [None, None]
    assert "holds 30 frames, of which none" in str(index.rows[1].bad)


# VideoMAE, EVEREST, MVD, MME


def test_a_videomae_folder_is_its_three_lists_and_each_alone_is_one(tmp_path: Path) -> None:
    videos = tmp_path / "videos of k400"
    touch(videos, "a.mp4", "b.mp4", "c.mp4", "d.mp4")
    lists = tmp_path / "lists"
    lists.mkdir()
    for name, rows in {"train": ("a 0", "b 1"), "val": ("c 0",), "test": ("d 1",)}.items():
        lines = (f"{videos}/{row.split()[0]}.mp4 {row.split()[1]}\n" for row in rows)
        (lists / f"{name}.csv").write_text("".join(lines))
    index = read_index([str(lists)], labelled=True, probe=False)
    names = ["d.mp4", "a.mp4", "b.mp4", "c.mp4"]
    assert [os.path.basename(row.path) for row in index.rows] == names
    assert [row.split for row in index.rows] == ["test", "train", "train", "val"]
    alone = read_index([str(lists / "train.csv")], labelled=True, probe=False)
    assert told(alone, videos) == [("a.mp4", "0"), ("b.mp4", "1")]


def test_two_blanks_before_a_label_are_one(tmp_path: Path) -> None:
    touch(tmp_path, "video_1.mp4", "video_2.mp4")
    text = "video_1.mp4  label_1\nvideo_2.mp4  label_2\n"
    index = read(tmp_path / "x.csv", text, labelled=True)
    assert told(index, tmp_path) == [("video_1.mp4", "label_1"), ("video_2.mp4", "label_2")]
    index = read(tmp_path / "x.csv", text.replace("label_", ""), labelled=True)
    assert told(index, tmp_path) == [("video_1.mp4", "1"), ("video_2.mp4", "2")]


def test_equal_base_names_in_two_folders_are_two_clips(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp4", "b/1.mp4", "a/1.x.mp4")
    text = "a/1.mp4 0\nb/1.mp4 1\na/1.x.mp4 0\n"
    index = read(tmp_path / "x.csv", text, labelled=True)
    assert told(index, tmp_path) == [("a/1.mp4", "0"), ("b/1.mp4", "1"), ("a/1.x.mp4", "0")]


@pytest.mark.parametrize("rest", ["0", "0 7", "some thing", "0 thing"])
def test_a_pretraining_list_may_lack_the_ending_and_say_anything_after_the_path(
    tmp_path: Path, rest: str
) -> None:
    touch(tmp_path, "v/ApplyEyeMakeup.mp4", "v/YoYo.mp4", "v/YoYo.txt")
    index = read(tmp_path / "x.csv", f"v/ApplyEyeMakeup {rest}\nv/YoYo {rest}\n")
    paths = [path for path, _ in told(index, tmp_path)]
    assert paths == ["v/ApplyEyeMakeup.mp4", "v/YoYo.mp4"]
    assert all(row.bad is None for row in index.rows)


# VideoMAE v2


def test_a_videomae_v2_list_mixes_videos_and_parts_of_folders(tmp_path: Path) -> None:
    touch(tmp_path, "k400/a.mp4")
    frames(tmp_path, "ava/b", 50, "image_{:06}.jpg")
    frames(tmp_path, "sthv2/c", 40)
    text = "k400/a.mp4 0 -1\nava/b 1 50\nsthv2/c 11 20\n"
    index = read(tmp_path / "x.csv", text)
    assert told(index, tmp_path) == [("k400/a.mp4", None), ("ava/b", None), ("sthv2/c", None)]
    assert spans(index) == [(None, None), (None, None), (10, 30)]
    assert index.classes == {}
    with pytest.raises(SourceError, match="paths without labels"):
        read(tmp_path / "x.csv", text, labelled=True)


@pytest.mark.parametrize("first", [0, 1])
def test_a_start_is_the_number_in_the_name_of_the_first_picture(tmp_path: Path, first: int) -> None:
    frames(tmp_path, "a", 50, first=first)
    frames(tmp_path, "b", 40, first=first)
    index = read(tmp_path / "x.csv", f"a {first} 50\nb {first} 25\n", labelled=None)
    assert spans(index) == [(None, None), (None, 25)]
    assert index.classes == {}


def test_videomae_v2_finetunes_on_folder_frames_label(tmp_path: Path) -> None:
    frames(tmp_path, "SomethingV2_frames/74225", 48)
    frames(tmp_path, "SomethingV2_frames/116154", 36)
    text = "SomethingV2_frames/74225 48 140\nSomethingV2_frames/116154 36 127\n"
    index = read(tmp_path / "x.csv", text, labelled=None)
    assert [name for _, name in told(index, tmp_path)] == ["140", "127"]


def test_a_folder_that_is_not_there_is_read_by_the_form_of_the_others(tmp_path: Path) -> None:
    frames(tmp_path, "a", 50)
    index = read(tmp_path / "x.csv", "a 1 50\ngone 1 40\n", labelled=None)
    assert told(index, tmp_path) == [("a", None), ("gone", None)] and index.classes == {}
    assert index.rows[1].bad == "no such file"
    index = read(tmp_path / "x.csv", "a 50 3\ngone 40 2\n", labelled=None)
    assert told(index, tmp_path) == [("a", "3"), ("gone", "2")]
    assert not any("not used" in line for line in index.reading)


# SlowFast, TimeSformer, pytorchvideo


@pytest.mark.parametrize("mark", [" ", ",", "::"])
def test_slowfast_lists_are_path_label_or_path_frames_label_or_path(
    tmp_path: Path, mark: str
) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    for fields in ("a.mp4|0", "a.mp4|300|0"):
        text = fields.replace("|", mark) + "\n" + fields.replace("a.mp4", "b.mp4")[:-1] + "1\n"
        index = read(tmp_path / "x.csv", text.replace("|", mark), labelled=True)
        assert told(index, tmp_path) == [("a.mp4", "0"), ("b.mp4", "1")]
    assert told(read(tmp_path / "x.csv", "a.mp4\nb.mp4\n"), tmp_path) == [
        ("a.mp4", None),
        ("b.mp4", None),
    ]


FRAME_LIST = "original_vido_id video_id frame_id path labels\n"


def test_a_slowfast_list_of_frames_is_the_folders_they_lie_in(tmp_path: Path) -> None:
    frames(tmp_path, "74225", 4, "74225_{:06}.jpg")
    frames(tmp_path, "9", 6, "9_{:06}.jpg")
    lines = [f'74225 0 {at} 74225/74225_{at + 1:06}.jpg ""\n' for at in range(4)]
    lines += [f'9 1 {at} 9/9_{at + 2:06}.jpg ""\n' for at in range(3)]
    index = read(tmp_path / "train.csv", FRAME_LIST + "".join(lines), labelled=None)
    assert told(index, tmp_path) == [("74225", None), ("9", None)]
    assert spans(index) == [(None, None), (1, 4)]
    with pytest.raises(SourceError, match="its frames have no labels"):
        read_index([str(tmp_path / "train.csv")], labelled=True, probe=False)


def test_the_labels_of_a_list_of_frames_are_those_of_its_video(tmp_path: Path) -> None:
    frames(tmp_path, "AB", 3, "AB-{:06}.jpg")
    frames(tmp_path, "CD", 3, "CD-{:06}.jpg")
    cells = ["", '"7"', '"7,2"']
    text = FRAME_LIST + "".join(
        f"{name} {number} {at} {name}/{name}-{at + 1:06}.jpg {cells[at] or chr(34) * 2}\n"
        for number, name in enumerate(("AB", "CD"))
        for at in range(3)
    )
    index = read(tmp_path / "x.csv", text, label=("label:multi",), labelled=True)
    assert [row.labels["label"] for row in index.rows] == [(0, 1), (0, 1)]
    with pytest.raises(SourceError, match="--label label:multi"):
        read(tmp_path / "x.csv", text, labelled=True)
    moved = text.replace("CD/CD-000003", "EF/CD-000003")
    with pytest.raises(SourceError, match=r"line 7 has a frame of 'CD' in EF, line 5 one in CD"):
        read(tmp_path / "x.csv", moved)


def test_pytorchvideo_splits_at_the_last_blank_and_needs_no_label(tmp_path: Path) -> None:
    touch(tmp_path, "my videos/a b.mp4", "my videos/c 3.mp4", "my videos/d.mp4")
    text = "my videos/a b.mp4 4\nmy videos/c 3.mp4 \t2\n"
    assert told(read(tmp_path / "x.csv", text, labelled=True), tmp_path) == [
        ("my videos/a b.mp4", "4"),
        ("my videos/c 3.mp4", "2"),
    ]
    text = "my videos/a b.mp4\nmy videos/c 3.mp4\nmy videos/gone e.mp4\n"
    index = read(tmp_path / "x.csv", text)
    assert [row.bad for row in index.rows] == [None, None, "no such file"]


def test_pytorchvideo_folders_are_classes(tmp_path: Path) -> None:
    touch(tmp_path, "jump/a.avi", "run/b.mp4", "run/readme.txt")
    index = read_index([str(tmp_path)], labelled=True, probe=False)
    assert told(index, tmp_path) == [("jump/a.avi", "jump"), ("run/b.mp4", "run")]


# UniFormer, V-JEPA 2


def test_uniformer_k400_is_path_comma_label(tmp_path: Path) -> None:
    touch(tmp_path, "k400/abseiling/-0.mp4", "k400/zumba/x y.mp4")
    text = "k400/abseiling/-0.mp4,0\nk400/zumba/x y.mp4,399\n"
    index = read(tmp_path / "x.csv", text, labelled=True)
    assert [name for _, name in told(index, tmp_path)] == ["0", "399"]


def test_uniformer_sthv2_is_id_frames_label_beside_webm(tmp_path: Path) -> None:
    touch(tmp_path, "20bn/74225.webm", "20bn/116154.webm")
    text = "74225 156 140\n116154 117 127\n"
    for place in (tmp_path / "20bn/train.txt", tmp_path / "train.txt"):
        index = read(place, text, labelled=True)
        assert told(index, tmp_path) == [("20bn/74225.webm", "140"), ("20bn/116154.webm", "127")]


@pytest.mark.parametrize("mark", [" ", "::"])
def test_vjepa2_separates_by_a_blank_or_two_colons(tmp_path: Path, mark: str) -> None:
    touch(tmp_path, "a b.mp4", "c.mp4")
    index = read(tmp_path / "x.csv", f"{tmp_path}/a b.mp4{mark}3\n{tmp_path}/c.mp4{mark}0\n")
    assert [os.path.basename(row.path) for row in index.rows] == ["a b.mp4", "c.mp4"]
    assert index.rows[0].bad is None


# Hugging Face VideoFolder, WebDataset


def write_metadata(path: Path, rows: list[dict[str, object]]) -> None:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("column", ["file_name", "video_file_name"])
def test_metadata_beside_the_videos_gives_labels(tmp_path: Path, ending: str, column: str) -> None:
    touch(tmp_path, "a.mkv", "b.mp4", "c.mov")
    rows: list[dict[str, object]] = [
        {column: "a.mkv", "label": "cat"},
        {column: "b.mp4", "label": "dog"},
    ]
    write_metadata(tmp_path / f"metadata.{ending}", rows)
    index = read_index([str(tmp_path)], labelled=True, probe=False)
    assert told(index, tmp_path) == [("a.mkv", "cat"), ("b.mp4", "dog")]
    assert any(f"1 video that metadata.{ending} does not name" in line for line in index.reading)
    assert len(read_index([str(tmp_path)], probe=False).rows) == 3


def test_metadata_in_each_split_folder_gives_splits(tmp_path: Path) -> None:
    for split, name in (("train", "a"), ("validation", "b"), ("test", "a")):
        touch(tmp_path, f"data/{split}/{name}.mp4", f"data/{split}/b2.mp4")
        rows: list[dict[str, object]] = [
            {"file_name": f"{name}.mp4", "label": 0},
            {"file_name": "b2.mp4", "label": 1},
        ]
        write_metadata(tmp_path / f"data/{split}/metadata.csv", rows)
    index = read_index([str(tmp_path)], labelled=True, probe=False)
    splits = [(os.path.relpath(row.path, tmp_path / "data"), row.split) for row in index.rows]
    assert splits[0] == ("test/a.mp4", "test")
    assert splits[2] == ("train/a.mp4", "train")
    assert splits[4:] == [("validation/b.mp4", "val"), ("validation/b2.mp4", "val")]


def test_one_metadata_file_above_split_folders_gives_splits(tmp_path: Path) -> None:
    touch(tmp_path, "train/a.mp4", "train/b.mp4", "test/c.mp4")
    names = ("train/a.mp4", "train/b.mp4", "test/c.mp4")
    rows: list[dict[str, object]] = [
        {"file_name": name, "label": number % 2} for number, name in enumerate(names)
    ]
    write_metadata(tmp_path / "metadata.csv", rows)
    index = read_index([str(tmp_path)], labelled=True, probe=False)
    assert [row.split for row in index.rows] == ["train", "train", "test"]


def test_a_list_in_a_json_field_is_several_labels(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    rows: list[dict[str, object]] = [
        {"file_name": "a.mp4", "tags": ["red car", "rain"]},
        {"file_name": "b.mp4", "tags": []},
    ]
    write_metadata(tmp_path / "metadata.jsonl", rows)
    index = read_index([str(tmp_path)], label=("tags:multi",), labelled=True, probe=False)
    assert index.classes["tags"] == ("rain", "red car")
    assert index.rows[0].labels["tags"] == (0, 1)


def test_parquet_metadata_is_read_with_pyarrow(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import parquet

    touch(tmp_path, "a.mp4", "b.mp4")
    table = arrow.table({"file_name": ["a.mp4", "b.mp4"], "label": [1, 0], "x": [None, 2.5]})
    parquet.write_table(table, tmp_path / "metadata.parquet")
    for source in (tmp_path, tmp_path / "metadata.parquet"):
        index = read_index([str(source)], labelled=True, probe=False)
        assert told(index, tmp_path) == [("a.mp4", "1"), ("b.mp4", "0")]
    (tmp_path / "metadata.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        read_index([str(tmp_path)], labelled=True, probe=False)
    held = arrow.table({"file_name": ["a.mp4"], "video": [{"bytes": b"x", "path": "a.mp4"}]})
    parquet.write_table(held, tmp_path / "x.parquet")
    with pytest.raises(SourceError, match="'video' holds files and not their paths"):
        read_index([str(tmp_path / "x.parquet")], probe=False)


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # type: ignore[arg-type]
    touch(tmp_path, "a.mp4")
    (tmp_path / "metadata.parquet").write_bytes(b"PAR1")
    with pytest.raises(SourceError, match=r"pip install 'everest-video\[search\]'"):
        read_index([str(tmp_path)], labelled=True, probe=False)
    assert len(read_index([str(tmp_path)], probe=False).rows) == 1


@pytest.mark.parametrize("name", ["00000.tar", "00000.TAR.GZ", "videos.zip"])
def test_an_archive_is_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    touch(tmp_path, f"shards/{name}")
    for source in (tmp_path / "shards" / name, tmp_path / "shards", tmp_path / "{0..9}.tar"):
        with pytest.raises(SourceError, match=r"WebDataset's shards; unpack it into a folder"):
            read_index([str(source)], probe=False)


# What holds for all of them


@pytest.mark.parametrize(
    "text",
    [
        "f1/a b.mp4 3\nf1/c.mp4 4\nf1/d.mp4 4\nf1/e.mp4 4\n",
        "path,label\nf1/a b.mp4,3\nf1/c.mp4,4\n",
    ],
)
def test_three_rows_are_told_as_they_were_understood(tmp_path: Path, text: str) -> None:
    touch(tmp_path, *(f"f1/{name}.mp4" for name in ("a b", "c", "d", "e")))
    index = read(tmp_path / "x.csv", text, labelled=True)
    rows = [line for line in index.reading if ".mp4 is '" in line]
    assert rows[0].endswith(f"{tmp_path}/f1/a b.mp4 is '3'")
    assert len(rows) == min(3, text.count(".mp4"))


def test_marks_in_names_are_no_comments_and_no_patterns(tmp_path: Path) -> None:
    names = ["#1 [best] (x)!&+;@~ u.avi", "a#b.avi", "#c.avi"]
    touch(tmp_path, *names)
    index = read(tmp_path / "x.txt", "".join(f"{name} 1 \r\n" for name in names), labelled=None)
    assert [path for path, _ in told(index, tmp_path)] == names
    assert all(row.bad is None for row in index.rows)


def test_a_list_of_folders_may_name_classes(tmp_path: Path) -> None:
    frames(tmp_path, "x/one", 3)
    frames(tmp_path, "x/two", 4)
    index = read(tmp_path / "l.txt", "x/one jump\nx/two run\n", labelled=True)
    assert told(index, tmp_path) == [("x/one", "jump"), ("x/two", "run")]


def test_a_folder_called_like_a_header_or_a_video_is_a_folder(tmp_path: Path) -> None:
    frames(tmp_path, "video", 3)
    frames(tmp_path, "b.avi", 4)
    index = read(tmp_path / "l.txt", "video 3 1\nb.avi 4 0\n", labelled=True)
    assert told(index, tmp_path) == [("video", "1"), ("b.avi", "0")]
    assert spans(index) == [(None, None), (None, None)]


def test_a_folder_without_pictures_is_a_bad_row(tmp_path: Path) -> None:
    touch(tmp_path, "notes/a.txt", "b.mp4")
    index = read(tmp_path / "x.csv", "path,label\nnotes,1\nb.mp4,0\n")
    assert "without numbered pictures" in str(index.rows[0].bad)
    assert any("cannot be used: a folder without numbered" in line for line in index.reading)


def test_rates_come_from_a_column_or_from_who_asks(tmp_path: Path) -> None:
    frames(tmp_path, "a", 30)
    frames(tmp_path, "b", 30)
    text = "path,label,fps,start,end\na,x,12,0.5,1\nb,y,,,\n"
    index = read(tmp_path / "x.csv", text, labelled=True, frame_rate=30)
    assert [(row.fps, row.start, row.end) for row in index.rows] == [(12, 0.5, 1), (30, None, None)]
    assert any("2 folders of frames are read at 12, 30 frames a sec" in t for t in index.reading)
    with pytest.raises(SourceError, match="line 2 has the rate 'fast'"):
        read(tmp_path / "x.csv", text.replace("12", "fast"))
