"""Labels of three kinds: how they are asked for, read from lists, kept and given to a model."""

import json
from pathlib import Path

import numpy as np
import pytest

from everest.entries import Entry, Listing, SourceError
from everest.index import Index, Row, read_index
from everest.kinds import (
    Column,
    Kind,
    Label,
    asked_kinds,
    columns_of,
    ids_of,
    scales_of,
    spelled,
    values_of,
)
from everest.splits import assign_splits


def read(folder: Path, text: str, *label: str, **options: object) -> Index:
    """The index of a table whose files are there, and empty."""
    table = folder / "clips.csv"
    table.write_text(text)
    for line in text.splitlines()[1:]:
        (folder / line.split(",")[0]).touch()
    more = {"labelled": True, "probe": False, **options}
    return read_index([str(table)], label=label, **more)  # type: ignore[arg-type]


def labels_of(index: Index, column: str) -> list[Label]:
    return [row.labels[column] for row in index.rows]


# What --label says


def test_a_column_without_a_kind_is_a_class() -> None:
    columns, kinds = asked_kinds(["digit", "tags:multi", "score:number", "a:b:class"])
    assert columns == ("digit", "tags", "score", "a:b")
    assert kinds == {"digit": "class", "tags": "multi", "score": "number", "a:b": "class"}
    assert spelled(["digit", "tags"], {"tags": "multi"}) == ["digit", "tags:multi"]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["score:numbr"], "class, multi, number; did you mean 'number'"),
        ([":number"], "expected COLUMN or COLUMN:KIND"),
        (["a", "a:number"], "'a' is named twice"),
        (["a", "a"], "'a' is named twice"),
    ],
)
def test_a_kind_that_is_none_is_refused(labels: list[str], told: str) -> None:
    with pytest.raises(SourceError, match=told):
        asked_kinds(labels)


# What lists say


def test_three_kinds_are_read_from_three_columns(tmp_path: Path) -> None:
    text = "path,digit,tags,score\na.mp4,one,left;up,2.5\nb.mp4,two,up,-1\nc.mp4,,,\n"
    index = read(tmp_path, text, "digit", "tags:multi", "score:number")
    assert index.classes == {"digit": ("one", "two"), "tags": ("left", "up"), "score": ()}
    assert index.kinds == {"tags": "multi", "score": "number"}
    assert labels_of(index, "digit") == [0, 1, -1]
    assert labels_of(index, "tags") == [(0, 1), (1,), None]
    assert labels_of(index, "score") == [2.5, -1.0, None]
    told = "\n".join(index.reading)
    assert "'tags': 2 classes: left, up; several a clip, separated by ';'" in told
    assert "'score': numbers, from -1 to 2.5" in told
    assert told.count("1 clip without a label") == 3


@pytest.mark.parametrize("mark", [";", "|", " ", "; ", " | "])
def test_several_labels_are_separated_by_what_the_column_uses(mark: str, tmp_path: Path) -> None:
    text = f"path,tags\na.mp4,b{mark}a\nb.mp4,c{mark}\n"
    index = read(tmp_path, text, "tags:multi")
    assert index.classes["tags"] == ("a", "b", "c")
    assert labels_of(index, "tags") == [(0, 1), (2,)]


def test_names_keep_their_blanks_where_something_else_separates(tmp_path: Path) -> None:
    index = read(tmp_path, "path,tags\na.mp4,open door|close door\nb.mp4,run\n", "tags:multi")
    assert index.classes["tags"] == ("close door", "open door", "run")


def test_a_separator_alone_names_none_and_an_empty_cell_is_not_known(tmp_path: Path) -> None:
    index = read(tmp_path, "path,tags\na.mp4,x;y\nb.mp4,;\nc.mp4,\n", "tags:multi")
    assert labels_of(index, "tags") == [(0, 1), (), None]


def test_several_numbers_a_clip_keep_their_ids(tmp_path: Path) -> None:
    index = read(tmp_path, "path,tags\na.mp4,10 2\nb.mp4,2\nc.mp4,-1\n", "tags:multi")
    assert index.classes["tags"] == ("2", "10")
    assert labels_of(index, "tags") == [(0, 1), (0,), None]


def test_several_labels_a_line_of_a_list_without_header(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "list.txt").write_text("a.mp4 3 5 1\nb.mp4 5\n")
    source = str(tmp_path / "list.txt")
    index = read_index([source], label=["action:multi"], labelled=True, probe=False)
    assert index.classes == {"action": ("1", "3", "5")}
    assert labels_of(index, "action") == [(0, 1, 2), (2,)]


def test_one_class_of_several_is_enough_and_of_one_is_not(tmp_path: Path) -> None:
    text = "path,tags\na.mp4,x\nb.mp4,;\n"
    assert read(tmp_path, text, "tags:multi").classes == {"tags": ("x",)}
    with pytest.raises(SourceError, match="at least two classes"):
        read(tmp_path, "path,tags\na.mp4,x\nb.mp4,x\n", "tags")


@pytest.mark.parametrize("cell", ["abc", "1,5", "inf"])
def test_a_number_that_is_none_is_refused_with_its_line(cell: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"line 3 of .*clips\.csv.* expected a"):
        read(tmp_path, f'path,score\na.mp4,1\nb.mp4,"{cell}"\n', "score:number")


