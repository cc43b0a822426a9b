"""What an evaluation amounts to: figures with the clips behind them, held against each other on the
same clips, and the files it leaves."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from everest.config import ClipConfig, ModelConfig, SelectConfig
from everest.console import Console
from everest.evaluation.comparing import Way, differences, ways_of
from everest.evaluation.document import Evaluated, columns_document
from everest.evaluation.keeping import file_name
from everest.evaluation.table import HEADER, write_predictions
from everest.evaluation.telling import tell_columns
from everest.index import Row
from everest.predicting import Predictions
from everest.spreadsheet import cell, text_of
from everest.vit import VitConfig
from tiny import LabelledSet, done, everest

CONFIG = ModelConfig(
    "classifier",
    VitConfig(32, 1, 2, patch=8, tubelet=2, steps=2),
    ClipConfig(frames=4, size=(32, 32)),
    SelectConfig("rero", 0.6),
    classes={"label": ("=up", "down", "-x"), "tags": ("a", "b"), "score": ()},
    kinds={"tags": "multi", "score": "number"},
)
COUNT = 12


def row(number: int, group: str | None = None) -> Row:
    labels = {"label": number % 3, "tags": (0,) if number % 2 else (0, 1), "score": number / 10}
    return Row(f"/set/{number}.mp4", labels, "test", None, None, group, 8, 25.0)


def evaluated(wrong: tuple[int, ...] = (), **changes: Any) -> Evaluated:
    """Twelve clips, number 5 unreadable; the model is right but for `wrong`, taken for the next."""
    read = np.array([number for number in range(COUNT) if number != 5])
    predicted = (read + np.isin(read, wrong)) % 3
    sure = np.linspace(0.5, 0.9, len(read))[:, None]
    said = np.where(np.eye(3, dtype=bool)[predicted], sure, (1 - sure) / 2).astype(np.float32)
    tags = np.stack([np.ones(len(read)), read % 2 == 0], axis=1).astype(np.float32)
    found = Predictions(
        read,
        {"label": said, "tags": 0.1 + 0.8 * tags, "score": read / 10 + 0.1},
        {"label": read % 3, "tags": tags, "score": read / 10},
        np.zeros((len(read), 2)),
        1,
        0.5,
    )
    rows = [row(number) for number in range(COUNT)]
    return replace(Evaluated(CONFIG, rows, found, set()), **changes)


def test_each_kind_of_column_has_its_own_figures() -> None:
    found = columns_document(evaluated((1,)), resamples=50)
    assert found["label"]["top1"] == pytest.approx(10 / 11) and found["label"]["clips"] == 11
    assert found["tags"]["map"] == 1.0 and found["tags"]["per_class_clips"] == {"a": 11, "b": 6}
    assert found["score"]["mse"] == pytest.approx(0.01)
    assert found["score"]["pearson"] == pytest.approx(1)
    json.dumps(found, allow_nan=False)


def test_mistakes_are_told_with_their_clips_the_surest_first() -> None:
    found = columns_document(evaluated((1, 4, 0)), resamples=50)["label"]
    first = found["confused"][0]
    assert (first["label"], first["predicted"], first["clips"]) == ("down", "-x", 2)
    assert [clip["path"] for clip in first["worst"]] == ["/set/4.mp4", "/set/1.mp4"]
    assert [clip["path"] for clip in found["worst"]] == ["/set/4.mp4", "/set/1.mp4", "/set/0.mp4"]
    worst = found["worst"][0]
    assert worst["p"] > worst["p_label"] and worst["label"] == "down"


def test_figures_of_clips_that_were_not_trained_on_are_given_apart() -> None:
    learnt = {f"/set/{number}.mp4" for number in range(6)}
    found = columns_document(evaluated((7,), learnt=learnt), resamples=50)["label"]
    assert found["trained_on"] == 5
    assert found["held_out"]["clips"] == 6 and found["held_out"]["top1"] == pytest.approx(5 / 6)
    everything = {f"/set/{number}.mp4" for number in range(COUNT)}
    assert "held_out" not in columns_document(evaluated(learnt=everything), resamples=50)["label"]
    assert columns_document(evaluated(), resamples=50)["label"]["trained_on"] == 0


def test_intervals_draw_groups_whole() -> None:
    alone = columns_document(evaluated((0, 1, 2)), resamples=300)["label"]
    rows = [row(number, "ab"[number > 2]) for number in range(COUNT)]
    whole = columns_document(evaluated((0, 1, 2), rows=rows), resamples=300)["label"]
    assert whole["top1_bootstrap"] == [0.0, 1.0]  # the wrong ones are one of two groups
    assert alone["top1_bootstrap"][0] > 0.3
    assert whole["top1_interval"] == alone["top1_interval"]  # the exact one is of clips


def test_differences_are_over_the_same_clips() -> None:
    (found,) = differences([evaluated((1, 4)), evaluated((4, 7, 10))], resamples=200)
    label = found["label"]
    assert label["top1"] == pytest.approx(-1 / 11)
    assert (label["only_first_right"], label["only_this_right"]) == (2, 1)
    low, high = label["top1_bootstrap"]
    assert low < label["top1"] < high
    assert found["score"]["mse"] == 0 and found["score"]["mse_bootstrap"] == [0, 0]


def test_shares_counts_and_selectors_are_understood() -> None:
    assert ways_of("1.0, 0.6,940,random:0.4") == [
        Way(1.0), Way(0.6), Way(940), Way(0.4, "random"),
    ]  # fmt: skip
    costs = [way.gflops(CONFIG) for way in ways_of("1.0,0.6,random:0.6,8")]
    assert costs[0] > costs[1] == costs[2] > costs[3]
    assert Way().gflops(CONFIG) == costs[1]
    for text, said in (("0.6,0.6", "twice"), ("tube:0.5", "tube:0.5"), ("half", "half")):
        with pytest.raises(ValueError, match=said):
            ways_of(text)


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_table_has_a_line_a_clip_and_column_and_nothing_that_a_spreadsheet_computes(
    tmp_path: Path,
) -> None:
    each = evaluated((2,))
    write_predictions(tmp_path / "p.csv", each.rows, each.found, CONFIG)
    lines = table_of(tmp_path / "p.csv")
    assert tuple(lines[0]) == HEADER and len(lines) == 3 * COUNT
    first = lines[0]
    assert (first["label"], first["predicted"], first["weight"]) == ("'=up", "'=up", "1")
    third = lines[6]
    assert (third["label"], third["predicted"]) == ("'-x", "'=up")
    assert [text_of(third[name]) for name in ("label", "predicted")] == ["-x", "=up"]
    lost = lines[15]
    assert (lost["predicted"], lost["p"], lost["weight"]) == ("", "", "0")
    tags, score = lines[7], lines[8]
    assert (tags["label"], tags["predicted"], tags["p"]) == ("a;b", "a;b", "0.900000")
    assert (score["label"], score["predicted"], score["p"]) == ("0.2", "0.3", "")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_text_that_starts_a_formula_gets_an_apostrophe(text: str) -> None:
    assert cell(text) == "'" + text and text_of(cell(text)) == text
    for plain in ("a-b", "'quoted'", "", "1"):
        assert cell(plain) == plain and text_of(plain) == plain


def test_names_of_columns_make_harmless_file_names() -> None:
    assert file_name("../=a b/c") == "a-b-c" and file_name("äö") == "column"


def test_each_kind_is_told_on_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    each = evaluated((1,))
    document = {
        "keep": 0.6, "select": "rero", "gflops": 1.0, "clips_per_second": 2.0,
        "resampled": {"by": "file"}, "columns": columns_document(each, resamples=50),
    }  # fmt: skip
    tell_columns(document, Console(), mistakes=True)
    told = capsys.readouterr().out
    assert "label: top-1 90.9 %" in told and "over 11 clips" in told
    assert "down taken for -x: 1 of 4, surest /set/1.mp4" in told
    assert "tags: mAP 100.0 %" in told and "score: MSE 0.01" in told


def test_the_run_folder_holds_what_the_report_shows(
    labelled: LabelledSet, finetuned: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finetuned, run)
    done("evaluate", run, labelled.table, "--compare-keep", "1.0,0.6,random:0.6")
    found = json.loads((run / "evaluation.json").read_text())
    assert found["schema"] == 1 and found["part"] == "test" and found["views"] == 1
    assert [each["select"] for each in found["compare"]] == ["all", "rero", "random"]
    assert found["columns"] == found["compare"][0]["columns"]
    assert "top1_bootstrap" in found["compare"][1]["difference"]["label"]
    assert sum(map(sum, found["columns"]["label"]["confusion"])) == 4
    pictures = found["pictures"]["label"]
    assert set(pictures) == {"confusion", "keep"}
    for place in pictures.values():
        assert (run / place).read_bytes().startswith(b"\x89PNG")
    first = (run / "predictions.csv").read_bytes()
    done("evaluate", run, labelled.table, "--compare-keep", "1.0", "--batch-size", 1)
    assert (run / "predictions.csv").read_bytes() == first  # of the first share, any batch size
    again = json.loads((run / "evaluation.json").read_text())
    assert again["columns"] == found["columns"] and "compare" not in again
    assert set(again["pictures"]["label"]) == {"confusion"}
    assert [path.name for path in (run / "evaluation").iterdir()] == ["confusion-label.png"]


def test_figures_go_where_they_are_asked_to(
    labelled: LabelledSet, finetuned: Path, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finetuned.iterdir()}
    done("evaluate", finetuned, labelled.table, "-o", tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"evaluation.json", "predictions.csv", "evaluation"}
    assert {path: path.stat().st_mtime_ns for path in finetuned.iterdir()} == before
    told = everest("evaluate", finetuned, labelled.table, "--out", labelled.table)
    assert told.code == 2 and "is a file" in told.err
