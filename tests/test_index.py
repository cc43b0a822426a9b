"""What a source is taken for, and what is refused."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from everest import entries as words
from everest.index import Index, Row, SourceError, read_index


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVEREST_CACHE", str(tmp_path_factory.mktemp("cache")))


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def names_of(index: Index, root: Path) -> list[str]:
    return [os.path.relpath(row.path, root) for row in index.rows]


def read(source: object, **options: object) -> Index:
    return read_index([str(source)], probe=False, **options)  # type: ignore[arg-type]


def test_a_folder_is_read_recursively_and_sorted_by_path(tmp_path: Path) -> None:
    touch(tmp_path, "b.mp4", "a/z.AVI", "a/deep/er/y.webm", "notes.txt", "a/frame.jpg")
    index = read(tmp_path)
    assert names_of(index, tmp_path) == ["a/deep/er/y.webm", "a/z.AVI", "b.mp4"]
    assert all(row.labels == {} and row.split is None for row in index.rows)


def test_hidden_files_and_folders_are_not_videos(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", ".b.mp4", "._c.mp4", ".trash/d.mp4", "__MACOSX/e.mp4")
    assert names_of(read(tmp_path), tmp_path) == ["a.mp4"]


def test_links_that_lead_in_circles_end(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.mp4")
    (tmp_path / "one/up").symlink_to(tmp_path)
    (tmp_path / "two").symlink_to(tmp_path / "one")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert names_of(read(tmp_path), tmp_path) == ["one/a.mp4"]
    assert names_of(read(tmp_path / "**/*.mp4"), tmp_path) == ["one/a.mp4"]


def test_folders_are_classes_where_labels_are_asked_for(tmp_path: Path) -> None:
    touch(tmp_path, "walk/b.mp4", "run/a.mp4", "run/deep/c.mp4")
    index = read(tmp_path, labelled=True)
    assert index.classes == {"label": ("run", "walk")}
    assert [row.labels["label"] for row in index.rows] == [0, 0, 1]


def test_a_folder_around_the_class_folders_is_stepped_through(tmp_path: Path) -> None:
    touch(tmp_path, "videos/walk/b.mp4", "videos/run/a.mp4")
    assert read(tmp_path, labelled=True).classes == {"label": ("run", "walk")}


def test_split_folders_have_many_names(tmp_path: Path) -> None:
    files = [f"{part}/{name}/x.mp4" for part in ("Train", "valid", "testing") for name in "ab"]
    index = read(touch(tmp_path, *files), labelled=True)
    assert {os.path.relpath(row.path, tmp_path).split("/")[0]: row.split for row in index.rows} == {
        "Train": "train",
        "valid": "val",
        "testing": "test",
    }
    assert index.classes == {"label": ("a", "b")}
    assert len(index.part("val").rows) == 2


def test_without_a_train_folder_test_may_be_a_class(tmp_path: Path) -> None:
    touch(tmp_path, "test/a.mp4", "match/b.mp4")
    index = read(tmp_path, labelled=True)
    assert index.classes == {"label": ("match", "test")}
    assert {row.split for row in index.rows} == {None}


def test_what_lies_beside_split_folders_is_left_out_and_told(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.mp4", "train/b/2.mp4", "extra/3.mp4", "train/4.mp4")
    index = read(tmp_path, labelled=True)
    assert names_of(index, tmp_path) == ["train/a/1.mp4", "train/b/2.mp4"]
    assert any("2 videos outside the class folders" in told for told in index.reading)


def test_a_bare_read_of_class_folders_takes_every_video_and_no_label(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.mp4", "val/b/2.mp4", "3.mp4")
    index = read(tmp_path)
    assert names_of(index, tmp_path) == ["3.mp4", "train/a/1.mp4", "val/b/2.mp4"]
    assert index.classes == {}


def test_labels_are_taken_where_a_folder_shows_them_and_not_needed(tmp_path: Path) -> None:
    touch(tmp_path / "classed", "a/1.mp4", "b/2.mp4")
    touch(tmp_path / "flat", "1.mp4", "b/2.mp4")
    assert read(tmp_path / "classed", labelled=None).classes == {"label": ("a", "b")}
    assert read(tmp_path / "flat", labelled=None).classes == {}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.mp4", ["[x] 1.mp4", "a.mp4"]),
        ("**/*.mp4", ["[x] 1.mp4", "a.mp4", "sub/b.mp4", "sub/low/c.mp4"]),
        ("sub/*/c.???", ["sub/low/c.mp4"]),
        ("s*", ["sub/b.mp4", "sub/low/c.mp4"]),
        ("[a-b].mp4", ["a.mp4"]),
        ("[!b].mp4", ["a.mp4"]),
        ("**", ["[x] 1.mp4", "a.mp4", "sub/b.mp4", "sub/low/c.mp4"]),
    ],
)
def test_a_pattern_finds_what_it_says(tmp_path: Path, pattern: str, found: list[str]) -> None:
    touch(tmp_path, "a.mp4", "[x] 1.mp4", "sub/b.mp4", "sub/low/c.mp4", "a.txt")
    assert names_of(read(tmp_path / pattern), tmp_path) == found


def test_a_name_with_brackets_that_exists_is_no_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "[x] 1.mp4")
    assert names_of(read(tmp_path / "[x] 1.mp4"), tmp_path) == ["[x] 1.mp4"]


def test_several_sources_share_one_class_table(tmp_path: Path) -> None:
    touch(tmp_path, "one/b/1.mp4", "one/c/2.mp4", "two.mp4")
    (tmp_path / "list.csv").write_text("path,label\ntwo.mp4,a\n")
    index = read_index(
        [str(tmp_path / "one"), str(tmp_path / "list.csv")], labelled=True, probe=False
    )
    assert index.classes == {"label": ("a", "b", "c")}
    assert [row.labels["label"] for row in index.rows] == [1, 2, 0]


def test_numbers_as_labels_keep_their_ids_and_are_sorted_as_numbers(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number}.mp4" for number in range(11)))
    rows = "".join(f"{number}.mp4,{number}\n" for number in reversed(range(11)))
    (tmp_path / "list.csv").write_text("path,label\n" + rows)
    index = read(tmp_path / "list.csv", labelled=True)
    assert [row.labels["label"] for row in index.rows] == list(reversed(range(11)))
    assert index.classes["label"][10] == "10"


def test_numbers_with_gaps_are_renumbered_and_said(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "list.csv").write_text("path,label\na.mp4,10\nb.mp4,2\n")
    index = read(tmp_path / "list.csv", labelled=True)
    assert index.classes == {"label": ("2", "10")}
    assert any("2 to 10 renumbered 0 to 1" in told for told in index.reading)


def test_an_empty_label_is_missing_and_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4")
    (tmp_path / "list.csv").write_text("path,label\na.mp4,1.0\nb.mp4,0.0\nc.mp4,\nd.mp4,-1\n")
    index = read(tmp_path / "list.csv", labelled=True)
    assert [row.labels["label"] for row in index.rows] == [1, 0, -1, -1]
    assert index.classes == {"label": ("0", "1")}
    assert "'label': 2 clips without a label" in index.reading


def test_an_index_comes_back_from_json(tmp_path: Path) -> None:
    row = Row("/a\udcff\n.mp4", {"label": 1}, "val", 0.5, None, "g", 3, 25.0, 8, 9, None)
    index = Index((row, row), {"label": ("a", "b")}, ("one",))
    assert Index.from_json(json.loads(json.dumps(index.to_json()))) == index
    with pytest.raises(SourceError, match="schema 7"):
        Index.from_json({**index.to_json(), "schema": 7})


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name")
def test_a_name_that_is_not_utf8_is_found_from_folder_and_list(tmp_path: Path) -> None:
    name = os.fsdecode(b"v\xff\n.mp4")
    touch(tmp_path, name)
    (tmp_path / "list.csv").write_bytes(b'path,label\n"v\xff\n.mp4",1\n')
    assert names_of(read(tmp_path), tmp_path) == [name]
    assert names_of(read(tmp_path / "list.csv"), tmp_path) == [name]
    assert r"v\udcff\n.mp4 is" in read(tmp_path / "list.csv").reading[1]


def test_names_are_shown_without_what_acts_on_a_console() -> None:
    assert words.shown("a\x1b[31m\n\u202eb é") == r"a\x1b[31m\n\u202eb é"


def refused(source: object, **options: object) -> str:
    with pytest.raises(SourceError) as caught:
        read(source, **options)
    return str(caught.value)


def test_a_missing_path_is_refused_with_what_is_there(tmp_path: Path) -> None:
    touch(tmp_path, "videos/a.mp4")
    told = refused(tmp_path / "vidoes")
    assert "vidoes: no such file or folder" in told and "did you mean 'videos'" in told
    assert len(read(tmp_path / "videos").rows) == 1


def test_a_folder_without_a_video_is_refused_with_what_was_looked_for(tmp_path: Path) -> None:
    told = refused(touch(tmp_path, "a.jpg"))
    assert "1 file: a.jpg" in told and ".mp4" in told and "for example" in told
    assert len(read(touch(tmp_path, "a.mp4")).rows) == 1
    (tmp_path / "empty").mkdir()
    assert "no video in this folder (empty)" in refused(tmp_path / "empty")


def test_a_pattern_that_meets_nothing_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "a.txt")
    assert "no video matches" in refused(tmp_path / "*.avi")
    assert "among the 1 file it matches" in refused(tmp_path / "*.txt")
    assert len(read(tmp_path / "*.mp4").rows) == 1


def test_an_unknown_data_set_prefix_an_address_and_no_source_are_refused(tmp_path: Path) -> None:
    assert "'ucf999:' is not a known data set" in refused(f"ucf999:{tmp_path}")
    assert "address" in refused("https://host/a.mp4")
    with pytest.raises(SourceError, match="no source"):
        read_index([])


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.mp4")
    assert "neither a regular file nor a folder" in refused(tmp_path / "x.mp4")


def test_a_folder_without_class_folders_is_refused_where_labels_are_needed(tmp_path: Path) -> None:
    assert "no class folders" in refused(touch(tmp_path, "a.mp4"), labelled=True)
    assert len(read(tmp_path).rows) == 1


def test_one_class_is_refused_where_labels_are_needed(tmp_path: Path) -> None:
    assert "only the class 'a'" in refused(touch(tmp_path, "a/1.mp4", "a/2.mp4"), labelled=True)
    assert len(read(touch(tmp_path, "b/1.mp4"), labelled=True).rows) == 3


def test_one_file_in_train_and_val_is_refused_with_both_lines(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "list.csv").write_text("path,split\na.mp4,train\nb.mp4,val\n./a.mp4,val\n")
    told = refused(tmp_path / "list.csv")
    assert "line 4" in told and "line 2" in told and "in val, and in train" in told
    (tmp_path / "list.csv").write_text("path,split\na.mp4,train\nb.mp4,val\n")
    assert [row.split for row in read(tmp_path / "list.csv").rows] == ["train", "val"]


def test_one_span_under_two_labels_is_refused_and_two_spans_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    header = "path,label,start,end\n"
    (tmp_path / "list.csv").write_text(header + "a.mp4,x,0,1\na.mp4,y,0,1\n")
    told = refused(tmp_path / "list.csv", labelled=True)
    assert "line 3" in told and "'y'" in told and "'x' by line 2" in told
    (tmp_path / "list.csv").write_text(header + "a.mp4,x,0,1\na.mp4,y,1,2\n")
    assert len(read(tmp_path / "list.csv", labelled=True).rows) == 2


def test_a_repeated_row_is_read_once_and_said(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "list.csv").write_text("path,label\na.mp4,x\nb.mp4,y\na.mp4,x\n")
    index = read(tmp_path / "list.csv", labelled=True)
    assert len(index.rows) == 2
    assert any("1 row repeats" in told and "line 4" in told for told in index.reading)


def test_a_test_list_equal_to_the_val_list_is_kept_and_said(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    (tmp_path / "train.csv").write_text("a.mp4 0\nb.mp4 1\n")
    for name in ("val", "test"):
        (tmp_path / f"{name}.csv").write_text("c.mp4 1\n")
    index = read(tmp_path, labelled=True)
    assert sorted(str(row.split) for row in index.rows) == ["test", "train", "train", "val"]
    assert "1 file is in both val and test" in index.reading


def test_a_class_that_train_lacks_is_refused_with_a_table_unless_allowed(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.mp4", "train/b/2.mp4", "val/a/3.mp4", "val/c/4.mp4")
    told = refused(tmp_path, labelled=True)
    assert "--allow-unseen" in told
    assert told.splitlines()[-1].split() == ["c", "0", "1", "0"]
    assert len(read(tmp_path, labelled=True, allow_unseen=True).rows) == 4
    shutil.rmtree(tmp_path / "val/c")
    assert len(read(tmp_path, labelled=True).rows) == 3


def test_lists_beside_videos_are_left_alone_where_no_labels_are_asked_for(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    (tmp_path / "train.csv").write_text("a.mp4 0\nb.mp4 1\n")
    assert len(read(tmp_path).rows) == 3
    assert len(read(tmp_path, labelled=True).rows) == 2


def test_a_file_in_two_sources_is_one_row(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.mp4", "y/b.mp4")
    sources = [str(tmp_path), str(tmp_path / "x/a.mp4"), str(tmp_path / "*/*.mp4")]
    index = read_index(sources, labelled=None, probe=False)
    assert names_of(index, tmp_path) == ["x/a.mp4", "y/b.mp4"]


def test_rows_without_a_file_are_bad_and_named_by_line(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "list.csv").write_text("path,label\na.mp4,x\ngone.mp4,y\n")
    index = read(tmp_path / "list.csv", labelled=True)
    assert [row.bad for row in index.rows] == [None, "no such file"]
    assert any("line 3 of" in told and "gone.mp4" in told for told in index.reading)


def test_a_list_whose_files_are_all_missing_is_refused_with_three_reasons(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\n" + "".join(f"{i}.mp4,{i}\n" for i in range(5)))
    told = refused(tmp_path / "list.csv")
    assert "none of the 5 files can be read" in told and "and 2 more" in told
    assert told.count("no such file") == 3


def test_a_group_needs_a_column(tmp_path: Path) -> None:
    assert "--group" in refused(touch(tmp_path, "a.mp4"), group="person")


def test_the_index_costs_no_import_of_torch_or_a_decoder() -> None:
    code = "import sys, everest.index; print({'torch', 'av', 'rich'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
