"""How list files of all kinds are read."""

import csv
import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everest.index import Index, SourceError, read_index


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def read(path: Path, content: str | bytes, **options: object) -> Index:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_index([str(path)], probe=False, **options)  # type: ignore[arg-type]


def found(index: Index, root: Path) -> list[tuple[str, str | None]]:
    """(path below root, class name) of each row."""
    names = index.classes.get("label", ())
    labels = [row.labels.get("label", -1) for row in index.rows]
    return [
        (os.path.relpath(row.path, root), names[label] if label >= 0 else None)
        for row, label in zip(index.rows, labels, strict=True)
    ]


BOTH = [("a b.mp4", "3"), ("c/d.mp4", "4")]


@pytest.mark.parametrize("mark", [",", "\t", ";", "::", "|"])
def test_a_header_is_found_whatever_the_delimiter(tmp_path: Path, mark: str) -> None:
    touch(tmp_path, "a b.mp4", "c/d.mp4")
    lines = [("path", "label"), *BOTH]
    text = "".join(mark.join(line) + "\n" for line in lines)
    assert found(read(tmp_path / "x.csv", text, labelled=True), tmp_path) == BOTH


def test_a_header_separated_by_blanks_reads_quoted_paths(tmp_path: Path) -> None:
    touch(tmp_path, "a b.mp4", "c/d.mp4")
    text = 'path  label\n"a b.mp4" 3\nc/d.mp4   4\n'
    assert found(read(tmp_path / "x.txt", text, labelled=True), tmp_path) == BOTH


@pytest.mark.parametrize("mark", [",", "\t", ";", "::", "|", " ", "  "])
def test_lines_of_path_and_number_are_read_without_a_header(tmp_path: Path, mark: str) -> None:
    touch(tmp_path, "a b.mp4", "c/d.mp4")
    text = "".join(mark.join(line) + "\n" for line in BOTH)
    assert found(read(tmp_path / "x.csv", text, labelled=True), tmp_path) == BOTH


@pytest.mark.parametrize("mark", [",", "\t", "::", " "])
def test_class_names_with_blanks_follow_a_video_name(tmp_path: Path, mark: str) -> None:
    touch(tmp_path, "a b.mp4", "c/d.mp4")
    text = f"a b.mp4{mark}playing guitar\nc/d.mp4{mark}run\n"
    assert found(read(tmp_path / "x.csv", text, labelled=True), tmp_path) == [
        ("a b.mp4", "playing guitar"),
        ("c/d.mp4", "run"),
    ]


def test_a_list_of_paths_alone_keeps_blanks_and_commas(tmp_path: Path) -> None:
    touch(tmp_path, "a 1, b 2.mp4", "clip 7", "clip 8")
    text = "a 1, b 2.mp4\nclip 7\nclip 8\n"
    index = read(tmp_path / "x.txt", text)
    assert [path for path, _ in found(index, tmp_path)] == ["a 1, b 2.mp4", "clip 7", "clip 8"]
    with pytest.raises(SourceError, match="paths without labels"):
        read(tmp_path / "x.txt", text, labelled=True)


def test_minus_one_in_a_pretraining_list_is_no_label(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b c.mp4")
    index = read(tmp_path / "x.csv", "a.mp4 0 -1\nb c.mp4 0 -1\n")
    assert found(index, tmp_path) == [("a.mp4", None), ("b c.mp4", None)]
    assert index.classes == {}


def test_a_middle_number_is_part_of_the_name_where_such_a_file_exists(tmp_path: Path) -> None:
    touch(tmp_path, "take 12", "b.mp4", "take 13")
    index = read(tmp_path / "x.csv", "take 12 0\nb.mp4 75 1\n")
    assert found(index, tmp_path) == [("take 12", "0"), ("b.mp4", "1")]
    assert any("1 line with a number between path and label" in told for told in index.reading)


def test_a_number_after_a_folder_of_frames_is_its_count(tmp_path: Path) -> None:
    touch(tmp_path, "dir one/img_00001.jpg", "b.mp4")
    index = read(tmp_path / "x.csv", "dir one 120 3\nb.mp4 1\n")
    assert found(index, tmp_path) == [("dir one", "3"), ("b.mp4", "1")]
    assert any("line 1: 120, it holds 1" in told for told in index.reading)


def test_a_missing_extension_is_tried_mp4_first(tmp_path: Path) -> None:
    touch(tmp_path, "v/1.webm", "v/2.avi", "v/2.mp4", "v/2.webm")
    index = read(tmp_path / "x.csv", "v/1 0\nv/2 1\n")
    assert [path for path, _ in found(index, tmp_path)] == ["v/1.webm", "v/2.mp4"]


@pytest.mark.parametrize("place", ["lists/x.csv", "x.csv", "lists/x/x.csv"])
def test_paths_are_found_beside_the_list_above_it_and_as_given(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "videos/a.mp4", "videos/b.mp4", "lists/x/y")
    monkeypatch.chdir(tmp_path)
    index = read(tmp_path / place, "videos/a.mp4 0\nvideos/b.mp4 1\n")
    assert [path for path, _ in found(index, tmp_path)] == ["videos/a.mp4", "videos/b.mp4"]
    assert all(row.bad is None for row in index.rows)


def test_the_folder_most_rows_lie_in_wins_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "here/a.mp4", "data/a.mp4", "data/b.mp4")
    monkeypatch.chdir(tmp_path / "here")
    index = read(tmp_path / "data/x.csv", "a.mp4 0\nb.mp4 1\n")
    assert [path for path, _ in found(index, tmp_path)] == ["data/a.mp4", "data/b.mp4"]


