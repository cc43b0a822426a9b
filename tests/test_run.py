"""A run folder holds what is promised, and the Python functions say the same as the commands."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import everest as ev
from everest.classify import VideoClassifier
from everest.masked import MaskedVideoAutoencoder
from everest.recipes import RECIPES
from tiny import TINY, LabelledSet, done, everest

FIELDS: dict[str, Any] = {
    "model": "32x2x2",
    "size": 32,
    "patch": 8,
    "frames": 4,
    "stride": 1,
    "short_side": 32,
    "batch_size": 4,
    "workers": 0,
    "device": "cpu",
    "precision": "float32",
}
PRETRAIN_FIELDS = {**FIELDS, "decoder_width": 16, "decoder_depth": 1}
MODEL = Path("weights") / "last" / "model.safetensors"


# The folder


@pytest.mark.parametrize("which", ["pretrained", "finetuned"])
def test_a_run_folder_has_every_file_that_is_promised(
    which: str, request: pytest.FixtureRequest
) -> None:
    run: Path = request.getfixturevalue(which)
    names = {"recipe.json", "command.txt", "env.json", "log.txt", "metrics.jsonl", "data.json"}
    assert names | {"curves.png", "samples", "weights", "state"} <= {
        path.name for path in run.iterdir()
    }
    for export in ("last", "best"):
        folder = run / "weights" / export
        assert {path.name for path in folder.iterdir()} == {"model.safetensors", "config.json"}
    newest = run / "state" / (run / "state" / "last").read_text().strip()
    assert {path.name for path in newest.iterdir()} == {
        "model.safetensors",
        "optimizer.safetensors",
        "loop.json",
        "manifest.json",
    }
    assert not [path for path in run.rglob("*") if path.suffix in (".part", ".pkl", ".pth", ".pt")]


def test_the_recipe_holds_every_choice_and_where_it_came_from(pretrained: Path) -> None:
    recipe = json.loads((pretrained / "recipe.json").read_text())
    assert (recipe["job"], recipe["named"]) == ("pretrain", "small-data")
    assert {name: recipe[name] for name in PRETRAIN_FIELDS} == PRETRAIN_FIELDS
    assert (
        recipe["epochs"] == 2 and recipe["optim"]["lr"] == RECIPES["small-data"].pretrain.optim.lr
    )


def test_the_command_is_kept_as_it_was_typed(pretrained: Path, labelled: LabelledSet) -> None:
    import shlex

    words = shlex.split((pretrained / "command.txt").read_text())
    assert words[:3] == ["everest", "pretrain", str(labelled.table)]
    assert words[words.index("--epochs") + 1] == "2"


def test_the_metrics_have_a_line_an_epoch_and_no_clock(pretrained: Path, finetuned: Path) -> None:
    for run in (pretrained, finetuned):
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert {line["kind"] for line in lines} <= {"step", "epoch", "eval"}
        epochs = [line for line in lines if line["kind"] == "epoch"]
        assert [line["epoch"] for line in epochs] == [1, 2]
        assert all({"step", "epoch", "loss", "lr"} <= set(line) for line in epochs)
        assert not {"seconds", "clips_per_second", "time"} & {
            name for line in lines for name in line
        }
        clocks = [json.loads(line) for line in (run / "timings.jsonl").read_text().splitlines()]
        assert [line["epoch"] for line in clocks] == [1, 2]
        assert all(line["clips_per_second"] > 0 for line in clocks)


def test_the_clips_of_a_run_are_listed_with_those_held_out(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    ev.pretrain(labelled.videos, out=tmp_path / "run", epochs=1, quiet=True, **PRETRAIN_FIELDS)
    data = json.loads((tmp_path / "run" / "data.json").read_text())
    train, held = ([entry["path"] for entry in data[part]] for part in ("train", "held_out"))
    assert len(held) == 1 and sorted(train + held) == sorted(map(str, labelled.files))
    assert data["bad"] == []


def test_a_classifier_keeps_the_names_of_its_classes(finetuned: Path) -> None:
    run = ev.load(finetuned)
    assert run.config.classes == {"label": ("down", "left", "right", "up")}
    assert run.kind == "classifier" and isinstance(run.model, VideoClassifier)


# Python


def test_python_and_the_command_line_train_the_same_models(
    labelled: LabelledSet, pretrained: Path, finetuned: Path, tmp_path: Path
) -> None:
    fields = {**PRETRAIN_FIELDS, "epochs": 2}
    first = ev.pretrain(labelled.table, out=tmp_path / "a", quiet=True, **fields)
    assert isinstance(first, ev.Run) and first.source == str(tmp_path / "a")
    assert isinstance(first.model, MaskedVideoAutoencoder)
    assert (tmp_path / "a" / MODEL).read_bytes() == (pretrained / MODEL).read_bytes()
    fields = {**FIELDS, "epochs": 2}
    ev.finetune(labelled.table, init=first, out=tmp_path / "b", quiet=True, **fields)
    assert (tmp_path / "b" / MODEL).read_bytes() == (finetuned / MODEL).read_bytes()
    assert first.metrics == ev.load(pretrained).metrics
    assert first.bad == []


def test_a_misspelt_field_is_refused_with_the_nearest_name(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"epoch: .* no such field; did you mean epochs"):
        ev.pretrain(labelled.videos, out=tmp_path / "run", epoch=3, **PRETRAIN_FIELDS)
    with pytest.raises(ValueError, match=r"did you mean .*optim__lr"):
        ev.finetune(labelled.table, out=tmp_path / "run", optim__l=3, **FIELDS)
    assert not (tmp_path / "run").exists()


def test_predict_gives_every_label_likeliest_first(labelled: LabelledSet, finetuned: Path) -> None:
    file = labelled.files[0]
    found = ev.load(finetuned).predict(str(file))
    assert {label for label, _ in found} == {"up", "down", "left", "right"}
    shares = [p for _, p in found]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1, abs=1e-5)
    told = json.loads(done("predict", finetuned, file, "--top", 4, "--json").out)
    assert [(entry["label"], entry["p"]) for entry in told[0]["labels"]] == found
    assert ev.load(finetuned).predict(file) == found


def test_predict_averages_windows(labelled: LabelledSet, finetuned: Path) -> None:
    run, file = ev.load(finetuned), str(labelled.files[0])
    guesses, _ = run.guesses(file, window="0.5s")
    assert len(guesses) == 2
    shares = [dict(guess.labels["label"]) for guess in guesses]
    mean = {label: (shares[0][label] + shares[1][label]) / 2 for label in shares[0]}
    assert dict(run.predict(file, window=0.5)) == pytest.approx(mean)


def test_predict_names_the_file_that_it_cannot_read(
    labelled: LabelledSet, finetuned: Path, tmp_path: Path
) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(labelled.files[0].read_bytes()[:900])
    with pytest.raises(ValueError, match=str(path)):
        ev.load(finetuned).predict(str(path))


@pytest.mark.parametrize("kind", ["path", "string", "list", "folder"])
def test_embed_takes_a_path_a_list_or_a_folder(
    kind: str, labelled: LabelledSet, pretrained: Path
) -> None:
    sources: dict[str, Any] = {
        "path": labelled.files[0],
        "string": str(labelled.files[0]),
        "list": [labelled.files[0], str(labelled.files[1])],
        "folder": labelled.videos,
    }
    count = {"path": 1, "string": 1, "list": 2, "folder": 16}[kind]
    found = ev.load(pretrained).embed(sources[kind])
    assert isinstance(found, ev.Embeddings)
    assert found.vectors.shape == (count, 32) and found.vectors.dtype == np.float32
    assert found.paths == [str(path) for path in labelled.files[:count]]
    assert len(found.starts) == len(found.ends) == count and found.bad == []


def test_an_embedding_is_that_of_the_video_whatever_lies_beside_it(
    labelled: LabelledSet, pretrained: Path
) -> None:
    run = ev.load(pretrained)
    together = run.embed(labelled.videos, window="0.5s").vectors
    alone = run.embed(labelled.files[3], window="0.5s").vectors
    np.testing.assert_allclose(alone, together[6:8], atol=1e-5)


def test_windows_of_a_video_have_their_own_vectors_and_times(
    labelled: LabelledSet, pretrained: Path
) -> None:
    found = ev.load(pretrained).embed(labelled.files[0], window="500ms", hop=0.25)
    assert found.starts.tolist() == [0.0, 0.25, 0.5, 0.75]
    assert found.ends.tolist() == [0.5, 0.75, 1.0, 1.0]
    assert len(np.unique(found.vectors[:3], axis=0)) == 3


def test_embed_lists_files_that_it_could_not_read(
    labelled: LabelledSet, pretrained: Path, tmp_path: Path
) -> None:
    shutil.copytree(labelled.videos, tmp_path / "videos")
    bad = tmp_path / "videos" / "bad.mp4"
    bad.write_text("no film")
    found = ev.load(pretrained).embed(tmp_path / "videos")
    assert len(found.vectors) == 16 and [entry["path"] for entry in found.bad] == [str(bad)]
    assert str(bad) not in found.bad[0]["reason"]


def test_the_tokens_that_embed_reads_are_a_choice(labelled: LabelledSet, pretrained: Path) -> None:
    file = labelled.files[0]
    few, usual, most = (
        ev.load(pretrained).embed(file, keep=keep).vectors for keep in (0.3, None, 1.0)
    )
    same = ev.load(pretrained).embed(file, keep=0.6).vectors
    assert np.array_equal(usual, same)
    assert not np.allclose(few, usual) and not np.allclose(most, usual)
    with pytest.raises(ValueError, match="keep 33"):
        ev.load(pretrained).embed(file, keep=33)


# What can be loaded


def test_an_export_alone_is_enough(labelled: LabelledSet, finetuned: Path, tmp_path: Path) -> None:
    shutil.copytree(finetuned / "weights" / "best", tmp_path / "export")
    file = labelled.files[0]
    export, run = ev.load(tmp_path / "export"), ev.load(finetuned)
    assert export.predict(file) == run.predict(file)
    assert export.metrics == [] and export.bad == [] and export.folder is None
    model = ev.from_pretrained(tmp_path / "export")
    wanted = run.model.state_dict()
    assert all(value.equal(wanted[name]) for name, value in model.state_dict().items())
    assert not model.training


def test_a_model_saved_by_hand_comes_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ev.create_model("32x2x2", classes=3, frames=4, size=32, patch=8, keep=0.5)
    model.save_pretrained(tmp_path / "m")
    again = ev.load(tmp_path / "m")
    assert again.config == model.config
    wanted = model.state_dict()
    assert all(value.equal(wanted[name]) for name, value in again.model.state_dict().items())


def test_the_best_classifier_is_loaded_and_the_last_autoencoder(
    labelled: LabelledSet, pretrained: Path, finetuned: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    for run, export in ((pretrained, "last"), (finetuned, "best")):
        copy = tmp_path / export
        shutil.copytree(run, copy)
        other = copy / "weights" / ({"last": "best", "best": "last"}[export])
        shutil.rmtree(other)
        found = ev.load(run).model.state_dict()
        wanted = load_file(run / "weights" / export / "model.safetensors")
        assert all(value.equal(found[name]) for name, value in wanted.items())
        ev.load(copy)


def test_load_names_what_it_found_instead_of_a_model(
    labelled: LabelledSet, pretrained: Path, tmp_path: Path
) -> None:
    shutil.copytree(pretrained / "weights" / "last", tmp_path / "cut")
    file = tmp_path / "cut" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    shutil.copytree(pretrained / "weights" / "last", tmp_path / "other")
    (tmp_path / "other" / "config.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    for name in ("cut", "other", "empty", "missing"):
        with pytest.raises(ValueError, match=str(tmp_path / name)):
            ev.load(tmp_path / name)
        for words in (
            ("predict", tmp_path / name, labelled.files[0]),
            ("finetune", labelled.table, "--init", tmp_path / name, "--out", tmp_path / "out"),
        ):
            told = everest(*words)
            assert told.code == 2 and str(tmp_path / name) in told.err, told.err
            assert "Traceback" not in told.err and not (tmp_path / "out").exists()
    assert ev.load(ev.load(pretrained)).kind == "autoencoder"


def test_a_fine_tuning_starts_from_what_was_learnt(
    labelled: LabelledSet, pretrained: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    words = ["finetune", labelled.table, "--out", tmp_path / "b", "--epochs", 1, *TINY]
    done(*words, "--init", pretrained, "--optim.lr", 0, "--optim.min-lr", 0)
    before, after = (load_file(run / MODEL) for run in (pretrained, tmp_path / "b"))
    shared = [name for name in before if name.startswith("encoder.")]
    assert len(shared) > 20
    assert [
        name
        for name in shared
        if not before[name].equal(after[name.replace("encoder.", "reader.", 1)])
    ] == []


def test_embedding_leaves_the_model_as_it_was(labelled: LabelledSet, pretrained: Path) -> None:
    run = ev.load(pretrained)
    before = run.model.select.counts(run.grid)
    run.embed(labelled.files[0])
    assert run.model.select.counts(run.grid) == before
    run.keep(0.5)
    run.keep(None)
    assert run.model.select.counts(run.grid) == before
