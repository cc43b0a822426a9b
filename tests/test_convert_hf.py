"""Hugging Face's own classes with tiny random weights: the same outputs in both directions."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from everest.build import create_model
from everest.classify import VideoClassifier
from everest.convert import WeightsError, agree, read_weights
from everest.convert.agree import Disagreement, normalised, outputs, random_clip
from everest.convert.hf_config import config_of
from everest.convert.weights import Weights, model_of
from everest.convert.write import write
from everest.masked import MaskedVideoAutoencoder
from everest.run import load
from everest.starting import read_start
from tiny import done, everest

TOLERANCE = 2e-5
SIZES = dict(
    image_size=32,
    patch_size=8,
    num_frames=4,
    hidden_size=48,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=192,
)
DECODER = dict(
    decoder_hidden_size=24,
    decoder_num_hidden_layers=2,
    decoder_num_attention_heads=3,
    decoder_intermediate_size=96,
)
LABELS = {0: "walk", 1: "run", 2: "jump"}
OURS = dict(frames=4, size=32, patch=8)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def transformers() -> Iterator[Any]:
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    yield transformers


def shaken(model: nn.Module) -> Any:
    """Weights of a size at which differences show, biases and norms included."""
    source = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=source)
            parameter.copy_(noise * 0.1 + ("norm" in name and name.endswith("weight")))
    return model.eval()


def pretraining(transformers: Any, **fields: Any) -> Any:
    config = transformers.VideoMAEConfig(**SIZES, **DECODER, use_mean_pooling=False, **fields)
    return shaken(transformers.VideoMAEForPreTraining(config))


def classifier(transformers: Any, **fields: Any) -> Any:
    config = transformers.VideoMAEConfig(**SIZES, id2label=LABELS, **fields)
    return shaken(transformers.VideoMAEForVideoClassification(config))


def as_version_5(model: Any, folder: Path) -> Path:
    """A folder with the names that version 5's models have in memory."""
    folder.mkdir()
    save_file(
        {name: value.clone() for name, value in model.state_dict().items()},
        folder / "model.safetensors",
    )
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    return folder


def same_outputs(found: Weights, other: Any) -> None:
    model = model_of(found)
    ours, theirs = outputs(model, other, random_clip(model))
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two, atol=TOLERANCE, rtol=0)
        assert two.std() > 0.05


# Theirs to ours


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("make", [pretraining, classifier])
def test_their_folder_gives_the_same_outputs_here(
    make: Any, version: int, transformers: Any, tmp_path: Path
) -> None:
    other = make(transformers)
    folder = tmp_path / "theirs"
    if version == 5:
        as_version_5(other, folder)
    else:
        other.save_pretrained(folder)
    found = read_weights(folder)
    assert (
        found.family
        == f"hf-videomae-{'pretrain' if make is pretraining else 'finetune'}-v{version}"
    )
    assert found.report is not None and not found.report.missing and not found.report.unused
    assert found.report.assumed == ("stride", "mean and std")
    assert (found.config.clip.frames, found.config.clip.size) == (4, (32, 32))
    assert found.config.vit.heads == 3
    same_outputs(found, other)


def test_labels_and_pixels_come_with_the_folder(transformers: Any, tmp_path: Path) -> None:
    other = classifier(transformers)
    other.save_pretrained(tmp_path)
    pixels = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.25, 0.3]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(pixels))
    found = read_weights(tmp_path)
    assert found.config.classes == {"label": ("walk", "run", "jump")}
    assert (found.config.vit.mean, found.config.vit.std) == ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    assert "3 labels: walk, run, jump" in found.lines
    assert "pixels: mean 0.5/0.4/0.3, std 0.2/0.25/0.3" in found.lines
    same_outputs(found, other)


def test_the_file_alone_is_read_with_the_config_beside_it(
    transformers: Any, tmp_path: Path
) -> None:
    classifier(transformers).save_pretrained(tmp_path)
    found = read_weights(tmp_path / "model.safetensors")
    assert found.config.classes == {"label": ("walk", "run", "jump")}


def test_weights_in_several_files_are_read(transformers: Any, tmp_path: Path) -> None:
    other = pretraining(transformers)
    other.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    same_outputs(read_weights(tmp_path), other)
    next(iter(tmp_path.glob("model-*.safetensors"))).unlink()
    with pytest.raises(WeightsError, match="no such file"):
        read_weights(tmp_path)