def test_absolute_paths_of_another_machine_are_found_by_their_ends(tmp_path: Path) -> None:
    touch(tmp_path, "train/x/a.mp4", "val/y/b.mp4")
    text = "/nowhere/k400/train/x/a.mp4 0\n/nowhere/k400/val/y/b.mp4 1\n/nowhere/k400/c.mp4 1\n"
    index = read(tmp_path / "x.csv", text)
    assert [row.bad for row in index.rows] == [None, None, "no such file"]
    assert [path for path, _ in found(index, tmp_path)][:2] == ["train/x/a.mp4", "val/y/b.mp4"]


def test_backslashes_and_other_forms_of_accents_are_found(tmp_path: Path) -> None:
    touch(tmp_path, "v/a.mp4", "cafe\u0301.mp4")
    index = read(tmp_path / "x.csv", "path\nv\\a.mp4\ncaf\u00e9.mp4\n")
    assert [path for path, _ in found(index, tmp_path)] == ["v/a.mp4", "cafe\u0301.mp4"]


def test_marks_of_other_systems_do_no_harm(tmp_path: Path) -> None:
    touch(tmp_path, "a b.mp4", "c/d.mp4")
    lines = ["path,label", "a b.mp4,3", "c/d.mp4,4", ""]
    for content in (
        "\r\n".join(lines).encode("utf-8-sig"),
        "\n".join(lines).encode("utf-16"),
        "\r".join(lines).encode(),
        "\n\n".join(lines).encode(),
        "\r\n".join(line.replace(",", " ") + " " for line in lines[1:]).encode("utf-8-sig"),
    ):
        assert found(read(tmp_path / "x.csv", content, labelled=True), tmp_path) == BOTH


