"""Weights files of others: their names and ours, and files that are not weights or hold code."""

import argparse
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from everest.build import build
from everest.convert import FAMILIES, WeightsError, read_tensors, read_weights, recognise
from everest.convert.infer import infer_config
from everest.convert.tables import FINETUNE, PRETRAIN, Family, to_ours, to_theirs

GOLDEN = Path(__file__).parent / "golden"
FILES = {
    "everest_pretrain": PRETRAIN,
    "videomae_pretrain": PRETRAIN,
    "everest_finetune": FINETUNE,
    "videomae_finetune": FINETUNE,
}


def golden_weights(name: str) -> dict[str, Tensor]:
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        return {
            key.removeprefix("weights."): file.get_tensor(key)
            for key in file.keys()
            if key.startswith("weights.")
        }


PRETRAINED = golden_weights("everest_pretrain")


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


# Names


@pytest.mark.parametrize(("name", "family"), FILES.items())
def test_names_go_both_ways(name: str, family: Family) -> None:
    theirs = golden_weights(name)
    assert recognise(theirs) is family
    ours, unknown = to_ours(theirs, family)
    assert not unknown
    assert len(ours) == len(theirs)
    assert same(to_theirs(ours, family), theirs)


@pytest.mark.parametrize(("name", "family"), FILES.items())
def test_a_file_becomes_a_model_of_its_own_sizes(name: str, family: Family) -> None:
    ours, _ = to_ours(golden_weights(name), family)
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        told = json.loads(file.metadata()["config"])
    config = infer_config(family, ours)
    assert (config.vit.width, config.vit.depth) == (told["embed_dim"], told["depth"])
    assert (config.vit.patch, config.vit.tubelet) == (told["patch"], told["tubelet"])
    model = build(config)
    result = model.load_state_dict(ours, strict=False)
    assert not result.unexpected_keys
    assert not result.missing_keys


@pytest.mark.parametrize(
    ("theirs", "ours", "family"),
    [
        ("encoder.blocks.3.attn.q_bias", "encoder.blocks.3.attn.q_bias", PRETRAIN),
        ("encoder.norm.weight", "encoder.norm.weight", PRETRAIN),
        ("encoder_to_decoder.weight", "decoders.0.embed.weight", PRETRAIN),
        ("mask_token", "decoders.0.mask_token", PRETRAIN),
        ("decoder.blocks.0.norm1.bias", "decoders.0.blocks.0.norm1.bias", PRETRAIN),
        ("decoder.norm.bias", "decoders.0.norm.bias", PRETRAIN),
        ("decoder.head.weight", "decoders.0.heads.0.weight", PRETRAIN),
        ("blocks.3.mlp.fc1.bias", "reader.blocks.3.mlp.fc1.bias", FINETUNE),
        ("fc_norm.weight", "fc_norm.weight", FINETUNE),
        ("head.bias", "heads.0.linear.bias", FINETUNE),
    ],
)
def test_a_released_name_is_this_one_of_ours(theirs: str, ours: str, family: Family) -> None:
    assert family.ours(theirs) == ours
    assert family.theirs(ours) == theirs


def test_a_name_without_a_place_is_told() -> None:
    tensors = {"encoder.norm.bias": torch.zeros(1), "teacher.norm.bias": torch.zeros(1)}
    ours, unknown = to_ours(tensors, PRETRAIN)
    assert list(ours) == ["encoder.norm.bias"]
    assert unknown == ["teacher.norm.bias"]
    with pytest.raises(ValueError, match=r"fc_norm\.bias has no place in a videomae-pretrain file"):
        to_theirs({"fc_norm.bias": torch.zeros(1)}, PRETRAIN)


def test_families_are_told_apart_by_their_marks() -> None:
    for family in FAMILIES:
        assert recognise(family.marks) is family
        for mark in family.marks:
            assert recognise(set(family.marks) - {mark}) is not family
    assert recognise([]) is None


# Containers


def wrapped(key: str | None, prefix: str = "") -> dict[str, object]:
    tensors = {prefix + name: value for name, value in PRETRAINED.items()}
    return {**tensors} if key is None else {key: tensors, "epoch": 3, "optimizer": {"state": {}}}


@pytest.mark.parametrize("key", ["model", "module", "model_state", "state_dict", None])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "backbone.", "module.model."])
def test_weights_are_found_in_their_wrapper_and_under_their_prefix(
    tmp_path: Path, key: str | None, prefix: str
) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save(wrapped(key, prefix), path)
    assert same(read_tensors(path), PRETRAINED)


