"""This file decides how a command's words become its options: tyro over frozen dataclasses."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import tyro

Options = TypeVar("Options")


@dataclass(frozen=True)
class RunOptions:
    """What a training command is told beside its sources and its recipe's fields."""

    out: Path
    """The run folder (also -o)."""
    recipe: str = "auto"
    """A named recipe, a recipe.json, or auto; every other option changes a field of it."""
    init: str | None = None
    """Weights to start from: a run folder, a file, hf:ID, or none."""
    resume: bool = False
    """Go on with the run in --out, exactly."""
    overwrite: bool = False
    """Replace the run in --out."""
    stop_after: int | None = None
    """Stop after so many epochs; the schedule stays that of --epochs."""
    seeds: int | None = None
    """Repeat with so many seeds, into OUT/seed-0, OUT/seed-1...: mean, spread and interval."""
    json: bool = False
    """Print one JSON document on stdout, all else on stderr."""
    quiet: bool = False
    """Say nothing on the console; log.txt has it all."""
    family: str | None = None
    """Whose weights --init is, where the file cannot tell: mvd-finetune and others."""
    allow_missing: bool = False
    """Start anew what --init lacks, and leave aside what it has too much."""


def parse(
    kind: type[Options],
    words: Sequence[str],
    command: str,
    *,
    default: Options | None = None,
    examples: Sequence[str] = (),
) -> Options:
    """The options of a command; an unknown one is refused with the nearest names (exit code 2)."""
    told = (kind.__doc__ or "") + "\n\n" + "\n".join(f"  {example}" for example in examples)
    words = ["--out" if word == "-o" else word for word in words]
    prog = f"everest {command}"
    if default is None:
        return tyro.cli(kind, args=words, prog=prog, description=told)
    return tyro.cli(kind, args=words, prog=prog, description=told, default=default)


def check_place(path: Path, option: str) -> None:
    """Refuses, before any work, a file that cannot be written there: ValueError."""
    if path.is_dir():
        raise ValueError(f"{option} {path}: is a folder; give a file in it")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{option} {path}: there is no folder {path.absolute().parent}; make it")


def print_json(document: dict[str, Any] | list[Any]) -> None:
    """One document on stdout, its schema first."""
    if isinstance(document, dict):
        document = {"schema": 1, **document}
    json.dump(document, sys.stdout, indent=1)
    sys.stdout.write("\n")