def test_not_a_number_is_a_missing_number(tmp_path: Path) -> None:
    index = read(tmp_path, "path,score\na.mp4,1\nb.mp4,NaN\nc.mp4,2e1\n", "score:number")
    assert labels_of(index, "score") == [1.0, None, 20.0]


def test_many_numbers_read_as_classes_are_remarked_on(tmp_path: Path) -> None:
    rows = "".join(f"{number}.mp4,{number / 7:.3f}\n" for number in range(12))
    index = read(tmp_path, "path,score\n" + rows, "score")
    assert "--label score:number learns them as such" in "\n".join(index.reading)
    whole = "".join(f"{number}.mp4,{number}\n" for number in range(12))
    assert "learns them" not in "\n".join(read(tmp_path, "path,a\n" + whole, "a").reading)


def test_a_class_of_val_that_train_lacks_is_refused_for_several_too(tmp_path: Path) -> None:
    text = "path,split,tags,score\na.mp4,train,x,1\nb.mp4,val,x;y,2\n"
    with pytest.raises(SourceError, match=r"'tags': 1 class of val or test not in train"):
        read(tmp_path, text, "tags:multi", "score:number")


def test_an_index_comes_back_from_json_with_its_kinds(tmp_path: Path) -> None:
    text = "path,tags,score\na.mp4,x;y,1.5\nb.mp4,,\nc.mp4,;,2\n"
    index = read(tmp_path, text, "tags:multi", "score:number")
    assert Index.from_json(json.loads(json.dumps(index.to_json()))) == index
    assert index.part("train").kinds == index.kinds


def test_an_index_that_knows_no_kinds_is_one_of_classes(tmp_path: Path) -> None:
    index = Index((Row("/a.mp4", {"label": 1}, None, None, None, None),), {"label": ("a", "b")})
    content = index.to_json()
    del content["kinds"]
    assert Index.from_json(content) == index


# Splits


def test_a_split_divides_classes_evenly_whatever_the_numbers(tmp_path: Path) -> None:
    rows = "".join(f"{n}.mp4,{'ab'[n % 2]},{n * 1.5},{n}\n" for n in range(40))
    text = "path,digit,score,tags\n" + rows
    index = read(tmp_path, text, "digit", "score:number", "tags:multi", split=0.75,
                 allow_unseen=True)  # fmt: skip
    train = index.part("train").rows
    assert [sum(row.labels["digit"] == label for row in train) for label in (0, 1)] == [15, 15]


def test_numbers_alone_are_split_by_their_share() -> None:
    entries = [Entry(f"/{number}.mp4", (str(number),)) for number in range(20)]
    assign_splits(entries, 0.8, 0, dict.fromkeys(map(id, entries), ()))
    assert sum(entry.split == "train" for entry in entries) == 16


# What a model gets


def test_labels_become_arrays_of_their_kind() -> None:
    one = values_of([2, -1], Column("class", 3))
    assert one.dtype == np.int64 and one.tolist() == [2, -1]
    several = values_of([(0, 2), (), None], Column("multi", 3))
    assert several.dtype == np.float32 and several.shape == (3, 3)
    assert several[:2].tolist() == [[1, 0, 1], [0, 0, 0]] and np.isnan(several[2]).all()
    number = values_of([1.5, None, -1.0], Column("number"))
    assert number.dtype == np.float32
    assert number[0] == 1.5 and np.isnan(number[1]) and number[2] == -1


def test_columns_know_their_kind_and_classes() -> None:
    kinds: dict[str, Kind] = {"score": "number"}
    found = columns_of({"digit": ("a", "b"), "score": ()}, kinds)
    assert found == {"digit": Column("class", 2), "score": Column("number", 0)}
    assert [ids_of(label) for label in (2, -1, None, (0, 1))] == [(2,), (), (), (0, 1)]


def test_a_scale_is_that_of_the_numbers_there_are() -> None:
    rows: list[dict[str, Label]] = [{"score": 1.0, "digit": 7}, {"score": None}, {"score": 5.0}]
    assert scales_of(rows, {"score": "number"}) == {"score": (3.0, 2.0)}
    assert scales_of(rows, {"digit": "class"}) == {}


@pytest.mark.parametrize(
    ("values", "told"), [([], "there is none"), ([3.0, 3.0], "all 2 are 3"), ([3.0], "all 1 are 3")]
)
def test_numbers_that_tell_nothing_are_refused(values: list[float], told: str) -> None:
    rows: list[dict[str, Label]] = [{"score": value} for value in values]
    with pytest.raises(SourceError, match=f"'score': {told} among the training clips"):
        scales_of(rows, {"score": "number"})


def test_the_kinds_of_a_listing_are_those_of_its_columns() -> None:
    from everest.classes import number_classes

    listings = [
        Listing([Entry("/a.mp4", ("x", "1"))], ("tags", "score")),
        Listing([Entry("/b.mp4", ("2.5",))], ("score",)),
    ]
    labels, classes, _ = number_classes(listings, {"score": "number", "tags": "multi"})
    assert classes == {"tags": ("x",), "score": ()}
    assert labels == [{"tags": (0,), "score": 1.0}, {"tags": None, "score": 2.5}]