def test_a_nul_is_refused_with_its_line(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    with pytest.raises(SourceError, match="line 2 holds a NUL"):
        read(tmp_path / "x.csv", "a.mp4 0\na\0.mp4 1\n")


def test_columns_have_other_names_too(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    text = (
        "id,File_Name,Class,subset,start_time,stop,group\n"
        "7,a.mp4,x,training,0:01:02.5,63.5,g\n8,b.mp4,y,Validation,,,\n"
    )
    first, second = read(tmp_path / "x.csv", text).rows
    assert (first.split, first.start, first.end, first.group) == ("train", 62.5, 63.5, "g")
    assert (second.split, second.start, second.end, second.group) == ("val", None, None, None)


def test_label_columns_are_chosen_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    text = "video,digit,command,colour\na.mp4,one,set,red\nb.mp4,two,lay,red\n"
    index = read(tmp_path / "x.csv", text, label=("digit", "command"), labelled=True)
    assert index.classes == {"digit": ("one", "two"), "command": ("lay", "set")}
    assert index.rows[0].labels == {"digit": 0, "command": 1}
    with pytest.raises(SourceError, match=r"--label comand.*did you mean 'command'"):
        read(tmp_path / "x.csv", text, label=("comand",), labelled=True)
    with pytest.raises(SourceError, match=r"no column 'label'.*digit, command.*--label digit"):
        read(tmp_path / "x.csv", text, labelled=True)


def test_the_only_other_column_is_the_label(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    index = read(tmp_path / "x.csv", "video,emotion\na.mp4,x\nb.mp4,y\n", labelled=True)
    assert index.classes == {"label": ("x", "y")}


def test_a_column_that_ends_in_file_name_is_the_path(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    index = read(tmp_path / "x.csv", "front_file_name,label\na.mp4,x\nb.mp4,y\n", labelled=True)
    assert found(index, tmp_path) == [("a.mp4", "x"), ("b.mp4", "y")]


def test_a_group_column_is_chosen_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    index = read(tmp_path / "x.csv", "path,person\na.mp4,7\nb.mp4,8\n", group="person")
    assert [row.group for row in index.rows] == ["7", "8"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pth,label\na.mp4,x\n", r"no column 'path'.*pth, label; if 'pth' is it"),
        ("id,label\n1,x\n2,y\n", "no column 'path'"),
        ("path,label\na.mp4,x,y\n", "line 2 has 3 fields, the header 2"),
        ("path,split\na.mp4,trane\n", "line 2 has the split 'trane'"),
        ("path,start\na.mp4,soon\n", "line 2 has the time 'soon'"),
        ("path,start,end\na.mp4,5,4\n", "line 2 ends at 4 s, not after its start"),
        ("path,label\n,x\n", "line 2 has no path"),
        ("path,label\n", "no row below"),
        ('path,label\n"a.mp4,x\n', "quote that opens in line 2 is never closed"),
        ('label,path\nx,"a" b.mp4\n', "line 2 cannot be read as CSV"),
        ("", "no lines"),
        ("a.mp4 0\nb.mp4 -7\n", "line 2 ends in '-7'"),
        ("a.mp4 0\n" * 100 + "b.mp4 x\n", "line 101 ends in 'x'"),
        ("a.mp4 0\n" * 100 + "b.mp4\n", "line 101 has one field"),
        ('"a.mp4 0\nb.mp4 1\n', "quote that opens in line 1 is never closed"),
    ],
)
def test_a_line_that_does_not_fit_is_refused_by_its_number(
    tmp_path: Path, text: str, told: str
) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    with pytest.raises(SourceError, match=told):
        read(tmp_path / "x.csv", text)


def test_an_unquoted_comma_in_a_path_is_understood_where_the_file_is_there(tmp_path: Path) -> None:
    touch(tmp_path, "a, b.mp4", "c.mp4")
    index = read(tmp_path / "x.csv", "path,label\na, b.mp4,x\nc.mp4,y,\n", labelled=True)
    assert found(index, tmp_path) == [("a, b.mp4", "x"), ("c.mp4", "y")]


def test_json_lines_beside_a_folder_are_its_labels(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    rows = [{"file_name": "a.mp4", "label": 1}, {"file_name": "b.mp4", "label": 0}]
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    index = read_index([str(tmp_path)], labelled=True, probe=False)
    assert found(index, tmp_path) == [("a.mp4", "1"), ("b.mp4", "0")]


NAMES = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="/\0\r\\"), min_size=1
).filter(lambda name: name == name.strip() and not name.startswith(".") and len(name) < 40)


@settings(max_examples=60, deadline=None)
@given(stems=st.lists(NAMES, min_size=1, max_size=4, unique=True), mark=st.sampled_from(",;\t"))
def test_any_name_written_by_a_csv_writer_is_found(
    tmp_path_factory: pytest.TempPathFactory, stems: list[str], mark: str
) -> None:
    root = tmp_path_factory.mktemp("names")
    names = [f"{stem}.mp4" for stem in stems]
    touch(root, *names)
    with (root / "x.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=mark)
        writer.writerow(["path", "label"])
        writer.writerows([name, f"class {index}"] for index, name in enumerate(names))
    index = read_index([str(root / "x.csv")], labelled=None, probe=False)
    assert [os.path.basename(row.path) for row in index.rows] == names
    assert all(row.bad is None for row in index.rows)


@pytest.mark.slow
def test_a_million_lines_are_read_in_ten_seconds(tmp_path: Path) -> None:
    touch(tmp_path, *(f"v/{number}.mp4" for number in range(100)))
    lines = "".join(f"v/{n % 100}.mp4,c{n % 400},{n},{n + 1}\n" for n in range(1_000_000))
    (tmp_path / "x.csv").write_text("path,label,start,end\n" + lines)
    started = time.process_time()
    index = read_index([str(tmp_path / "x.csv")], labelled=True, probe=False)
    assert len(index.rows) == 1_000_000
    assert time.process_time() - started < 10
