"""A classifier of several label columns, one class, several and a number, from the command line."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from everest.classify import VideoClassifier
from everest.config import ModelConfig
from everest.folder import RunFolder
from everest.guesses.telling import Telling
from everest.kinds import Kind
from everest.run import Guess, load
from tiny import TINY, LabelledSet, done, everest

COLUMNS = "way,tags:multi,score:number"
TAGS = {"left": "left;level", "right": "level", "up": ";", "down": ""}
SCORES = {"left": "100", "right": "300", "up": "", "down": "200"}


@pytest.fixture(scope="module")
def table(labelled: LabelledSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny set with three label columns, of which each lacks some."""
    path = tmp_path_factory.mktemp("columns") / "clips.csv"
    with labelled.table.open() as known, path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "split", "way", "tags", "score"])
        for number, row in enumerate(csv.DictReader(known)):
            way = row["label"]
            shown = "" if number == 0 else way
            place = labelled.folder / row["path"]
            writer.writerow([place, row["split"], shown, TAGS[way], SCORES[way]])
    return path


@pytest.fixture(scope="module")
def run(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished fine-tuning: not to be changed."""
    out = tmp_path_factory.mktemp("columns") / "run"
    done("finetune", table, "--label", COLUMNS, "--out", out, "--epochs", 2, *TINY)
    return out


def test_a_run_keeps_its_kinds_and_the_scale_of_its_numbers(run: Path, table: Path) -> None:
    loaded = load(run)
    config = loaded.config
    assert config.classes["tags"] == ("left", "level") and config.classes["score"] == ()
    assert config.kinds == {"tags": "multi", "score": "number"}
    with table.open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train" and row["score"]]
    values = np.array([float(row["score"]) for row in rows])
    assert config.scales["score"] == pytest.approx((values.mean(), values.std()))
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert isinstance(loaded.model, VideoClassifier)
    assert loaded.model.kinds == {"way": "class", "tags": "multi", "score": "number"}
    assert RunFolder(run).read_json("data.json")["kinds"] == config.kinds


def test_a_config_of_an_older_version_is_one_of_classes(run: Path) -> None:
    content = load(run).config.to_json()
    del content["kinds"], content["scales"]
    found = ModelConfig.from_json(content)
    assert (found.kinds, found.scales) == ({}, {})


def test_the_losses_and_figures_of_such_a_run_are_finite(run: Path) -> None:
    lines = RunFolder(run).metrics()
    assert all(np.isfinite(line["loss"]) for line in lines)
    last = [line for line in lines if line["kind"] == "eval"][-1]
    assert last["columns"]["way"]["top1"] is not None
    assert last["columns"]["tags"]["map"] is not None
    assert last["columns"]["score"]["mse"] is not None


def test_the_numbers_told_are_in_the_unit_of_the_list(run: Path, labelled: LabelledSet) -> None:
    guesses, _ = load(run).guesses(str(labelled.files[0]))
    assert 100 <= guesses[0].numbers["score"] <= 300  # hardly trained: about their mean
    assert set(guesses[0].labels) == {"way", "tags"}


def test_the_console_tells_each_kind_in_its_way(run: Path, labelled: LabelledSet) -> None:
    file = labelled.files[0]
    lines = done("predict", run, file).out.splitlines()
    assert [line.removeprefix(f"{file} ").split(":")[0] for line in lines] == [
        "way",
        "tags",
        "score",
    ]
    assert "%" in lines[0] and "%" in lines[1]
    assert 100 <= float(lines[2].rsplit(" ", 1)[1]) <= 300


def test_predictions_as_json_and_csv_have_every_column(
    run: Path, labelled: LabelledSet, tmp_path: Path
) -> None:
    files = labelled.files[:2]
    told = done("predict", run, *files, "--json", "--csv", tmp_path / "p.csv")
    entries = json.loads(told.out)
    assert [entry["column"] for entry in entries] == ["way", "tags", "score"] * 2
    for entry in entries:
        assert set(entry) - {"path", "start", "end", "column"} == (
            {"value"} if entry["column"] == "score" else {"labels"}
        )
    with (tmp_path / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    for path in files:
        own = [row for row in rows if row["path"] == str(path)]
        assert sum(row["column"] == "way" for row in own) == 1
        (number,) = [row for row in own if row["column"] == "score"]
        assert 100 <= float(number["label"]) <= 300 and number["p"] == ""
        tags = [row for row in own if row["column"] == "tags"]
        assert tags and all(row["label"] == "" or float(row["p"]) >= 0.5 for row in tags)


def test_of_several_labels_those_more_likely_than_not_are_told() -> None:
    kinds: dict[str, Kind] = {"tags": "multi"}

    def told(*shares: float) -> str:
        labels = [(name, share) for name, share in zip("abc", shares, strict=False)]
        return Telling(kinds).line(Guess("x", 0.0, 1.0, {"tags": labels}, {}), "tags")

    assert told(0.9, 0.6, 0.4) == "a 90.0 %, b 60.0 %"
    assert told(0.4, 0.1) == "none (the likeliest is a, 40.0 %)"


def test_an_embedding_is_the_same_as_ever(run: Path, labelled: LabelledSet, tmp_path: Path) -> None:
    done("embed", run, labelled.files[0], "-o", tmp_path / "e.npz")
    assert np.load(tmp_path / "e.npz")["vectors"].shape == (1, load(run).width)


def test_a_run_of_numbers_alone_names_no_label(
    table: Path, labelled: LabelledSet, tmp_path: Path
) -> None:
    words = ["--label", "score:number", "--out", tmp_path / "run", "--epochs", 1, *TINY]
    told = done("finetune", table, *words)
    assert "val MSE" in told.out
    video = tmp_path / "told.mp4"
    done("predict", tmp_path / "run", labelled.files[0], "--annotate", video)
    assert video.stat().st_size > 0
    with pytest.raises(ValueError, match="predicts numbers and no classes"):
        load(tmp_path / "run").predict(str(labelled.files[0]))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--label", "score:numbr"], "did you mean 'number'"),
        (["--label", "scor:number"], "did you mean 'score'"),
        (["--label", "way:number"], "expected a number"),
        (["--label", "score:number", "--balance"], "--balance: .* no label column holds one class"),
        (["--label", COLUMNS, "--mixup", 0.8], "--mixup 0.8: mixes single labels"),
        (["--label", "tags:multi", "--labels-per-class", 2], "--labels-per-class 2: no label"),
    ],
)
def test_what_a_kind_cannot_do_is_refused(
    words: list[str], told: str, table: Path, tmp_path: Path
) -> None:
    found = everest("finetune", table, *words, "--out", tmp_path / "run", *TINY)
    assert found.code == 2
    assert re.search(told, found.err), found.err
    assert not (tmp_path / "run").exists()


def test_such_a_model_has_no_form_elsewhere(run: Path, tmp_path: Path) -> None:
    found = everest("convert", run, "--out", tmp_path / "hf", "--to", "hf")
    assert found.code == 2 and "3 label columns" in found.err


def test_a_run_of_an_older_version_is_resumed(
    labelled: LabelledSet, pretrained: Path, finetuned: Path, tmp_path: Path
) -> None:
    """Its recipe lacks fields that are newer: they are what a recipe has by default."""
    out = shutil.copytree(finetuned, tmp_path / "run")
    recipe = json.loads((out / "recipe.json").read_text())
    del recipe["balance"], recipe["ema"], recipe["optim"]["kind"]
    (out / "recipe.json").write_text(json.dumps(recipe))
    words = ["finetune", labelled.table, "--init", pretrained, "--out", out, "--epochs", 2, *TINY]
    words.append("--resume")
    assert "is finished" in done(*words).out
    told = everest(*words, "--balance")
    assert told.code == 2 and "--balance was False and is True" in told.err


def test_a_balanced_run_says_so(labelled: LabelledSet, tmp_path: Path) -> None:
    words = ["--out", tmp_path / "run", "--epochs", 1, "--balance", *TINY]
    told = done("finetune", labelled.table, *words)
    assert "--balance: an epoch takes 2 clips of each class of 'label'" in told.out