def test_an_index_that_leads_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    save_file({"a": torch.zeros(1)}, tmp_path / "secret.safetensors")
    for name, told in (("../secret.safetensors", "no file of its own folder"), (3, "no such file")):
        index = {"weight_map": {"a": name}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(WeightsError, match=told):
            read_weights(folder)
    (folder / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(WeightsError, match="not a JSON object"):
        read_weights(folder)


def test_a_model_that_reads_its_first_token_brings_its_encoder(
    transformers: Any, tmp_path: Path
) -> None:
    other = classifier(transformers, use_mean_pooling=False)
    other.save_pretrained(tmp_path)
    found = read_weights(tmp_path)
    assert found.kind == "autoencoder" and found.report is not None
    assert {name for name, _ in found.report.unused} == {"classifier.weight", "classifier.bias"}
    model = model_of(found)
    clips = random_clip(model)
    with torch.no_grad():
        features = other.videomae(normalised(model, clips.video)).last_hidden_state.mean(dim=1)
        torch.testing.assert_close(model(clips)["features"], features, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("whole", [True, False])
def test_an_image_mae_gives_the_same_features(
    version: int, whole: bool, transformers: Any, tmp_path: Path
) -> None:
    sizes = {name: value for name, value in SIZES.items() if name != "num_frames"}
    config = transformers.ViTMAEConfig(**sizes, **DECODER, mask_ratio=0.0)
    made = transformers.ViTMAEForPreTraining(config) if whole else transformers.ViTMAEModel(config)
    other = shaken(made)
    folder = tmp_path / "theirs"
    if version == 5:
        as_version_5(other, folder)
    else:
        other.save_pretrained(folder)
    found = read_weights(folder)
    assert (found.config.clip.frames, found.config.vit.tubelet) == (1, 1)
    assert found.config.vit.class_token and found.config.vit.table == (1, 4, 4)
    assert found.report is not None
    reasons = {why for name, why in found.report.unused if not name.startswith("decoder.")}
    assert reasons == {"a key bias changes nothing in a softmax"}
    model = model_of(found)
    clips = random_clip(model)
    encoder = other.vit if whole else other
    with torch.no_grad():
        pixels = normalised(model, clips.video)[:, 0]
        rows = encoder(pixels, noise=torch.arange(16.0)[None]).last_hidden_state
        features = model(clips)["features"]
    torch.testing.assert_close(features, rows[:, 1:].mean(dim=1), atol=TOLERANCE, rtol=0)
    assert features.std() > 0.05


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"hidden_act": "relu"}, "hidden_act relu"),
        ({"qv_bias": False}, "its attention has no biases"),
        ({"intermediate_size": 96}, "intermediate_size 96 is not 4 x 48"),
    ],
)
def test_blocks_that_are_others_are_refused(
    fields: dict[str, Any], told: str, transformers: Any, tmp_path: Path
) -> None:
    config = transformers.VideoMAEConfig(**{**SIZES, **fields}, id2label=LABELS)
    transformers.VideoMAEForVideoClassification(config).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match=told):
        read_weights(tmp_path)


def test_what_differs_is_noted(transformers: Any, tmp_path: Path) -> None:
    pretraining(transformers, norm_pix_loss=False).save_pretrained(tmp_path)
    lines = read_weights(tmp_path).lines
    assert any("add 1e-12 to the variance and these 1e-6" in line for line in lines)
    assert any("grey levels as they are" in line for line in lines)


