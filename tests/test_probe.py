"""`everest probe`: what it measures of a model, what it says, and what it refuses."""

import csv
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import everest as ev
from everest.index import Row
from everest.probes.asking import NothingRead, ProbeError, question_of
from everest.probes.features import Features
from everest.probes.setting import Question
from filming import write_film
from tiny import LabelledSet, contents, damage, done, everest

LIGHTS = {"dark": 40, "grey": 120, "light": 200}  # a class each
PARTS = {"train": 8, "val": 2, "test": 4}  # clips of a class
COLUMNS = ("path", "light", "split", "sun", "take")

Line = dict[str, str]


def figures(*words: object) -> dict[str, Any]:
    return json.loads(done("probe", *words, "--device", "cpu", "--json").out)


def write_table(path: Path, lines: Sequence[Line], columns: Sequence[str] = COLUMNS) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(lines)
    return path


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[Line]:
    """Clips of 4 frames, of a light that tells their class; "sun" is another label of theirs."""
    folder = tmp_path_factory.mktemp("lights")
    random = np.random.default_rng(0)
    found = []
    for light, level in LIGHTS.items():
        for part, count in PARTS.items():
            for number in range(count):
                size = (4, 32, 32, 3)
                picture = (level + random.integers(-20, 21, size)).astype(np.uint8)
                path = write_film(folder / f"{light}-{part}-{number}.mp4", list(picture))
                sun = "yes" if light == "light" else "no"
                line = (str(path), light, part, sun, f"{light} {number // 2}")
                found.append(dict(zip(COLUMNS, line, strict=True)))
    return found


@pytest.fixture(scope="module")
def table(lines: list[Line], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("table") / "lights.csv", lines)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained autoencoder; its features tell light from dark none the less."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    ev.create_model(
        "32x2x2", frames=4, size=32, patch=8, stride=1, decoder_width=16, decoder_depth=1
    ).save_pretrained(folder)
    return folder


# What is measured


@pytest.mark.parametrize("pool", ["steps", "mean"])
def test_features_that_tell_the_classes_are_found_good(model: Path, table: Path, pool: str) -> None:
    found = figures(model, table, "--label", "light", "--pool", pool, "--attentive")
    light = found["columns"]["light"]
    assert found["numbers"] == (64 if pool == "steps" else 32)
    for probe in ("knn", "linear", "attentive"):
        assert light[probe]["test"]["top1"] == 1.0
    assert light["linear"]["test"]["top1_interval"][0] == pytest.approx(0.735, abs=1e-3)
    assert light["chance"] == pytest.approx(1 / 3)
    assert light["majority"]["test"] == pytest.approx(1 / 3)


