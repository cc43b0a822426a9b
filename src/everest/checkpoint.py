"""This file decides how a run's state is kept: a folder written beside, synced and renamed, with a
SHA-256 of every file. Own files are safetensors and JSON: nothing in them can run."""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from everest.convert.read import WeightsError
from everest.room import write_text, writing
from everest.tensors import write_tensors

FILES = ("model.safetensors", "optimizer.safetensors", "loop.json")  # of a state
AVERAGE = "average.safetensors"  # of a state of a run that averages its weights
BEFORE = ".before"  # ends the name of a state of the same step while it is replaced
KEPT = 2  # states on disk: the last one, and the one before should the last be damaged


@dataclass(frozen=True)
class State:
    """All that is needed to go on from a step as if nothing had happened."""

    step: int
    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    loop: dict[str, Any]
    average: dict[str, Tensor] | None = None  # the moving average of the weights
    warning: str | None = None  # said when a damaged newer state was passed over


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state under names `PARAMETER.KIND`; rates are functions of the step."""
    return {
        f"{number}.{kind}": value
        for number, state in optimizer.state_dict()["state"].items()
        for kind, value in state.items()
    }


def restore(state: State, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Puts a saved state into a model and its optimiser."""
    model.load_state_dict(state.model)
    content = optimizer.state_dict()
    content["state"] = {}
    for name, value in state.optimizer.items():
        number, kind = name.split(".", 1)
        content["state"].setdefault(int(number), {})[kind] = value
    optimizer.load_state_dict(content)


def synced(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_state(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loop: dict[str, Any],
    average: dict[str, Tensor] | None = None,
) -> Path:
    """Writes folder/step-N and names it in folder/last; older states but one are removed.

    Raises NoRoom, with the states that were there untouched.
    """
    final = folder / f"step-{step}"
    beside = folder / f".step-{step}.part"
    for left in folder.glob(".step-*.part"):  # by a process that was killed while it saved
        shutil.rmtree(left, ignore_errors=True)
    tensors = [*model.state_dict().values(), *optimizer_tensors(optimizer).values()]
    needed = sum(value.nbytes for value in [*tensors, *(average or {}).values()])
    try:
        with writing(final, needed):
            write_parts(beside, model, optimizer, loop, average)
    except OSError:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    if final.exists():  # kept until the new one is there
        os.replace(final, folder / f"{final.name}{BEFORE}")
    os.replace(beside, final)
    synced(folder)
    write_text(folder / "last", final.name + "\n")
    synced(folder)
    for left in folder.glob(f"step-*{BEFORE}"):
        shutil.rmtree(left, ignore_errors=True)
    for old in states(folder)[KEPT:]:
        shutil.rmtree(old)
    return final


def write_parts(
    beside: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loop: dict[str, Any],
    average: dict[str, Tensor] | None,
) -> None:
    """The files of a state and their manifest, on the disk when this returns."""
    beside.mkdir(parents=True)
    write_tensors(model.state_dict(), beside / "model.safetensors")
    write_tensors(optimizer_tensors(optimizer), beside / "optimizer.safetensors")
    if average is not None:
        write_tensors(average, beside / AVERAGE)
    (beside / "loop.json").write_text(json.dumps(loop))
    manifest = {path.name: digest_of(path) for path in sorted(beside.iterdir())}
    (beside / "manifest.json").write_text(json.dumps(manifest, indent=1))
    for path in beside.iterdir():
        synced(path)
    synced(beside)


def states(folder: Path) -> list[Path]:
    """Saved states, the newest first."""
    named = (path for path in folder.glob("step-*"))
    found = [path for path in named if path.name[5:].removesuffix(BEFORE).isdigit()]
    # Of two states of one step the replaced one comes last.
    return sorted(found, key=lambda it: (step_of(it), it.suffix != BEFORE), reverse=True)


def step_of(path: Path) -> int:
    return int(path.name[5:].removesuffix(BEFORE))


def load_state(folder: Path) -> State | None:
    """The newest state whose files are what was written; None where none was saved.

    Raises WeightsError when states are there and all are damaged.
    """
    problems: list[str] = []
    for path in states(folder):
        try:
            return read_state(path, "; ".join(problems) or None)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            problems.append(f"{path}: damaged ({error}), the one before is used")
    if problems:
        raise WeightsError(f"no state in {folder} can be read: {'; '.join(problems)}")
    return None


def read_state(path: Path, warning: str | None) -> State:
    manifest = json.loads((path / "manifest.json").read_text())
    averaged = AVERAGE in manifest
    for name in (*FILES, AVERAGE) if averaged else FILES:
        if digest_of(path / name) != manifest[name]:
            raise ValueError(f"{name} is not what was written")
    return State(
        step_of(path),
        load_file(path / "model.safetensors"),
        load_file(path / "optimizer.safetensors"),
        json.loads((path / "loop.json").read_text()),
        load_file(path / AVERAGE) if averaged else None,
        warning,
    )