def test_pixels_are_those_of_their_processor(transformers: Any) -> None:
    from transformers.models.videomae.image_processing_pil_videomae import (
        VideoMAEImageProcessorPil,
    )

    model = create_model("32x1x1", classes=2, **OURS)
    video = random_clip(model).video
    pixels = {name: model.config.vit.__getattribute__(name) for name in ("mean", "std")}
    processor = VideoMAEImageProcessorPil(
        image_mean=list(pixels["mean"]),
        image_std=list(pixels["std"]),
        size={"shortest_edge": 32},
        crop_size={"height": 32, "width": 32},
    )
    frames = [np.asarray(frame) for frame in video[0].permute(1, 2, 3, 0)]
    theirs = processor(frames, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(normalised(model, video), theirs, atol=1e-5, rtol=0)


# Ours to theirs


def exported(folder: Path, classes: int = 0, **fields: Any) -> Path:
    torch.manual_seed(0)
    model = create_model("48x2x3", classes=classes, **{**OURS, **fields})
    shaken(model).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("classes", [0, 3])
def test_ours_load_there_with_the_same_outputs(
    classes: int, transformers: Any, tmp_path: Path
) -> None:
    source, out = exported(tmp_path / "ours", classes), tmp_path / "theirs"
    told = done("convert", source, "-o", out, "--to", "hf").out
    assert "the same outputs in transformers on a random clip: largest difference" in told
    assert {file.name for file in out.iterdir()} == {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    }
    kind = (
        transformers.VideoMAEForVideoClassification
        if classes
        else transformers.VideoMAEForPreTraining
    )
    other, found = kind.from_pretrained(out, output_loading_info=True)
    assert not found["missing_keys"] and not found["unexpected_keys"]
    same_outputs(read_start(str(source)), other)


@pytest.mark.parametrize("classes", [0, 3])
def test_the_way_there_and_back_is_exact(classes: int, tmp_path: Path) -> None:
    source = exported(tmp_path / "ours", classes, size="32x48")
    write(read_start(str(source)), tmp_path / "theirs", "hf")
    back = read_weights(tmp_path / "theirs")
    first = load_file(source / "model.safetensors")
    assert first.keys() == back.tensors.keys()
    assert all(torch.equal(value, first[name]) for name, value in back.tensors.items())
    own = read_start(str(source)).config
    assert back.config.vit == replace(own.vit, drop_path=0.0)
    assert back.config.clip == own.clip
    assert (back.config.classes, back.config.decoders) == (own.classes, own.decoders)


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("make", [pretraining, classifier])
def test_their_names_come_back_as_they_were(
    make: Any, version: int, transformers: Any, tmp_path: Path
) -> None:
    from everest.convert.renaming import to_theirs
    from everest.convert.tables import NAMED

    other = make(transformers)
    folder = tmp_path / "theirs"
    if version == 5:
        as_version_5(other, folder)
    else:
        other.save_pretrained(folder)
    found = read_weights(folder)
    back, first = (
        to_theirs(found.tensors, NAMED[found.family]),
        load_file(folder / "model.safetensors"),
    )
    assert back.keys() == first.keys()
    assert all(torch.equal(value, first[name]) for name, value in back.items())


@pytest.mark.parametrize(
    ("classes", "fields", "told"),
    [
        (3, {"pool": "steps"}, "it pools by steps and must pool by mean"),
        (3, {"head_norm": "batch"}, "its head norm is batch and must be layer"),
        (3, {"encoder_norm": "keep"}, "it keeps the encoder's norm"),
        (3, {"positions": "sincos3d"}, "its positions are sincos3d and must be sinusoid"),
        (0, {"targets": "hog"}, "it predicts hog and must predict pixels"),
        (0, {"class_token": True}, "it has a class token"),
    ],
)
def test_what_their_classes_cannot_be_is_refused(
    classes: int, fields: dict[str, Any], told: str, tmp_path: Path
) -> None:
    model = create_model("48x2x3", classes=classes, **OURS, **fields)
    with pytest.raises(ValueError, match=f"--to hf: .*{told}"):
        config_of(model.config)
    source, out = tmp_path / "ours", tmp_path / "theirs"
    model.save_pretrained(source)
    refused = everest("convert", source, "-o", out, "--to", "hf")
    assert refused.code == 2 and "--to everest" in refused.err
    assert not out.exists()


def test_other_outputs_there_are_refused_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source, out = exported(tmp_path / "ours", 3), tmp_path / "theirs"
    real = agree.outputs

    def other(*given: Any) -> Any:
        ours, theirs = real(*given)
        return ours, [value + 1e-3 for value in theirs]

    monkeypatch.setattr(agree, "outputs", other)
    with pytest.raises(Disagreement, match=r"by up to 1\.0e-03 where at most 1e-04"):
        write(read_start(str(source)), out, "hf")
    assert [path.name for path in tmp_path.iterdir()] == ["ours"]
    assert everest("convert", source, "-o", out, "--to", "hf").code == 1


def test_without_transformers_it_is_written_and_said_to_be_untried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = exported(tmp_path / "ours", 3)
    monkeypatch.setitem(sys.modules, "transformers", None)
    told = done("convert", source, "-o", tmp_path / "theirs", "--to", "hf").out
    assert "not tried, transformers does not import" in told
    assert read_weights(tmp_path / "theirs").kind == "classifier"


def test_a_folder_of_theirs_is_a_run_everywhere(transformers: Any, tmp_path: Path) -> None:
    classifier(transformers).save_pretrained(tmp_path / "classifier")
    pretraining(transformers).save_pretrained(tmp_path / "autoencoder")
    run = load(tmp_path / "classifier")
    assert isinstance(run.model, VideoClassifier) and run.key_report is not None
    assert isinstance(load(tmp_path / "autoencoder").model, MaskedVideoAutoencoder)
