"""This file decides what is promised of exports: the same answers, whatever runs them."""

import dataclasses
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from everest import create_model, load
from everest.build import build
from everest.config import BackboneSpec
from everest.configuring import configure
from everest.convert.agree import Disagreement
from everest.data import together_of
from everest.exporting import external, making, script, trying, writing
from everest.exporting.agreeing import agreement
from everest.exporting.external import ForeignData
from everest.exporting.making import about_of, program_of, write_onnx
from everest.exporting.module import Exported, refuse_model, shape_of
from everest.exporting.opening import open_onnx, open_program
from everest.exporting.trying import several
from everest.recipe import FinetuneRecipe
from filming import write_film
from textures import noise
from tiny import contents, done, everest

SMALL_BLOCKS = {"width": 24, "depth": 2, "heads": 2}
TINY: dict[str, dict[str, object]] = {  # name -> fields of its config
    "timesformer": SMALL_BLOCKS,
    "motionformer": SMALL_BLOCKS,
    "xvit": SMALL_BLOCKS,
    "vivit-fe-b": {**SMALL_BLOCKS, "temporal_depth": 1},
    "mvit-s": {"width": 16, "depth": 3, "stages": (1,)},
}
SMALL = {"frames": 4, "size": 32, "patch": 8, "stride": 1}