def test_a_checkpoint_with_its_arguments_is_read(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint-799.pth"
    arguments = argparse.Namespace(lr=1e-3, opt_betas=(0.9, 0.95), output_dir="a b", resume=None)
    torch.save({**wrapped("model"), "args": arguments, "scaler": {"scale": 65536.0}}, path)
    found = read_weights(path)
    assert found.family == PRETRAIN.name
    assert same(found.tensors, to_ours(PRETRAINED, PRETRAIN)[0])
    allowed = torch.serialization.get_safe_globals()
    assert argparse.Namespace not in allowed  # only while that file was read


def test_a_safetensors_file_is_read(tmp_path: Path) -> None:
    save_file(PRETRAINED, tmp_path / "model.safetensors")
    assert same(read_tensors(tmp_path / "model.safetensors"), PRETRAINED)


def test_a_wrapper_that_holds_no_tensors_is_refused(tmp_path: Path) -> None:
    for content in ({"model": {"name": "vit"}}, {"epoch": 3}, [1, 2], torch.zeros(3)):
        torch.save(content, tmp_path / "a.pth")
        with pytest.raises(WeightsError, match=r"a\.pth: holds no named tensors"):
            read_tensors(tmp_path / "a.pth")


def test_an_unknown_layout_is_refused_with_its_first_names(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(1), "fc.bias": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"no known layout; it begins with conv1\.weight"):
        read_weights(tmp_path / "a.pth")


def test_a_parameter_too_many_is_refused_by_name(tmp_path: Path) -> None:
    torch.save({**PRETRAINED, "teacher.weight": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"1 parameters .*teacher\.weight"):
        read_weights(tmp_path / "a.pth")


# Code


class Code:
    """Unpickled, it makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.canary),)


def pickled(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


def saved(content: object, path: Path) -> None:
    torch.save(content, path)


def saved_as_of_old(content: object, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("write", [pickled, saved, saved_as_of_old])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt", ".safetensors"])
def test_code_in_a_weights_file_is_never_run(
    tmp_path: Path, write: Callable[[object, Path], None], suffix: str
) -> None:
    canary, path = tmp_path / "canary", tmp_path / f"a{suffix}"
    write({"model": dict(PRETRAINED), "extra": Code(canary)}, path)
    with pytest.raises(WeightsError, match=f"a{suffix}: ") as refused:
        read_weights(path)
    assert not canary.exists()
    assert "weights_only" not in str(refused.value)  # never an advice to switch the check off


def test_the_code_does_run_where_pickles_are_trusted(tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "a.pth"
    pickled({"extra": Code(canary)}, path)
    pickle.loads(path.read_bytes())
    assert canary.exists()


def test_code_is_named_as_such(tmp_path: Path) -> None:
    saved({"model": dict(PRETRAINED), "extra": Code(tmp_path / "canary")}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="nothing in it was run"):
        read_weights(tmp_path / "a.pth")


# Files that are not weights


NOT_WEIGHTS = {
    "empty": (b"", "an empty file"),
    "page": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "an HTML page.*again"),
    "blank page": (b"\n  <html><head></head></html>", "an HTML page"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git-lfs pointer"),
    "text": (b"the weights are elsewhere\n" * 40, "not a whole|not a weights file|no such"),
    "zeros": (bytes(4096), "not a whole|not a weights file"),
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(("content", "told"), NOT_WEIGHTS.values(), ids=NOT_WEIGHTS)
def test_a_file_that_is_not_weights_is_refused_by_what_it_is(
    tmp_path: Path, suffix: str, content: bytes, told: str
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=told) as refused:
        read_weights(path)
    assert str(refused.value).startswith(str(path))
    assert "weights_only" not in str(refused.value)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_cut_file_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".pth":
        torch.save({"model": PRETRAINED}, path)
    else:
        save_file(PRETRAINED, path)
    assert read_weights(path).family == PRETRAIN.name
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(WeightsError, match=f"a{suffix}: not a") as refused:
        read_weights(path)
    assert "weights_only" not in str(refused.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(WeightsError, match="no such file"):
            read_tensors(path)


@given(st.binary(min_size=1, max_size=200), st.sampled_from((b"", b"\x80\x02", b"PK\x03\x04")))
@settings(max_examples=150, deadline=None)
def test_no_bytes_bring_another_error_than_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, start: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.pth"
    path.write_bytes(start + content)
    with pytest.raises(WeightsError):
        read_weights(path)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_no_damage_to_a_pickle_brings_another_error_than_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = pickle.dumps({"model": {"a": 1, "b": [1.5, ("c", None)]}}, protocol=2)
    damaged = bytearray(whole)
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=3)):
        damaged[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.pth"
    path.write_bytes(damaged)
    with pytest.raises(WeightsError):
        read_weights(path)