def test_shuffled_labels_are_named_by_chance(
    model: Path, lines: list[Line], tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    shuffled = list(lines)
    for part in PARTS:
        at = [number for number, line in enumerate(lines) if line["split"] == part]
        names = random.permutation([lines[number]["light"] for number in at])
        for number, name in zip(at, names, strict=True):
            shuffled[number] = {**lines[number], "light": str(name)}
    found = figures(model, write_table(tmp_path / "s.csv", shuffled), "--label", "light")
    for probe in ("knn", "linear"):
        low, high = found["columns"]["light"][probe]["test"]["top1_interval"]
        assert low < 1 / 3 < high < 0.9


def test_the_document_has_what_is_promised(model: Path, table: Path) -> None:
    told = done("probe", model, table, "--label", "light", "--json", "--device", "cpu").out
    found = json.loads(told)
    assert next(iter(found)) == "schema" and found["schema"] == 1
    assert set(found) == {
        *("schema", "model", "kind", "pool", "views", "keep", "tokens", "tokens_in_all"),
        *("numbers", "clips"),
        *("missing", "trained_on", "bad", "seconds", "columns"),
    }
    assert (found["kind"], found["pool"], found["views"]) == ("autoencoder", "steps", 1)
    assert (found["keep"], found["tokens"], found["tokens_in_all"]) == (0.6, 19, 32)
    assert (found["clips"], found["missing"], found["bad"]) == (42, 0, [])
    assert set(found["seconds"]) == {"features", "probes"}
    light = found["columns"]["light"]
    assert set(light) == {"classes", "clips", "chance", "majority", "knn", "linear"}
    assert light["clips"] == {"train": 24, "val": 6, "test": 12}
    assert set(light["linear"]) == {"C", "chosen_by", "seconds", "val", "test"}
    assert light["linear"]["chosen_by"] == light["knn"]["chosen_by"] == "validation"
    assert set(light["knn"]["test"]["per_class"]) == set(LIGHTS)
    assert light["knn"]["test"]["top5"] is None


def test_what_is_printed_says_chance_beside_the_figures(model: Path, table: Path) -> None:
    told = done("probe", model, table, "--label", "light").out
    assert "light: 3 classes, 24 training clips; of 12 test clips chance names 33.3 %" in told
    assert "linear     top-1 100.0 % (95 % interval 73.5 to 100.0), mean per class" in told
    assert f"everest finetune DATA --init {model}" in told
    assert "nan" not in told


def figures_alone(found: dict[str, Any]) -> dict[str, Any]:
    """The columns of a document without its clocks."""
    for column in found["columns"].values():
        for probe in column.values():
            if isinstance(probe, dict):
                probe.pop("seconds", None)
    return found["columns"]


@pytest.mark.parametrize("more", [[], ["--workers", "2"]], ids=["again", "workers"])
def test_figures_repeat_whoever_reads_the_videos(
    model: Path, labelled: LabelledSet, tmp_path: Path, more: list[str]
) -> None:
    words = ["probe", model, labelled.table, "--attentive", "--views", "2", "--device", "cpu"]
    done(*words, "--out", tmp_path / "a")
    done(*words, "--out", tmp_path / "b", *more)
    first, second = (np.load(tmp_path / name / "features.npz") for name in "ab")
    assert np.array_equal(first["vectors"], second["vectors"])
    first, second = (
        figures_alone(json.loads((tmp_path / name / "probe.json").read_text())) for name in "ab"
    )
    assert first == second
    assert first["label"]["attentive"]["test"]["clips"] == 4


def test_each_label_column_has_a_probe_of_its_own(
    model: Path, lines: list[Line], tmp_path: Path
) -> None:
    some = [{**line, "sun": ""} if "test-0" in line["path"] else line for line in lines]
    table = write_table(tmp_path / "two.csv", some)
    found = figures(model, table, "--label", "light,sun")["columns"]
    assert list(found) == ["light", "sun"]
    assert (found["light"]["classes"], found["sun"]["classes"]) == (3, 2)
    assert (found["light"]["clips"]["test"], found["sun"]["clips"]["test"]) == (12, 9)
    assert found["sun"]["majority"]["test"] == pytest.approx(6 / 9)
    assert found["sun"]["linear"]["test"]["top1"] == 1.0


def test_a_classifier_is_probed_as_it_reads(finetuned: Path, labelled: LabelledSet) -> None:
    found = figures(finetuned, labelled.table)
    assert (found["kind"], found["keep"], found["tokens"]) == ("classifier", 0.6, 19)
    assert found["trained_on"] == 0


def test_clips_that_the_model_has_seen_are_told(
    pretrained: Path, labelled: LabelledSet, tmp_path: Path
) -> None:
    with labelled.table.open(newline="", encoding="utf-8") as file:
        rows = [{**row, "path": str(labelled.folder / row["path"])} for row in csv.DictReader(file)]
    swapped = {"train": "test", "test": "train", "val": "val"}
    turned = [{**row, "split": swapped[row["split"]]} for row in rows]
    table = write_table(tmp_path / "turned.csv", turned, ("path", "label", "split"))
    assert figures(pretrained, labelled.table)["trained_on"] == 0
    assert figures(pretrained, table)["trained_on"] == 8
    assert "8 of the clips measured on were in the training" in done("probe", pretrained, table).out


def test_the_same_model_untrained_is_probed_beside_it(model: Path, table: Path) -> None:
    found = figures(model, table, "--label", "light", "--untrained", "--seed", 3)
    control = found["untrained"]
    assert control["model"] == f"{model}, untrained"
    assert control["numbers"] == found["numbers"] == 64
    assert control["columns"]["light"]["linear"]["test"]["clips"] == 12
    told = done("probe", model, table, "--label", "light", "--untrained").out
    assert told.count("linear  ") == 2


# Splits


def test_with_val_alone_nothing_is_chosen_on_it(
    model: Path, lines: list[Line], tmp_path: Path
) -> None:
    kept = [line for line in lines if line["split"] != "test"]
    table = write_table(tmp_path / "val.csv", kept)
    light = figures(model, table, "--label", "light")["columns"]["light"]
    assert light["clips"] == {"train": 24, "val": 6}
    assert light["linear"]["chosen_by"] == "folds"
    assert "test" not in light["linear"]


def test_a_drawn_split_keeps_groups_whole(model: Path, lines: list[Line], tmp_path: Path) -> None:
    bare = write_table(tmp_path / "bare.csv", lines, ("path", "light", "take"))
    out = tmp_path / "out"
    words = ["--label", "light", "--split", "0.5", "--group", "take"]
    figures(model, bare, *words, "--out", out)
    held = np.load(out / "features.npz")
    takes = {line["path"]: line["take"] for line in lines}
    sides: dict[str, set[str]] = {}
    for path, split in zip(held["paths"], held["splits"], strict=True):
        sides.setdefault(takes[path], set()).add(split)
    assert all(len(side) == 1 for side in sides.values())
    assert set().union(*sides.values()) == {"train", "val"}


def test_few_labels_are_drawn_from_train_alone(model: Path, table: Path) -> None:
    found = figures(model, table, "--label", "light", "--labels-per-class", 2)
    assert found["columns"]["light"]["clips"] == {"train": 6, "val": 6, "test": 12}


# Files


def test_features_are_kept_as_embed_writes_them(
    model: Path, table: Path, lines: list[Line], tmp_path: Path
) -> None:
    out = tmp_path / "kept"
    found = figures(model, table, "--label", "light", "--pool", "mean", "--out", out)
    assert found["out"] == str(out)
    assert set(contents(out)) == {"features.npz", "probe.json"}
    held = np.load(out / "features.npz")
    assert held["paths"].tolist() == [line["path"] for line in lines]
    assert held["splits"].tolist() == [line["split"] for line in lines]
    assert held["labels"][:, 0].tolist() == [line["light"] for line in lines]
    assert held["columns"].tolist() == ["light"]
    embedded = ev.load(model, device="cpu").embed([line["path"] for line in lines])
    order = [embedded.paths.index(line["path"]) for line in lines]
    np.testing.assert_allclose(held["vectors"], embedded.vectors[order], atol=2e-2)
    np.testing.assert_allclose(held["ends"], embedded.ends[order])
    document = json.loads((out / "probe.json").read_text())
    found.pop("out")
    assert document == found


def test_a_folder_with_other_things_is_not_written(
    model: Path, table: Path, tmp_path: Path
) -> None:
    words = ["probe", model, table, "--label", "light", "--out", tmp_path]
    done(*words)
    assert "is not empty" in everest(*words).err
    done(*words, "--overwrite")
    (tmp_path / "mine.txt").write_text("")
    told = everest(*words, "--overwrite")
    assert told.code == 2 and "mine.txt, which a probe does not write" in told.err


def test_a_file_that_cannot_be_read_counts_nowhere_and_is_listed(
    model: Path, lines: list[Line], tmp_path: Path
) -> None:
    whole = Path(lines[0]["path"])
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(whole.read_bytes())
    damage(broken)
    table = write_table(tmp_path / "t.csv", [{**lines[0], "path": str(broken)}, *lines[1:]])
    found = figures(model, table, "--label", "light", "--attentive")
    assert (found["clips"], found["missing"]) == (41, 1)
    assert [entry["path"] for entry in found["bad"]] == [str(broken)]
    assert found["columns"]["light"]["clips"]["train"] == 23
    told = done("probe", model, table, "--label", "light").out
    assert "1 clip could not be read" in told and "broken.mp4" in told


def test_a_class_whose_training_clips_could_not_be_read_stops_the_job() -> None:
    rows = [
        Row(f"{number}.mp4", {"label": label}, split, None, None, None)
        for number, (label, split) in enumerate(
            [(0, "train"), (1, "train"), (2, "train"), (2, "test")]
        )
    ]

    def ask(*read: int, unseen: bool = False) -> Question:
        features = Features(np.array(read), np.zeros((len(read), 2)), None, 4 - len(read))
        return question_of(rows, features, "label", ("a", "b", "c"), unseen)

    assert set(ask(0, 1, 2, 3).asked) == {"test"}
    with pytest.raises(NothingRead, match="of c no training clip could be read") as refused:
        ask(0, 1, 3)
    assert refused.value.exit_code == 1
    assert ask(0, 1, 3, unseen=True).train.labels.tolist() == [0, 1]
    with pytest.raises(NothingRead, match="3 training clips of 3 classes and 0 clips to measure"):
        ask(0, 1, 2)
    with pytest.raises(NothingRead, match="1 training clip of 1 class and 1 clip to measure"):
        ask(2, 3)


# Refusals

Change = Callable[[Line], Line]


@pytest.mark.parametrize(
    ("change", "words", "told"),
    [
        (lambda line: {**line, "light": "dark"}, (), "only the class 'dark'"),
        (lambda line: {**line, "split": "train"}, (), "all clips are training clips"),
        (lambda line: {**line, "split": "test"}, (), "no training clips.*--split 0.8"),
        (
            lambda line: {**line, "light": "night"} if line["split"] == "test" else line,
            (),
            "of val or test not in train",
        ),
        (lambda line: line, ("--label", "shade"), "shade"),
        (lambda line: line, ("--views", "0"), "--views 0: give at least 1"),
        (lambda line: line, ("--keep", "1.5"), r"--keep 1\.5"),
        (lambda line: line, ("--labels-per-class", "0"), "--labels-per-class 0"),
    ],
)
def test_what_cannot_be_probed_is_refused_with_one_sentence(
    model: Path,
    lines: list[Line],
    tmp_path: Path,
    change: Change,
    words: tuple[str, ...],
    told: str,
) -> None:
    table = write_table(tmp_path / "t.csv", [change(line) for line in lines])
    label = () if "--label" in words else ("--label", "light")
    found = everest("probe", model, table, *label, *words)
    assert found.code == 2 and not found.out and "Traceback" not in found.err
    assert re.search(told, found.err), found.err


def test_a_folder_of_videos_without_classes_is_refused(model: Path, labelled: LabelledSet) -> None:
    told = everest("probe", model, labelled.videos)
    assert told.code == 2 and "class" in told.err


# Python


def test_the_python_function_says_the_same_and_leaves_the_model_as_it_was(
    model: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ev.load(model, device="cpu")
    before = run.model.select
    found = ev.probe(run, table, label="light", quiet=True)
    assert capsys.readouterr().out == ""
    assert found.top1() == found.top1("knn") == 1.0
    assert found.features.vectors.shape == (42, 64)
    assert vars(run.model.select) == vars(before)
    document = figures(model, table, "--label", "light")
    assert figures_alone({"schema": 1, **found.to_json()}) == figures_alone(document)
    with pytest.raises(ValueError, match="probe attentive: was not fitted; there is knn, linear"):
        found.top1("attentive")


def test_a_refusal_leaves_the_model_as_it_was(model: Path, table: Path) -> None:
    run = ev.load(model, device="cpu")
    before = vars(run.model.select)
    with pytest.raises(ProbeError):
        ev.probe(run, table, label="light", views=0)
    with pytest.raises(ValueError, match="--keep"):
        ev.probe(run, table, label="light", keep=2.0)
    assert vars(run.model.select) == before
