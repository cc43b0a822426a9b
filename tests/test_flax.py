"""Reading Flax's checkpoints without Flax: what is read, and what breaks the format."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from backbones.messages import array, extension, packed
from everest.convert.flax import is_flax, read_flax
from everest.convert.read import WeightsError

KERNEL = torch.arange(6.0).reshape(2, 3)
OTHER = torch.arange(4.0)


def written(folder: Path, content: bytes | dict[str, Any], name: str = "checkpoint_1") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else packed(content))
    return path


@pytest.mark.parametrize(
    "place", [("optimizer", "target"), ("optimizer", "target", "params"), ("params",), ("target",)]
)
def test_a_train_states_parameters_are_read_and_its_moments_are_not(
    place: tuple[str, ...], tmp_path: Path
) -> None:
    tree: Any = {"embedding": {"kernel": KERNEL}}
    for name in reversed(place):
        tree = {name: tree}
    path = written(
        tmp_path,
        {
            "global_step": 70_000,
            "opt_state": {"0": {"trace": {"embedding": {"kernel": OTHER}}}},
            "seconds": 1.5,
            "name": "x" * 300,
            "done": True,
            "nothing": None,
            "below": -3,
            **tree,
        },
    )
    assert is_flax(path)
    tensors = read_flax(path)
    assert list(tensors) == ["embedding/kernel"]
    assert torch.equal(tensors["embedding/kernel"], KERNEL)


def test_an_array_in_pieces_is_joined(tmp_path: Path) -> None:
    kept = {
        "__msgpack_chunked_array__": True,
        "shape": {"0": 2, "1": 3},
        "chunks": {"0": KERNEL.flatten()[:4], "1": KERNEL.flatten()[4:]},
    }
    path = written(tmp_path, {"params": {"kernel": kept}})
    assert torch.equal(read_flax(path)["kernel"], KERNEL)


@pytest.mark.parametrize("kind", [torch.float16, torch.float64, torch.int32, torch.uint8])
def test_numbers_keep_their_kind(kind: torch.dtype, tmp_path: Path) -> None:
    read = read_flax(written(tmp_path, {"params": {"a": OTHER.to(kind)}}))["a"]
    assert read.dtype == kind and torch.equal(read, OTHER.to(kind))


def test_numbers_of_half_the_bytes_of_float_are_read_as_such(tmp_path: Path) -> None:
    numbers = OTHER.to(torch.bfloat16)
    raw = extension(1, array(numbers.view(torch.int16), "bfloat16"))
    content = b"\x81" + packed("params") + b"\x81" + packed("a") + raw
    assert torch.equal(read_flax(written(tmp_path, content))["a"], numbers)


def test_kinds_that_parameters_do_not_have_are_passed_over_beside_them(tmp_path: Path) -> None:
    noise = extension(1, packed([[1], "uint32", b"\0\0\0\0"]))
    beside = b"\x82" + packed("rng") + noise + packed("params") + packed({"a": OTHER})
    assert list(read_flax(written(tmp_path, beside))) == ["a"]
    among = b"\x81" + packed("params") + b"\x81" + packed("rng") + noise
    with pytest.raises(WeightsError, match="an array of uint32: float32, "):
        read_flax(written(tmp_path, among))


@pytest.mark.parametrize("start", ["", "params/", "optimizer/target/"])
def test_a_flat_tree_of_numpy_is_read_by_the_same_names(start: str, tmp_path: Path) -> None:
    path = tmp_path / "tree.npz"
    np.savez(path, **{f"{start}embedding/kernel": KERNEL.numpy()})
    assert is_flax(path)
    assert torch.equal(read_flax(path)["embedding/kernel"], KERNEL)


WHOLE = packed({"params": {"a": OTHER}})
BROKEN: dict[str, tuple[bytes, str]] = {
    "cut": (WHOLE[:-3], "ends at byte"),
    "more": (WHOLE + b"x", "1 bytes follow it"),
    "deep": (b"\x81\xa1a" * 100, "more than 64 maps"),
    "promise": (b"\xdf\xff\xff\xff\xff", "promises 4294967295 values and ends"),
    "list": (b"\x81\xa1a\xdd\xff\xff\xff\xff", "promises 4294967295 values and ends"),
    "text": (b"\x81\xa2\xff\xfe", "can't decode"),
    "number for a name": (b"\x81\x05\x05", "a map has 5 where a new name must stand"),
    "a name twice": (b"\x82\xa1a\x01\xa1a\x02", "a map has 'a' where a new name must stand"),
    "no value": (b"\xc1", "byte 0 begins no value"),
    "extension": (b"\x81\xa1a" + extension(9, b"abc"), "extension 9 is none of Flax's"),
    "shape": (b"\x81\xa1a" + extension(1, packed([[9], "float32", b"abcd"])), r"\(9,\) with 4"),
    "no shape": (b"\x81\xa1a" + extension(1, packed([9, "float32", b"abcd"])), "is not"),
    "below zero": (b"\x81\xa1a" + extension(1, packed([[-4], "float32", b"abcd"])), "is not"),
    "pieces": (packed({"a": {"__msgpack_chunked_array__": True}}), "array in pieces without"),
    "empty": (b"", "not a whole Flax checkpoint"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_breaks_the_format_is_refused_in_words(name: str, tmp_path: Path) -> None:
    content, words = BROKEN[name]
    with pytest.raises(WeightsError, match=words) as caught:
        read_flax(written(tmp_path, content))
    assert str(tmp_path) in str(caught.value)


def test_every_cut_of_a_file_is_refused(tmp_path: Path) -> None:
    for length in range(len(WHOLE)):
        with pytest.raises(WeightsError):
            read_flax(written(tmp_path, WHOLE[:length]))


def test_a_tree_without_arrays_is_refused_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="looked for maps of arrays under optimizer/target/"):
        read_flax(written(tmp_path, {"global_step": 3}))
    with pytest.raises(WeightsError, match="no such file"):
        read_flax(tmp_path / "nothing")
    with pytest.raises(WeightsError, match="not a whole Flax checkpoint"):
        read_flax(written(tmp_path, b"PK\x03\x04 cut", "tree.npz"))


def test_nothing_that_could_run_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tree.npz"
    np.savez(path, a=np.array([{"x": 1}], dtype=object))
    with pytest.raises(WeightsError, match="allow_pickle"):
        read_flax(path)


def test_weights_of_torch_are_none_of_flax(tmp_path: Path) -> None:
    torch.save({"a": OTHER}, tmp_path / "new.pth")
    torch.save({"a": OTHER}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file({"a": OTHER}, tmp_path / "a.safetensors")
    header = struct.pack("<Q", 0xA181)  # begins as a map of one name does
    (tmp_path / "b.safetensors").write_bytes(header)
    for name in ("new.pth", "old.pth", "a.safetensors", "b.safetensors", "", "nothing"):
        assert not is_flax(tmp_path / name), name
    assert not is_flax(written(tmp_path, b"<html></html>"))
    assert not is_flax(written(tmp_path, b""))
