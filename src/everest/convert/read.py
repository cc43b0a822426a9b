"""This file decides how a weights file is opened without running anything in it."""

import argparse
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from everest.convert import bounds
from everest.convert.beside import Beside, beside_of

WRAPPERS = ("model", "module", "model_state", "state_dict")  # METHOD.md 2.6, in this order
PREFIXES = ("module.", "model.", "backbone.")
FORMS = {
    b"version https://git-lfs": "a git-lfs pointer, not the file it stands for",
    b"<!DOCTYPE": "an HTML page",
    b"<!doctype": "an HTML page",
    b"<html": "an HTML page",
    b"<?xml": "an XML page",
}


class WeightsError(ValueError):
    """A file that is not weights, or not such that can be used; starts with its path."""


@dataclass(frozen=True)
class Content:
    """What a weights file holds."""

    tensors: dict[str, Tensor]  # by their names in the file, out of wrapper and prefixes
    beside: Beside = field(default_factory=Beside)


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Every tensor of a .safetensors, .pth, .pyth, .pt, .ckpt or .bin file by its name in the file.

    Nothing in the file is run: pickles are read by torch's weights-only reader, which is let to
    know one class more, `argparse.Namespace` (METHOD.md 2.6). Raises WeightsError.
    """
    return read_content(path).tensors


def read_content(path: str | Path) -> Content:
    """As `read_tensors`, with what the file says beside; raises WeightsError."""
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; give a run folder or a weights file")
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        raise WeightsError(f"{path}: an empty file, not weights")
    for mark, form in FORMS.items():
        if start.lstrip().startswith(mark):
            raise WeightsError(f"{path}: {form}, not weights; download it again")
    if path.suffix == ".safetensors":
        try:
            return Content(load_file(path))
        except (SafetensorError, OSError, ValueError) as error:
            raise WeightsError(f"{path}: not a whole safetensors file ({error})") from error
    hole = bounds.unsafe_reader()
    if hole:
        raise WeightsError(f"{path}: {hole}")
    try:
        bomb = bounds.packed_too_tight(path)
        if bomb:
            raise WeightsError(f"{path}: {bomb}")
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            # Of other pickle protocols torch only says that it may fail to read them.
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: not a weights file, or one that holds code; nothing in it was run. "
            f"Ask its author for tensors alone (.safetensors)"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # damaged bytes bring errors of any kind out of torch's reader
        raise WeightsError(
            f"{path}: not a whole weights file ({type(error).__name__}); was the copy cut?"
        ) from error
    tensors = flat(content, path)
    bomb = bounds.larger_than_told(tensors, path)
    if bomb:
        raise WeightsError(f"{path}: {bomb}")
    return Content(tensors, beside_of(content))


def flat(content: object, path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, out of its wrapper and without its prefixes."""
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    tensors: dict[str, Tensor] = {}
    if isinstance(content, Mapping):
        tensors = {
            name: value
            for name, value in content.items()
            if isinstance(name, str) and isinstance(value, Tensor)
        }
    if not tensors:
        raise WeightsError(
            f"{path}: holds no named tensors; looked for them at the top and under "
            f"{', '.join(WRAPPERS)}"
        )
    for prefix in PREFIXES:
        tensors = without_prefix(tensors, prefix)
    return tensors


def without_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors without a prefix that most have; a head may stand beside a wrapped model."""
    count = sum(name.startswith(prefix) for name in tensors)
    shorter = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return shorter if 2 * count > len(tensors) and len(shorter) == len(tensors) else tensors
