"""`everest convert`, `hf:ID`, and starting a run from other people's weights."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

import everest as ev
import theirs
from everest import api
from everest.config import ModelConfig
from everest.convert import WeightsError, hub
from everest.convert.hub import fetch, place_of
from everest.convert.stretch import stretched
from everest.run import load
from everest.starting import read_start
from theirs import CONTAINERS, FRAMES, GRID, SIZE, WIDTH, Code, Tensors, saved
from tiny import LabelledSet, contents, done, everest

ONE_EPOCH = (
    "--epochs 1 --batch-size 4 --workers 0 --device cpu --precision float32 --stride 1"
).split()


def file_of(kind: str, folder: Path) -> Path:
    return CONTAINERS["pth"](theirs.FAMILIES[kind][0](), folder)


def config_in(folder: Path) -> ModelConfig:
    return ModelConfig.from_json(json.loads((folder / "config.json").read_text()))


def equal(first: Tensors, second: Tensors) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


# The command


def test_without_a_place_only_the_report_is_made(tmp_path: Path) -> None:
    path = file_of("mvd pretrain", tmp_path)
    told = done("convert", path).out
    for line in read_start(str(path)).lines:
        assert line in told
    assert list(tmp_path.iterdir()) == [path]


def test_the_document_has_the_whole_report(tmp_path: Path) -> None:
    path, out = file_of("videomae finetune", tmp_path), tmp_path / "out"
    told = done("convert", path, "-o", out, "--json", "--family", "mvd-finetune")
    document = json.loads(told.out)
    assert next(iter(document)) == "schema"
    assert document["family"] == document["report"]["family"] == "mvd-finetune"
    assert document["report"]["positions"] == "sincos3d"
    assert (document["out"], document["to"]) == (str(out), "everest")
    assert len(document["report"]["renamed"]) + len(document["report"]["matched"]) == len(
        theirs.videomae_finetune()
    )
    assert "mvd-finetune, a classifier" in told.err
    assert config_in(out).vit.positions == "sincos3d"


@pytest.mark.parametrize("kind", theirs.FAMILIES)
def test_an_export_of_their_file_is_a_run(kind: str, tmp_path: Path) -> None:
    path, out = file_of(kind, tmp_path / "file"), tmp_path / "out"
    done("convert", path, "-o", out)
    first = read_start(str(path))
    assert equal(load_file(out / "model.safetensors"), first.tensors)
    assert config_in(out) == first.config
    assert load(out).config == first.config
    assert equal(read_start(str(out)).tensors, first.tensors)


@pytest.mark.parametrize("kind", ["videomae pretrain", "videomae finetune", "mme pretrain"])
@pytest.mark.parametrize("ending", ["a.pth", "a.safetensors", "folder"])
def test_the_released_names_come_back_exactly(kind: str, ending: str, tmp_path: Path) -> None:
    path, out = file_of(kind, tmp_path / "file"), tmp_path / "export"
    done("convert", path, "-o", out)
    done("convert", out, "-o", tmp_path / ending, "--to", "videomae")
    file = tmp_path / ending
    if file.is_dir():
        file = file / "checkpoint.pth"
    if file.suffix == ".pth":
        content = torch.load(file, weights_only=True)["model"]
    else:
        content = load_file(file)
    assert equal(content, theirs.FAMILIES[kind][0]())


def test_mvd_comes_back_with_its_tables(tmp_path: Path) -> None:
    path, out = file_of("mvd pretrain", tmp_path / "file"), tmp_path / "back.pth"
    done("convert", path, "-o", out, "--to", "videomae")
    assert equal(torch.load(out, weights_only=True)["model"], theirs.mvd_pretrain())


def test_positions_that_a_file_cannot_tell_are_spoken_of(tmp_path: Path) -> None:
    path = file_of("videomae finetune", tmp_path / "file")
    out = tmp_path / "a.pth"
    told = done("convert", path, "-o", out, "--to", "videomae", "--family", "mvd-finetune").out
    assert "read it with --family mvd-finetune" in told
    assert equal(torch.load(out, weights_only=True)["model"], theirs.videomae_finetune())


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("st-mae finetune", "a table of positions or a class token"),
        ("first token", "decoders that predict nothing"),
    ],
)
def test_what_released_files_have_no_place_for_is_refused(
    kind: str, told: str, tmp_path: Path
) -> None:
    path = file_of(kind, tmp_path / "file")
    refused = everest("convert", path, "-o", tmp_path / "a.pth", "--to", "videomae")
    assert refused.code == 2 and told in refused.err
    assert not (tmp_path / "a.pth").exists()


def test_a_model_that_lacks_a_part_is_written_as_an_export_alone(tmp_path: Path) -> None:
    tensors = theirs.videomae_finetune()
    del tensors["blocks.1.norm2.bias"]
    path = saved({"model": tensors, "args": theirs.ARGUMENTS}, tmp_path / "a.pth")
    assert everest("convert", path).code == 2
    told = done("convert", path, "-o", tmp_path / "out", "--allow-missing").out
    assert "1 missing tensors start anew" in told
    for form in ("videomae", "hf"):
        out = tmp_path / form
        refused = everest("convert", path, "-o", out, "--to", form, "--allow-missing")
        assert refused.code == 2 and "writes whole models alone" in refused.err
        assert not out.exists()


def test_a_place_that_is_taken_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    path, out = file_of("videomae finetune", tmp_path / "file"), tmp_path / "out"
    done("convert", path, "-o", out, "--to", "hf")
    before = contents(out)
    refused = everest("convert", "none.pth", "-o", out)
    assert refused.code == 2 and "is there already" in refused.err
    assert contents(out) == before
    done("convert", path, "-o", out, "--overwrite")
    assert sorted(contents(out)) == ["config.json", "model.safetensors"]


def test_a_folder_with_other_things_is_never_replaced(tmp_path: Path) -> None:
    path, out = file_of("videomae finetune", tmp_path / "file"), tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    refused = everest("convert", path, "-o", out, "--overwrite")
    assert refused.code == 2 and "thesis.tex" in refused.err
    assert list(contents(out)) == ["thesis.tex"]
    refused = everest("convert", out / "thesis.tex", "-o", out / "thesis.tex", "--overwrite")
    assert refused.code == 2
    assert (out / "thesis.tex").read_text() == "years of work"


def test_code_in_a_file_is_refused_by_the_command(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    path = saved({"model": theirs.videomae_finetune(), "a": Code(canary)}, tmp_path / "a.pth")
    refused = everest("convert", path, "-o", tmp_path / "out")
    assert refused.code == 2 and "nothing in it was run" in refused.err
    assert not canary.exists() and not (tmp_path / "out").exists()


def test_the_package_tells_its_own_folders(pretrained: Path, tmp_path: Path) -> None:
    for source in (pretrained, pretrained / "weights/last", pretrained / "weights/best"):
        assert "this package's own autoencoder 32x2x2" in done("convert", source).out
    refused = everest("convert", pretrained, "--family", "mvd-pretrain")
    assert refused.code == 2 and "says what it is" in refused.err


def test_its_own_file_is_read_with_its_config_and_without(pretrained: Path, tmp_path: Path) -> None:
    file = pretrained / "weights/last/model.safetensors"
    first = read_start(str(pretrained))
    assert read_start(str(file)).config == first.config
    bare = tmp_path / "bare.safetensors"
    bare.write_bytes(file.read_bytes())
    found = read_start(str(bare))
    assert found.family == "everest-autoencoder"
    assert equal(found.tensors, first.tensors)


# Starting a run


@pytest.fixture
def table(labelled: LabelledSet) -> Path:
    return labelled.table


def test_fine_tuning_starts_from_anybodys_encoder(table: Path, tmp_path: Path) -> None:
    for kind, positions in (("mvd pretrain", "sincos3d"), ("st-mae pretrain", "table")):
        file, out = file_of(kind, tmp_path / kind), tmp_path / f"{kind} run"
        told = done("finetune", table, "--init", file, "--out", out, *ONE_EPOCH, "--keep", 0.6).out
        assert f"starts from {file}" in told
        config = config_in(out / "weights/last")
        assert config.vit.positions == positions
        assert config.vit.class_token == (positions == "table")
        assert config.vit.mean == read_start(str(file)).config.vit.mean
        assert (config.clip.frames, config.clip.size) == (FRAMES, (SIZE, SIZE))
        assert load(out).config == config


def test_a_stored_table_is_interpolated_for_another_clip_and_that_is_said(
    table: Path, tmp_path: Path
) -> None:
    file, out = file_of("st-mae pretrain", tmp_path), tmp_path / "run"
    command = ("finetune", table, "--init", file, "--out", out, *ONE_EPOCH)
    told = done(*command, "--frames", 6, "--size", 48, "--stop-after", 1, "--optim.lr", 0).out
    assert "its table of positions is interpolated from 2x4x4 to 3x6x6 tokens" in told
    assert config_in(out / "weights/last").vit.table == (3, 6, 6)
    own = load_file(out / "weights/last/model.safetensors")["reader.position_table"]
    first = read_start(str(file)).tensors["encoder.position_table"]
    torch.testing.assert_close(own, stretched(first, GRID, (3, 6, 6)), atol=1e-6, rtol=0)


@pytest.mark.slow
def test_a_run_that_goes_on_keeps_the_pixels_of_its_start(table: Path, tmp_path: Path) -> None:
    file, out = file_of("st-mae pretrain", tmp_path), tmp_path / "run"
    words = ("finetune", table, "--out", out, *ONE_EPOCH)
    done(*words, "--init", file, "--epochs", 2, "--stop-after", 1)
    done("finetune", table, "--out", out, "--recipe", out / "recipe.json", "--resume")
    assert config_in(out / "weights/last").vit.mean == (0.45, 0.45, 0.45)


@pytest.mark.slow
def test_a_pre_training_needs_a_decoder_or_leave_to_start_one(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    file, out = file_of("st-mae finetune", tmp_path), tmp_path / "run"
    command = ("pretrain", labelled.videos, "--init", file, "--out", out, *ONE_EPOCH)
    refused = everest(*command)
    assert refused.code == 2 and "--allow-missing" in refused.err
    told = done(*command, "--allow-missing", "--decoder-depth", 1).out
    assert "started anew: " in told and "decoders.0" in told
    run = ev.pretrain(
        str(labelled.videos),
        out=tmp_path / "other",
        init=file,
        allow_missing=True,
        quiet=True,
        epochs=1,
        batch_size=4,
        stride=1,
        decoder_depth=1,
        device="cpu",
        workers=0,
    )
    assert run.config.vit.table == GRID


def test_a_loaded_run_starts_as_the_family_it_was_told_to_be(tmp_path: Path) -> None:
    file = file_of("videomae finetune", tmp_path)
    assert api.settled_family(load(file, family="mvd-finetune")) == "mvd-finetune"
    assert api.settled_family(load(file)) is None
    assert api.settled_family(str(file)) is None


@pytest.mark.slow
def test_the_family_of_a_start_can_be_named(table: Path, tmp_path: Path) -> None:
    file, out = file_of("videomae finetune", tmp_path), tmp_path / "run"
    words = ("finetune", table, "--init", file, "--out", out, *ONE_EPOCH)
    told = done(*words, "--family", "mvd-finetune").out
    assert "its head has other classes: a new head is started" in told
    assert config_in(out / "weights/last").vit.positions == "sincos3d"
    assert "(assumed: the file cannot tell" in done(*words, "--overwrite").out
    assert config_in(out / "weights/last").vit.positions == "sinusoid"


def test_other_peoples_weights_embed_and_predict(labelled: LabelledSet, tmp_path: Path) -> None:
    video = str(labelled.files[0])
    for kind in ("image mae", "st-mae pretrain", "mvd pretrain"):
        found = load(file_of(kind, tmp_path / kind)).embed(video)
        assert found.vectors.shape == (1, WIDTH) and np.isfinite(found.vectors).all()
    run = load(file_of("videomae finetune", tmp_path), family="mvd-finetune")
    assert run.key_report is not None and run.config.vit.positions == "sincos3d"
    assert {label for label, _ in run.predict(video)} == {"0", "1", "2", "3", "4"}


@pytest.mark.parametrize("command", ["embed", "predict", "show"])
def test_every_command_tells_how_weights_were_read(
    command: str, labelled: LabelledSet, pretrained: Path, tmp_path: Path
) -> None:
    out = {"embed": ("-o", tmp_path / "e.npz"), "show": ("-o", tmp_path / "x.png"), "predict": ()}
    file = file_of("st-mae finetune", tmp_path)
    told = done(command, file, labelled.files[0], *out[command])
    assert f"{file}: st-mae-finetune, a classifier" in told.out + told.err
    if command == "predict":
        assert "st-mae-finetune" not in told.out  # which has the predictions alone
    else:
        told = done(command, pretrained, labelled.files[0], *out[command])
        assert "tensors matched" not in told.out + told.err


# Tables on other grids


def test_a_table_on_its_own_grid_stays() -> None:
    table = torch.randn(24, 5)
    torch.testing.assert_close(stretched(table, (2, 3, 4), (2, 3, 4)), table)


def test_a_table_that_rises_evenly_rises_evenly_between_its_ends() -> None:
    t, h, w = 4, 4, 4
    places = torch.stack(torch.meshgrid(*map(torch.arange, (t, h, w)), indexing="ij"), dim=-1)
    finer = stretched(places.flatten(0, 2).float(), (t, h, w), (8, 8, 8)).unflatten(0, (8, 8, 8))
    wanted = (torch.arange(8) - 0.5) / 2  # between the centres of tokens
    inner = slice(1, 7)
    for axis in range(3):
        values = finer.movedim(axis, 0)[inner, 3, 3, axis]
        torch.testing.assert_close(values, wanted[inner])


@given(st.tuples(*[st.integers(1, 5)] * 3), st.tuples(*[st.integers(1, 6)] * 3))
@settings(max_examples=50, deadline=None)
def test_a_constant_table_stays_constant(
    grid: tuple[int, int, int], wanted: tuple[int, int, int]
) -> None:
    out = stretched(torch.full((int(np.prod(grid)), 3), 2.5), grid, wanted)
    assert out.shape == (int(np.prod(wanted)), 3)
    torch.testing.assert_close(out, torch.full_like(out, 2.5))


# The hub


class Hub:
    """Stands for the hub: repositories that are folders."""

    def __init__(self, repos: dict[str, Path], before: bool = False) -> None:
        self.repos = repos
        self.before = before  # whether an earlier download is there
        self.asked: list[list[str] | None] = []
        self.reachable = True
        self.uploaded: list[tuple[str, str]] = []

    def model_info(self, repo: str, revision: str | None = None) -> SimpleNamespace:
        if not self.reachable:
            raise OSError("Name or service not known")
        files = [
            str(path.relative_to(self.repos[repo]))
            for path in sorted(self.repos[repo].rglob("*"))
            if path.is_file()
        ]
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in files])

    def snapshot_download(
        self,
        repo: str,
        revision: str | None = None,
        allow_patterns: list[str] | None = None,
        local_files_only: bool = False,
    ) -> str:
        if local_files_only and not self.before:
            raise OSError("nothing here")
        self.asked.append(allow_patterns)
        return str(self.repos[repo])

    def create_repo(self, repo: str, private: bool, exist_ok: bool) -> None:
        assert private and exist_ok

    def upload_folder(self, folder_path: str, repo_id: str) -> None:
        self.uploaded.append((folder_path, repo_id))


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    out = tmp_path / "repo"
    done("convert", file_of("videomae finetune", tmp_path / "file"), "-o", out, "--to", "hf")
    (out / "pytorch_model.bin").write_bytes(b"not to be read")
    (out / "README.md").write_text("a model card")
    made = Hub({"lab/model": out})
    for name in ("model_info", "snapshot_download", "create_repo", "upload_folder"):
        monkeypatch.setattr(huggingface_hub, name, getattr(made, name))
    return made


def test_a_repository_of_the_hub_is_a_run(stand_in: Hub) -> None:
    found = read_start("hf:lab/model")
    assert found.source == "hf:lab/model" and found.kind == "classifier"
    assert stand_in.asked == [["config.json", "preprocessor_config.json", "model.safetensors"]]
    assert load("hf:lab/model").source == "hf:lab/model"
    assert "hf:lab/model: hf-videomae-finetune-v4" in done("convert", "hf:lab/model").out


def test_a_file_of_a_repository_is_a_run(stand_in: Hub, tmp_path: Path) -> None:
    file_of("videomae pretrain", stand_in.repos["lab/model"] / "released")
    found = read_start("hf:lab/model/released/a.pth@v1")
    assert found.family == "videomae-pretrain"
    assert stand_in.asked == [["released/a.pth"]]
    with pytest.raises(WeightsError, match=r"the repository has no other\.pth"):
        read_start("hf:lab/model/other.pth")


def test_an_export_of_ours_on_the_hub_is_ours(stand_in: Hub, pretrained: Path) -> None:
    stand_in.repos["lab/own"] = pretrained / "weights/last"
    assert read_start("hf:lab/own").family == "everest"


def test_a_repository_without_a_usual_file_says_which_there_are(
    stand_in: Hub, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    stand_in.repos["lab/many"] = folder
    folder.mkdir()
    with pytest.raises(WeightsError, match="the repository has no weights"):
        fetch("hf:lab/many")
    file_of("videomae pretrain", folder / "distill")
    with pytest.raises(WeightsError, match=r"such as hf:lab/many/distill/a\.pth"):
        fetch("hf:lab/many")


def test_without_a_network_an_earlier_download_is_used_or_a_sentence_said(stand_in: Hub) -> None:
    stand_in.reachable = False
    with pytest.raises(WeightsError, match=r"hf:lab/model: cannot be downloaded \(Name or serv"):
        fetch("hf:lab/model")
    told = everest("embed", "hf:lab/model", "a.mp4", "-o", "e.npz")
    assert told.code == 2 and "cannot be downloaded" in told.err
    stand_in.before = True
    assert fetch("hf:lab/model") == stand_in.repos["lab/model"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("RepositoryNotFoundError", "no such repository, or a private one"),
        ("GatedRepoError", "lets only some accounts read it"),
        ("RevisionNotFoundError", "no such revision"),
        ("OfflineModeIsEnabled", "HF_HUB_OFFLINE is set"),
    ],
)
def test_what_the_hub_refuses_is_said_in_a_sentence(
    error: str, told: str, stand_in: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = getattr(huggingface_hub.errors, error)

    def refuse(*_: Any, **__: Any) -> None:
        raise kind.__new__(kind)

    monkeypatch.setattr(huggingface_hub, "model_info", refuse)
    with pytest.raises(WeightsError, match=f"hf:lab/model: .*{told}"):
        fetch("hf:lab/model")


@pytest.mark.parametrize("source", ["hf:", "hf:name", "hf:/a/b", "hf:a/../b", "hf:@main"])
def test_a_name_that_is_no_repository_is_refused(source: str) -> None:
    with pytest.raises(WeightsError, match="give hf:OWNER/NAME"):
        place_of(source)


def test_the_parts_of_a_name() -> None:
    assert place_of("hf:a/b") == ("a/b", None, None)
    assert place_of("hf:a/b@main") == ("a/b", "main", None)
    assert place_of("hf:a/b/c/d.pth@refs/pr/1") == ("a/b", "refs/pr/1", "c/d.pth")


def test_without_the_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(WeightsError, match=r"pip install 'everest-video\[hf\]'"):
        fetch("hf:a/b")


def test_a_folder_goes_to_the_hub(stand_in: Hub, tmp_path: Path) -> None:
    folder = stand_in.repos["lab/model"]
    assert ev.push_to_hub(folder, "me/mine") == "https://huggingface.co/me/mine"
    assert stand_in.uploaded == [(str(folder), "me/mine")]
    with pytest.raises(WeightsError, match=r"give a folder with model\.safetensors"):
        ev.push_to_hub(tmp_path, "me/mine")
    assert len(stand_in.uploaded) == 1


def test_an_upload_that_fails_is_said_in_a_sentence(
    stand_in: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        raise OSError("quota")

    monkeypatch.setattr(huggingface_hub, "upload_folder", refuse)
    with pytest.raises(WeightsError, match=r"hf:me/mine: cannot be uploaded to \(quota\)"):
        hub.push_to_hub(stand_in.repos["lab/model"], "me/mine")
