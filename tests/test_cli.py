"""Each command does what it is asked, and tells it in the form that is promised."""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from everest import video
from everest.samples import make_samples
from tiny import TINY, TINY_PRETRAIN, LabelledSet, contents, damage, done, everest

ODD_NAMES = (
    "two words.mp4",
    'a, "quoted", name.mp4',
    "ünïcode—視頻.mp4",
    "two\nlines.mp4",
    "-x.mp4",
    "%03d.mp4",
    "http:colon.mp4",
    "[bold]x.mp4",
    "no utf-8 \udcff.mp4",
)


def document(*words: object) -> Any:
    """The one JSON document that a command prints on standard output; all else is on the other."""
    told = done(*words, "--json")
    found = json.loads(told.out)
    if isinstance(found, dict):
        assert next(iter(found)) == "schema" and found["schema"] == 1
    return found


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def with_bad_file(labelled: LabelledSet, folder: Path, split: str) -> tuple[Path, Path]:
    """A copy of the set whose first video of a split is empty: (its table, that video)."""
    shutil.copytree(labelled.folder, folder)
    bad = folder / "videos" / f"{split}-00000.mp4"
    bad.write_bytes(b"")
    return folder / "labels.csv", bad


# The program


def test_help_lists_the_commands_and_imports_no_torch() -> None:
    code = (
        "import sys; from everest.cli import main; code = main(['--help']);"
        "assert 'torch' not in sys.modules and 'rich' not in sys.modules; sys.exit(code)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    for name in ("check", "pretrain", "finetune", "evaluate", "predict", "embed", "show", "demo"):
        assert f"\n  {name} " in told.stdout


def test_the_version_is_printed() -> None:
    from everest.version import __version__

    assert done("--version").out == f"{__version__}\n"


@pytest.mark.parametrize(
    "command",
    ["check", "pretrain", "finetune", "evaluate", "predict", "embed", "show", "demo"],
)
def test_the_help_of_a_command_shows_examples_of_it(command: str) -> None:
    told = done(command, "--help")
    assert f"everest {command} " in told.out
    assert "Traceback" not in told.out


def test_an_error_of_the_disk_is_one_sentence_with_code_1(
    labelled: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/a/b")

    monkeypatch.setattr("everest.tensors.save_file", full)
    words = ["pretrain", labelled.videos, "--out", tmp_path / "run", "--epochs", 1]
    told = everest(*words, *TINY_PRETRAIN)
    assert told.code == 1
    assert told.err == "everest: /a/b: No space left on device\n"


# Lists


def test_info_tells_versions_and_machine() -> None:
    found = document("info")
    assert set(found) >= {"versions", "device", "cpu"}
    assert set(found["versions"]) >= {"everest", "python", "torch", "av"}
    assert f"torch          {found['versions']['torch']}" in done("info").out


def test_models_are_listed_with_their_sizes() -> None:
    found = {entry["model"]: entry for entry in document("models")["models"]}
    assert list(found) == ["vit-ti", "vit-s", "vit-b", "vit-l", "vit-h"]
    assert found["vit-b"]["width"] == 768
    assert found["vit-b"]["encoder_parameters"] == pytest.approx(86.2e6, rel=0.01)
    assert found["vit-b"]["pretrain_gflops"] < found["vit-b"]["finetune_gflops"]
    assert "vit-b" in done("models").out


def test_recipes_are_listed_and_one_is_told_in_full() -> None:
    found = document("recipes")["recipes"]
    assert {"small-data", "everest-ucf101"} <= set(found)
    assert found["small-data"]["finetune"]["pool"] == "steps"
    assert "head_norm: batch" in done("recipes", "small-data").out
    told = everest("recipes", "small-date")
    assert told.code == 2 and "small-data" in told.err


# check


def test_check_tells_what_is_there(labelled: LabelledSet, tmp_path: Path) -> None:
    table, bad = with_bad_file(labelled, tmp_path / "set", "train")
    found = document("check", table)
    assert (found["found"], found["good"]) == (16, 15)
    assert found["bad"] == [{"path": str(bad), "reason": "0 bytes"}]
    assert found["hours"] == pytest.approx(15 / 3600)
    assert found["fps"] == {"8": 15} and found["sizes"] == {"32x32": 15}
    assert set(found["classes"]["label"]) == {"up", "down", "left", "right"}
    assert found["index"]
    assert everest("check", table, "--strict").code == 1


# pretrain and finetune


OUTCOME = {
    "run", "epochs", "steps", "loss", "best", "seconds", "clips_per_second", "data_wait", "bad",
}  # fmt: skip


def test_pretrain_tells_its_outcome(labelled: LabelledSet, tmp_path: Path) -> None:
    table, bad = with_bad_file(labelled, tmp_path / "set", "train")
    out = tmp_path / "run"
    words = ["pretrain", table, "--out", out, "--epochs", 2, *TINY_PRETRAIN]
    found = document(*words)
    assert set(found) >= OUTCOME
    assert (found["run"], found["epochs"], found["steps"]) == (str(out), 2, 4)
    assert 0.1 < found["loss"] < 10 and found["best"] < 0
    assert found["bad"] == [{"path": str(bad), "reason": "0 bytes"}]
    told = (out / "log.txt").read_text()
    assert f"{bad}: 0 bytes" in told


def test_finetune_tells_its_outcome(labelled: LabelledSet, tmp_path: Path) -> None:
    table, bad = with_bad_file(labelled, tmp_path / "set", "val")
    out = tmp_path / "run"
    words = ["finetune", table, "--out", out, "--epochs", 2, *TINY]
    found = document(*words)
    assert set(found) >= OUTCOME
    assert (found["epochs"], found["steps"]) == (2, 4)
    assert (
        found["validation"]["missing"] == 1
        and found["validation"]["columns"]["label"]["clips"] == 3
    )
    assert found["bad"] == [{"path": str(bad), "reason": "0 bytes"}]


def test_test_rows_of_a_list_are_never_learnt_from(pretrained: Path, finetuned: Path) -> None:
    for run in (pretrained, finetuned):
        data = json.loads((run / "data.json").read_text())
        train = {Path(entry["path"]).name[:5] for entry in data["train"]}
        held = {Path(entry["path"]).name[:3] for entry in data["held_out"]}
        assert (train, held) == ({"train"}, {"val"})


def test_quiet_says_nothing_and_log_txt_has_it_all(labelled: LabelledSet, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["pretrain", labelled.videos, "--out", out, "--epochs", 1, *TINY_PRETRAIN]
    told = done(*words, "--quiet")
    assert told.out == told.err == ""
    assert "epoch 1/1" in (out / "log.txt").read_text()


def test_the_console_tells_what_was_chosen_and_what_to_do_next(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    told = done("pretrain", labelled.videos, "--out", out, "--epochs", 1, *TINY_PRETRAIN).out
    order = [
        "torch",
        "16 videos",
        "recipe small-data (16 clips are fewer than 2,000)",
        "reads 3 of 32 tokens and predicts 6",
        "epoch 1/1",
        "data wait",
        "of a constant predictor's",
        "next:",
        f"everest finetune DATA --init {out}",
    ]
    places = [told.find(part) for part in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)


def test_a_recipe_file_of_a_run_repeats_it_bit_for_bit(
    labelled: LabelledSet, pretrained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "again"
    recipe = pretrained / "recipe.json"
    done("pretrain", labelled.table, "--out", out, "--recipe", recipe)
    weights = Path("weights") / "last" / "model.safetensors"
    assert (out / weights).read_bytes() == (pretrained / weights).read_bytes()
    assert (out / "metrics.jsonl").read_bytes() == (pretrained / "metrics.jsonl").read_bytes()


# evaluate


def test_evaluate_tells_accuracy_with_its_interval_and_cost(
    labelled: LabelledSet, finetuned: Path, tmp_path: Path
) -> None:
    found = document(
        "evaluate", finetuned, labelled.table, "--csv", tmp_path / "p.csv", "--out", tmp_path / "o"
    )
    assert (found["clips"], found["missing"], found["keep"]) == (4, 0, 0.6)
    assert found["gflops"] > 0 and found["clips_per_second"] > 0
    column = found["columns"]["label"]
    assert column["kind"] == "class" and column["top5"] is None
    low, high = column["top1_interval"]
    assert 0 <= low <= column["top1"] <= high <= 1
    assert column["top1"] == column["mean_class"]  # one clip a class
    assert set(column["per_class"]) == {"up", "down", "left", "right"}


def test_evaluate_compares_shares_of_kept_tokens(
    labelled: LabelledSet, finetuned: Path, tmp_path: Path
) -> None:
    words = [
        "evaluate",
        finetuned,
        labelled.table,
        "--csv",
        tmp_path / "p.csv",
        "--out",
        tmp_path / "o",
    ]
    found = document(*words, "--compare-keep", "1.0,0.6,8", "--views", "2x1")
    assert [entry["keep"] for entry in found["compare"]] == [1.0, 0.6, 8]
    costs = [entry["gflops"] for entry in found["compare"]]
    assert costs == sorted(costs, reverse=True) and len(set(costs)) == 3
    alone = document(*words, "--views", "2x1")
    for name in ("columns", "gflops", "keep"):
        assert found["compare"][1][name] == alone[name]


def test_evaluate_writes_what_it_predicted_of_every_clip(
    labelled: LabelledSet, finetuned: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finetuned, run)
    found = document("evaluate", run, labelled.table)
    rows = table_of(run / "predictions.csv")
    columns = ["path", "start", "end", "column", "label", "predicted", "p", "weight"]
    assert list(rows[0]) == columns and len(rows) == 4
    truth = {row["path"]: row["label"] for row in table_of(labelled.table)}
    right = 0
    for row in rows:
        name = Path(row["path"]).name
        assert row["column"] == "label" and row["weight"] == "1"
        assert row["label"] == truth[f"videos/{name}"] and name.startswith("test-")
        assert 0.25 <= float(row["p"]) <= 1
        right += row["label"] == row["predicted"]
    assert right / 4 == found["columns"]["label"]["top1"]


def test_evaluate_says_over_how_many_clips_it_was_computed(
    labelled: LabelledSet, finetuned: Path, tmp_path: Path
) -> None:
    table, bad = with_bad_file(labelled, tmp_path / "set", "test")
    place = tmp_path / "p.csv"
    told = done("evaluate", finetuned, table, "--csv", place, "--out", tmp_path / "o").out
    assert "over 3 clips" in told
    assert "1 of 4 clips could not be read: they count nowhere" in told
    assert f"{bad}: 0 bytes" in told
    rows = {row["path"]: row for row in table_of(place)}
    assert rows[str(bad)]["weight"] == "0" and rows[str(bad)]["predicted"] == ""
    assert rows[str(bad)]["label"]
    found = document("evaluate", finetuned, table, "--csv", place, "--out", tmp_path / "o")
    assert (found["clips"], found["missing"]) == (3, 1)


def test_evaluate_tells_of_clips_that_were_trained_on_and_gives_the_others_apart(
    labelled: LabelledSet, finetuned: Path, tmp_path: Path
) -> None:
    words = [
        "evaluate",
        finetuned,
        labelled.table,
        "--csv",
        tmp_path / "p.csv",
        "--out",
        tmp_path / "o",
    ]
    assert "trained on" not in done(*words).out
    assert "trained on" not in done(*words, "--part", "val").out
    told = done(*words, "--part", "all").out
    assert "8 of these clips were trained on; top-1 on the other 8: " in told
    found = document(*words, "--part", "all")
    assert found["clips"] == 16 and "held_out" in found["columns"]["label"]
    told = done(*words, "--part", "train").out
    assert "8 of these clips were trained on" in told and "the other" not in told


def test_evaluate_refuses_what_it_cannot_measure(
    labelled: LabelledSet, pretrained: Path, finetuned: Path, tmp_path: Path
) -> None:
    strange = tmp_path / "strange.csv"
    lines = [f"{path},label {number}" for number, path in enumerate(labelled.files[:2])]
    strange.write_text("\n".join(["path,label", *lines]) + "\n")
    for words, said in (
        ([pretrained, labelled.table], "fine-tune it"),
        ([finetuned, strange], "label 0, label 1"),
        ([finetuned, labelled.table, "--views", "5"], "--views 5"),
        ([finetuned, labelled.table, "--compare-keep", "many"], "--compare-keep many"),
        ([finetuned, labelled.table, "--compare-keep", "33"], "33"),
        ([finetuned, labelled.table, "--part", "half"], "--part half"),
        ([tmp_path / "none", labelled.table], str(tmp_path / "none")),
    ):
        told = everest("evaluate", *words, "--csv", tmp_path / "p.csv", "--out", tmp_path / "o")
        assert told.code == 2 and said in told.err, told.err
        assert "Traceback" not in told.err
    assert not (tmp_path / "p.csv").exists()


# predict


def assert_a_guess(entry: dict[str, Any], top: int) -> None:
    assert list(entry) == ["path", "start", "end", "labels"]
    shares = [label["p"] for label in entry["labels"]]
    assert len(shares) == top and shares == sorted(shares, reverse=True)
    assert {label["label"] for label in entry["labels"]} <= {"up", "down", "left", "right"}


def test_predict_names_what_is_in_a_file(labelled: LabelledSet, finetuned: Path) -> None:
    file = labelled.files[0]
    (entry,) = document("predict", finetuned, file)
    assert_a_guess(entry, 3)
    assert (entry["path"], entry["start"], entry["end"]) == (str(file), 0.0, 1.0)
    (entry,) = document("predict", finetuned, file, "--top", 4)
    assert sum(label["p"] for label in entry["labels"]) == pytest.approx(1, abs=1e-5)
    likeliest = entry["labels"][0]["label"]
    assert f"{file}: {likeliest} " in done("predict", finetuned, file).out


def test_predict_takes_a_folder_and_passes_bad_files_over(
    labelled: LabelledSet, finetuned: Path, tmp_path: Path
) -> None:
    _, bad = with_bad_file(labelled, tmp_path / "set", "train")
    place = tmp_path / "p.csv"
    told = done("predict", finetuned, tmp_path / "set" / "videos", "--csv", place, "--json")
    found = json.loads(told.out)
    assert len(found) == 15 and str(bad) not in {entry["path"] for entry in found}
    assert f"{bad}: 0 bytes" in told.err
    rows = table_of(place)
    assert list(rows[0]) == ["path", "start", "end", "column", "label", "p"]
    assert [(row["path"], row["label"]) for row in rows] == [
        (entry["path"], entry["labels"][0]["label"]) for entry in found
    ]


def test_predict_reads_standard_input(
    labelled: LabelledSet, finetuned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = labelled.files[0]
    stdin = SimpleNamespace(buffer=io.BytesIO(file.read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    (entry,) = document("predict", finetuned, "-")
    (other,) = document("predict", finetuned, file)
    assert entry == {**other, "path": "-"}


def test_predict_goes_over_a_video_in_windows(labelled: LabelledSet, finetuned: Path) -> None:
    file = labelled.files[0]  # of one second
    found = document("predict", finetuned, file, "--window", "500ms", "--hop", "0.25s")
    assert [(entry["start"], entry["end"]) for entry in found] == [
        (0.0, 0.5),
        (0.25, 0.75),
        (0.5, 1.0),
        (0.75, 1.0),
    ]
    assert "0.2-0.8 s" in done("predict", finetuned, file, "--window", "0.5", "--hop", "0.25").out
    told = everest("predict", finetuned, file, "--hop", "1s")
    assert told.code == 2 and "--window" in told.err


def test_predict_writes_the_video_with_its_labels(
    labelled: LabelledSet, finetuned: Path, tmp_path: Path
) -> None:
    file, out = labelled.files[0], tmp_path / "told.mp4"
    done("predict", finetuned, file, "--annotate", out)
    before, after = video.probe(str(file)), video.probe(str(out))
    assert after.frames == before.frames and after.height > before.height
    for words, said in (
        ((labelled.videos, "--annotate", tmp_path / "x.mp4"), "one video at a time"),
        ((file, "--annotate", tmp_path / "x.gif"), ".mp4"),
        ((file, "--annotate", tmp_path / "no" / "x.mp4"), "no folder"),
        ((file, "--csv", tmp_path / "no" / "x.csv"), "no folder"),
    ):
        told = everest("predict", finetuned, *words)
        assert told.code == 2 and said in told.err, told.err


def test_predict_needs_a_classifier(labelled: LabelledSet, pretrained: Path) -> None:
    told = everest("predict", pretrained, labelled.files[0])
    assert told.code == 2 and f"everest finetune DATA --init {pretrained}" in told.err


# embed


@pytest.mark.parametrize("which", ["pretrained", "finetuned"])
def test_embed_writes_one_vector_a_file(
    which: str, labelled: LabelledSet, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run, out = request.getfixturevalue(which), tmp_path / "e.npz"
    found = document("embed", run, labelled.videos, "-o", out)
    assert (found["out"], found["vectors"], found["bad"]) == (str(out), 16, [])
    with np.load(out) as kept:
        assert kept["vectors"].shape == (16, found["width"])
        assert kept["vectors"].dtype == np.float32 and np.isfinite(kept["vectors"]).all()
        assert kept["paths"].tolist() == [str(path) for path in labelled.files]
        assert kept["starts"].tolist() == [0.0] * 16 and kept["ends"].tolist() == [1.0] * 16
        assert len(np.unique(kept["vectors"], axis=0)) == 16


def test_embed_writes_a_table_of_windows(
    labelled: LabelledSet, pretrained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "e.csv"
    words = [pretrained, *labelled.files[:2], "-o", out, "--window", "0.5s"]
    told = done("embed", *words, "--hop", "0.5s")
    assert "4 vectors of 32 numbers" in told.out
    rows = table_of(out)
    assert list(rows[0])[:4] == ["path", "start", "end", "v0"] and len(rows[0]) == 3 + 32
    assert [(row["start"], row["end"]) for row in rows] == [("0.0", "0.5"), ("0.5", "1.0")] * 2


def test_embed_lists_bad_files_and_refuses_other_endings_before_any_work(
    labelled: LabelledSet, pretrained: Path, tmp_path: Path
) -> None:
    _, bad = with_bad_file(labelled, tmp_path / "set", "train")
    out = tmp_path / "e.npz"
    told = done("embed", pretrained, tmp_path / "set" / "videos", "-o", out, "--json")
    assert json.loads(told.out)["bad"] == [{"path": str(bad), "reason": "0 bytes"}]
    assert f"{bad}: 0 bytes" in told.err
    before = contents(tmp_path)
    for place, said in ((tmp_path / "e.txt", ".npz"), (tmp_path / "no" / "e.npz", "no folder")):
        told = everest("embed", pretrained, labelled.videos, "-o", place)
        assert told.code == 2 and said in told.err and str(place) in told.err
    assert contents(tmp_path) == before


# show


@pytest.mark.parametrize("which", ["pretrained", "finetuned"])
@pytest.mark.parametrize("ending", ["gif", "mp4", "png"])
def test_show_draws_what_the_model_looks_at(
    ending: str,
    which: str,
    labelled: LabelledSet,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    run, out = request.getfixturevalue(which), tmp_path / f"x.{ending}"
    told = done("show", run, labelled.files[0], "-o", out).out
    assert ("sees 3 of 32 tokens and predicts 6" in told) == (which == "pretrained")
    assert ("sees 19 of 32 tokens" in told) == (which == "finetuned")
    if ending == "png":
        from PIL import Image

        with Image.open(out) as picture:
            assert min(picture.size) > 100
    else:
        facts = video.probe(str(out))
        assert facts.frames >= 2 and min(facts.width, facts.height) > 100


def test_show_refuses_what_it_cannot_draw(
    labelled: LabelledSet, pretrained: Path, tmp_path: Path
) -> None:
    file = labelled.files[0]
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    for words, said in (
        ((file, "-o", tmp_path / "x.bmp"), ".gif"),
        ((file, "-o", tmp_path / "no" / "x.gif"), "no folder"),
        ((file, "-o", tmp_path / "x.gif", "--keep", 0.5), "--keep"),
        ((empty, "-o", tmp_path / "x.gif"), str(empty)),
        ((tmp_path / "none.mp4", "-o", tmp_path / "x.gif"), "none.mp4"),
    ):
        told = everest("show", pretrained, *words)
        assert told.code == 2 and said in told.err, told.err
    assert not (tmp_path / "x.gif").exists()


# Names


def test_odd_file_names_survive_from_the_list_to_the_predictions(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    folder = tmp_path / "odd, names"
    folder.mkdir()
    paths = [folder / name for name in ODD_NAMES]
    for source, path in zip(labelled.files, paths, strict=False):
        shutil.copy(source, path)
    table = tmp_path / "list.csv"
    with table.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for number, name in enumerate(ODD_NAMES):
            split = "train" if number < 4 else "test"
            writer.writerow([f"odd, names/{name}", f"class, {number % 2}", split])
    learnt, tuned = tmp_path / "learnt", tmp_path / "tuned"
    done("pretrain", folder, "--out", learnt, "--epochs", 1, *TINY_PRETRAIN)
    data = json.loads((learnt / "data.json").read_text())
    listed = [entry["path"] for entry in [*data["train"], *data["held_out"]]]
    assert sorted(listed) == sorted(map(str, paths)) and data["bad"] == []
    words = ["finetune", table, "--init", learnt, "--out", tuned, "--epochs", 1, *TINY]
    assert done(*words).code == 0
    done("evaluate", tuned, table, "--part", "all")
    rows = table_of(tuned / "predictions.csv")
    assert [row["path"] for row in rows] == [str(path) for path in paths]
    assert {row["weight"] for row in rows} == {"1"}
    assert [row["label"] for row in rows] == [f"class, {number % 2}" for number in range(9)]
    found = document("predict", tuned, folder, "--csv", tmp_path / "p.csv")
    assert sorted(entry["path"] for entry in found) == sorted(map(str, paths))
    assert sorted(row["path"] for row in table_of(tmp_path / "p.csv")) == sorted(map(str, paths))
    told = done("predict", tuned, folder).out
    assert len(told.splitlines()) == len(ODD_NAMES)
    assert "[bold]x.mp4" in told and "two\\nlines.mp4" in told
    done("embed", learnt, folder, "-o", tmp_path / "e.npz")
    with np.load(tmp_path / "e.npz") as kept:
        assert sorted(kept["paths"].tolist()) == sorted(map(str, paths))


def test_an_evaluation_of_which_no_clip_can_be_read_fails(finetuned: Path, tmp_path: Path) -> None:
    table = make_samples(tmp_path, train=4, val=4, test=4, size=32, frames=8)
    for file in (tmp_path / "videos").glob("test-*"):
        damage(file)
    told = everest("evaluate", finetuned, table, "--json")
    assert told.code == 1 and told.out == ""
    assert "none of the 4 clips could be read" in told.err