def moving(frames: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """(T, H, W, 3) uint8: a square of noise that moves over noise, no two scores alike."""
    ground = noise(height, width, 3, seed=seed).numpy() // 4 + 90
    square = noise(12, 12, 3, seed=seed + 1).numpy()
    film = np.repeat(ground[None], frames, axis=0)
    for number in range(frames):
        left, top = (3 * number + 5 * seed) % (width - 12), (2 * number + 7 * seed) % (height - 12)
        film[number, top : top + 12, left : left + 12] = square
    return film


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames of 64x48."""
    return write_film(tmp_path_factory.mktemp("film") / "a film.mp4", moving(20, 48, 64))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that chooses 2 of 3 frame pairs, and 19 of their 32 tokens."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("export") / "model"
    model = create_model("32x2x2", classes=3, frame_select=True, keep=0.6, head_scale=1.0, **SMALL)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def onnx_file(source: Path, video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("onnx") / "model.onnx"
    told = done("export", source, "-o", file, "--dynamic-batch", "--clip", video, "--json")
    document = json.loads(told.out)
    assert [part["clips"] for part in document["agreements"]] == [1, 3]
    assert document["inputs"] == {"video": ["batch", 3, 6, 32, 32]}
    return file


def clips(model: Path, count: int) -> torch.Tensor:
    """Clips in which squares move, each another way."""
    _, frames, height, width = shape_of(load(model).config)
    stacked = np.stack([moving(frames, height, width, seed=seed) for seed in range(count)])
    return torch.from_numpy(stacked).permute(0, 4, 1, 2, 3).contiguous()


@pytest.mark.parametrize("count", [1, 3])
def test_an_onnx_file_reads_the_same_frames_and_tokens_as_the_model(
    onnx_file: Path, source: Path, count: int
) -> None:
    video, module = clips(source, count), Exported(load(source).model)
    theirs, ours = open_onnx(onnx_file)(video.numpy()), module.answer(video)
    assert np.array_equal(theirs["steps"], ours["steps"].numpy())
    assert np.array_equal(theirs["visible"], ours["visible"].numpy())
    assert np.abs(theirs["logits.label"] - ours["logits.label"].numpy()).max() < 1e-5


def test_a_still_clip_is_cut_among_equal_scores_as_the_model_cuts_it(
    onnx_file: Path, source: Path
) -> None:
    video = clips(source, 1)[:, :, :1].expand(-1, -1, 6, -1, -1).contiguous()
    theirs = open_onnx(onnx_file)(video.numpy())
    found = agreement(Exported(load(source).model), video, theirs)
    assert (found.tokens, found.steps) == (0, 0)


def ran(file: Path, video: Path) -> str:
    """What the script beside an export prints of a video."""
    command = [sys.executable, str(file.with_name(script.script_name(file.name))), str(video)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def test_the_script_beside_it_says_what_the_model_says(
    onnx_file: Path, source: Path, video: Path
) -> None:
    run = load(source)
    logits = Exported(run.model).answer(trying.read(run, str(video)))["logits.label"][0]
    shares = logits.softmax(dim=0)
    told = [
        f"label: {place} {shares[place]:.4f}" for place in shares.argsort(descending=True).tolist()
    ]
    assert ran(onnx_file, video).splitlines() == told
    text = onnx_file.with_name("run_model_onnx.py").read_text()
    assert "everest." not in text.replace("everest.json", "") and len(text.splitlines()) < 40


def seen_by_the_script(text: str, about: dict[str, object], video: Path) -> np.ndarray:
    """(1, C, T, H, W): the clip that a script asks a model about, which answers with nothing."""
    asked = []

    class Session:
        def __init__(self, path: Path) -> None:
            metadata = {"everest": json.dumps({**about, "classes": {}, "outputs": []})}
            self.get_modelmeta = lambda: SimpleNamespace(custom_metadata_map=metadata)

        def run(self, names: list[str], given: dict[str, np.ndarray]) -> list[np.ndarray]:
            asked.append(given["video"])
            return []

    with pytest.MonkeyPatch.context() as patch:
        fake = SimpleNamespace(InferenceSession=Session)
        patch.setitem(sys.modules, "onnxruntime", fake)  # type: ignore[arg-type]
        patch.setattr(sys, "argv", ["script", str(video)])
        exec(compile(text, "script", "exec"), {"__file__": "script"})
    return asked[0]


@pytest.mark.parametrize(
    ("clip", "length", "exact"),
    [
        ({"size": (32, 32), "stride": 2}, 20, True),
        ({"size": (32, 32), "short_side": 40}, 3, True),
        ({"size": (32, 48), "fps": 10}, 20, False),
        ({"size": (48, 32), "short_side": 40}, 20, False),
        ({"size": (32, 32), "fit": "pad"}, 20, False),
        ({"size": (32, 32), "sampling": "segments"}, 20, True),
        ({"size": (32, 32), "sampling": "segments", "stride": 3}, 5, True),
    ],
)
@pytest.mark.parametrize("rotation", [None, 90])
def test_the_script_reads_the_clip_that_evaluation_reads(
    source: Path,
    tmp_path: Path,
    clip: dict[str, Any],
    length: int,
    exact: bool,
    rotation: int | None,
) -> None:
    down, across = np.mgrid[0:48, 0:64]
    smooth = [
        np.stack([3 * across + number, 4 * down + 2 * number, across + down], axis=2)
        for number in range(length)
    ]
    film = write_film(tmp_path / "x.mp4", [p.astype(np.uint8) for p in smooth], rotation=rotation)
    run = load(source)
    changed = dataclasses.replace(run.config.clip, **{"stride": 1, "short_side": None, **clip})
    run.config = dataclasses.replace(run.config, clip=changed)
    module = Exported(run.model)
    text = script.script_of(run.config, "m.onnx", together_of(run.config))
    theirs = seen_by_the_script(text, about_of(run.config, module), film)
    ours = trying.read(run, str(film)).numpy()
    assert theirs.shape == ours.shape
    difference = np.abs(theirs.astype(int) - ours.astype(int))
    assert (difference.max() == 0) if exact else (difference.mean() < 2)


def test_an_encoder_becomes_a_program_whose_script_prints_features(
    pretrained: Path, video: Path, tmp_path: Path
) -> None:
    run = load(pretrained)
    written = run.export(tmp_path / "encoder.pt2", clip=video, keep=0.4)
    assert written.agreements[0].largest == 0 and written.agreements[0].read == 12
    run.keep(0.4)
    expected = Exported(run.model).answer(trying.read(run, str(video)))["features"][0]
    assert json.loads(ran(tmp_path / "encoder.pt2", video)) == pytest.approx(expected.tolist())


def test_a_held_out_clip_of_the_run_is_what_an_export_is_tried_on(pretrained: Path) -> None:
    run = load(pretrained)
    assert run.folder is not None
    held_out = run.folder.read_json("data.json")["held_out"][0]["path"]
    assert trying.trial_of(run, None).told == f"{held_out}, which the run held out"


def test_without_a_run_folder_it_is_noise_and_says_so(source: Path) -> None:
    trial = trying.trial_of(load(source), None)
    assert trial.told.startswith("noise") and trial.video.float().std() > 60


def test_an_export_that_answers_otherwise_is_refused_and_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(place: object, file: Path) -> object:
        found = open_program(file)

        def answer(video: np.ndarray) -> dict[str, np.ndarray]:
            out = found(video)
            return {**out, "logits.label": out["logits.label"] + 0.002}

        return answer

    monkeypatch.setattr(writing, "opened", spoiled)
    told = everest("export", source, "-o", tmp_path / "m.pt2")
    assert told.code == 1 and "other logits.label, by up to 2.0e-03" in told.err
    assert contents(tmp_path) == {}


class TestFlips:
    """Tokens and frames that the export chose otherwise than the model."""

    def answers(self, module: Exported, video: torch.Tensor) -> dict[str, np.ndarray]:
        return {name: module.answer(video)[name].numpy() for name in module.names}

    def swapped(
        self, module: Exported, video: torch.Tensor, left: int, taken: int
    ) -> dict[str, np.ndarray]:
        """The model's answers, had it left out one token and read another."""
        visible = module.answer(video)["visible"].clone()
        assert (visible == left).sum() == 1 and not (visible == taken).any()
        visible[visible == left] = taken
        steps = module.answer(video)["steps"]
        given = module.answer(video, visible=visible.sort(dim=1).values, steps=steps)
        return {name: given[name].numpy() for name in module.names}

    def test_one_at_a_tie_is_counted_apart_from_the_difference(self, source: Path) -> None:
        module = Exported(load(source).model)
        still = clips(source, 1)[:, :, :1].expand(-1, -1, 6, -1, -1)
        found = agreement(module, still, self.swapped(module, still, 18, 31))
        assert (found.tokens, found.read, found.largest) == (1, 19, 0)

    def test_one_that_is_no_tie_is_refused(self, source: Path) -> None:
        module, video = Exported(load(source).model), clips(source, 1)
        out = module.answer(video)
        unread = (set(range(32)) - set(out["visible"][0].tolist())).pop()
        theirs = self.swapped(module, video, int(out["scores"].argmax()), unread)
        with pytest.raises(Disagreement, match="reads 1 other tokens"):
            agreement(module, video, theirs)

    def test_frames_that_hold_as_many_tokens_may_stand_for_each_other(self, source: Path) -> None:
        module = Exported(load(source).model)
        still = clips(source, 1)[:, :, :1].expand(-1, -1, 6, -1, -1)
        given = module.answer(still, steps=torch.tensor([[0, 2]]))
        theirs = {name: given[name].numpy() for name in module.names}
        assert agreement(module, still, theirs).steps == 1

    def test_other_frames_are_refused(self, source: Path) -> None:
        module, video = Exported(load(source).model), noise(1, 3, 6, 32, 32)
        video[:, :, 4:] = video[:, :, 2:4]  # nothing moves in the last pair
        assert module.answer(video)["steps"].tolist() == [[0, 1]]
        given = module.answer(video, steps=torch.tensor([[0, 2]]))
        theirs = {name: given[name].numpy() for name in module.names}
        with pytest.raises(Disagreement, match="other time steps"):
            agreement(module, video, theirs)


class TestExternalData:
    """Weights that lie beside an ONNX file (RELIABILITY 29)."""

    @pytest.fixture
    def split(self, onnx_file: Path, tmp_path: Path) -> Path:
        """The same file, its weights in weights.bin."""
        import onnx

        model = onnx.load(str(onnx_file))
        place = tmp_path / "m.onnx"
        onnx.save(model, str(place), save_as_external_data=True, location="weights.bin")
        return place

    def test_a_plain_neighbour_is_read(self, split: Path, onnx_file: Path, source: Path) -> None:
        video = clips(source, 1).numpy()
        ours, theirs = open_onnx(onnx_file)(video), open_onnx(split)(video)
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)

    @pytest.mark.parametrize("name", ["../weights.bin", "/etc/hostname", "a/../weights.bin", ""])
    def test_another_path_is_refused(self, split: Path, name: str) -> None:
        import onnx

        model = onnx.load(str(split), load_external_data=False)
        outside = next(part for part in model.graph.initializer if part.external_data)
        outside.external_data[0].value = name
        split.write_bytes(model.SerializeToString())
        with pytest.raises(ForeignData, match="only a plain name beside it"):
            open_onnx(split)

    def test_a_symlink_is_refused(self, split: Path) -> None:
        weights = split.with_name("weights.bin")
        weights.rename(split.with_name("elsewhere"))
        weights.symlink_to(split.with_name("elsewhere"))
        with pytest.raises(ForeignData, match="a link"):
            open_onnx(split)

    def test_a_hard_link_is_refused(self, split: Path) -> None:
        split.with_name("elsewhere").hardlink_to(split.with_name("weights.bin"))
        with pytest.raises(ForeignData, match="hard link"):
            open_onnx(split)

    def test_a_cut_file_is_refused(self, split: Path) -> None:
        weights = split.with_name("weights.bin")
        weights.write_bytes(weights.read_bytes()[:-1])
        with pytest.raises(ForeignData, match="was cut"):
            open_onnx(split)

    def test_a_tensor_inside_a_branch_is_looked_at(self) -> None:
        from onnx import TensorProto, helper

        inside = TensorProto(name="w", data_location=TensorProto.EXTERNAL)
        branch = helper.make_graph(
            [helper.make_node("Constant", [], ["y"], value=inside)], "b", [], []
        )
        outer = helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch)
        found = external.tensors_of(helper.make_graph([outer], "g", [], []))
        assert [part.name for part in found if part.name] == ["w", "w"]

    @pytest.mark.parametrize("content", [b"", b"<html>", b"\x08\x07" * 40])
    def test_what_is_no_onnx_file_is_refused(self, tmp_path: Path, content: bytes) -> None:
        place = tmp_path / "m.onnx"
        place.write_bytes(content)
        with pytest.raises(ForeignData, match="is no ONNX file"):
            open_onnx(place)

    @pytest.mark.slow
    def test_a_large_model_has_its_weights_beside_it_in_8_bits_too(
        self, pretrained: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(making, "SINGLE_FILE_MOST", 0)
        monkeypatch.chdir(tmp_path)  # where a file of that name is, the second time
        for int8, data in ((False, ()), (True, str(video))):
            load(pretrained).export("m.onnx", int8=int8, data=data, overwrite=int8)
            assert set(contents(tmp_path)) == {"m.onnx", "m.onnx.data", "run_m_onnx.py"}
            assert list(external.external_of(tmp_path / "m.onnx")) == ["m.onnx.data"]
            assert len(json.loads(ran(tmp_path / "m.onnx", video))) == 32


class TestRefusals:
    """What is refused before anything is made."""

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (["m.tflite"], "ends in .onnx"),
            (["nowhere/m.onnx"], "there is no folder"),
            (["taken.onnx"], "is there already"),
            (["hf:taken"], "is there already"),
            (["folder.onnx"], "is a folder"),
            (["m.pt2", "--int8", "--data", "x"], "8-bit weights are ONNX's"),
            (["m.onnx", "--int8"], "give labelled videos as --data"),
            (["m.onnx", "--data", "x"], "measures what --int8 costs"),
            (["hf:new", "--dynamic-batch"], "takes any batch"),
            (["hf:new", "--keep", "0.5"], "every token is read"),
            (["m.onnx", "--clip", "gone.mp4"], "gone.mp4: no such file"),
        ],
    )
    def test_it_says_why_and_leaves_things_as_they_are(
        self,
        source: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        words: list[str],
        sentence: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("taken.onnx").write_text("mine")
        for name in ("taken", "folder.onnx"):
            Path(name).mkdir()
            Path(name, "mine").touch()
        before = contents(tmp_path)
        told = everest("export", source, "-o", *words)
        assert told.code == 2 and sentence in told.err
        assert contents(tmp_path) == before

    def test_missing_packages_are_named_with_the_extra(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        told = everest("export", source, "-o", tmp_path / "m.onnx")
        assert told.code == 2 and "pip install 'everest-video[export]'" in told.err

    def test_a_model_that_draws_its_tokens_is_told_to_read_all(self) -> None:
        model = create_model("32x2x2", classes=3, keep=0.6, select="random", **SMALL)
        with pytest.raises(ValueError, match=r"draws which tokens.*--keep 1\.0"):
            refuse_model(model, "runs/b")

    def test_k_centered_models_are_not_exported(self) -> None:
        fields = {"frames": 8, "size": 32, "patch": 16}
        model = create_model("kcentered-vit", classes=2, **fields)
        with pytest.raises(ValueError, match="kcentered-vit is not exported"):
            refuse_model(model, "runs/b")


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TINY))
def test_backbones_become_onnx_for_any_batch(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe = FinetuneRecipe(model=name, frames=8, size=64)
    config = configure(recipe, {"label": ("a", "b")})
    assert config.backbone is not None
    spec = BackboneSpec(name, {**config.backbone.fields, **TINY[name]})
    made = build(dataclasses.replace(config, backbone=spec))
    module = Exported(made)
    video = torch.randint(0, 256, (1, *shape_of(made.config)), dtype=torch.uint8)
    program = program_of(module, video, dynamic=True)
    write_onnx(program, about_of(made.config, module), tmp_path / "m.onnx", video)
    found = open_onnx(tmp_path / "m.onnx")
    for batch in (video, several(video)):
        assert agreement(module, batch, found(batch.contiguous().numpy())).largest < 1e-4


@pytest.mark.slow
def test_int8_says_what_it_costs_and_reads_the_same_tokens(
    finetuned: Path, labelled: object, tmp_path: Path
) -> None:
    run = load(finetuned)
    table = labelled.table  # type: ignore[attr-defined]
    written = run.export(tmp_path / "small.onnx", int8=True, data=table)
    run.export(tmp_path / "whole.onnx")
    assert written.int8 is not None and written.int8.clips == 4
    assert written.int8.columns["label"]["before"] is not None
    assert written.megabytes[1] < written.megabytes[0]
    video = trying.trial_of(run, None).video.numpy()
    small, large = (open_onnx(tmp_path / name)(video) for name in ("small.onnx", "whole.onnx"))
    assert np.array_equal(small["visible"], large["visible"])
    assert not np.array_equal(small["features"], large["features"])
    assert written.int8.cosine > 0.99


@pytest.mark.slow
def test_a_folder_for_transformers_answers_as_the_model_does(
    source: Path, video: Path, tmp_path: Path
) -> None:
    run = load(source)
    told = done("export", source, "-o", f"hf:{tmp_path / 'theirs'}", "--clip", video)
    assert "every token is read there; the run reads --keep 0.6" in told.out
    assert "frames are not selected" in told.out
    assert {file.name for file in (tmp_path / "theirs").iterdir()} == {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    }
    pooled = dataclasses.replace(run.config, vit=dataclasses.replace(run.config.vit, norm=True))
    build(pooled).save_pretrained(tmp_path / "norm")  # type: ignore[operator]
    refused = everest("export", tmp_path / "norm", "-o", f"hf:{tmp_path / 'no'}")
    assert refused.code == 2 and "keeps the encoder's norm" in refused.err
