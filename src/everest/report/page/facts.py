"""This file decides what a report knows of a run: what stands in its folder, and nothing else."""

import json
import shlex
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from everest.folder import FolderError, RunFolder

LOOKS = "samples/looks.json"  # what was computed with the model for the report
EVALUATION = "evaluation.json"  # what everest evaluate found
PREDICTIONS = "predictions.csv"
HEADER_MOST = 100_000_000  # bytes of a weights file's header


@dataclass(frozen=True)
class Facts:
    """A run, as its folder tells it."""

    path: Path
    recipe: dict[str, Any]
    config: dict[str, Any]  # config.json of the model; {} before weights were saved
    metrics: list[dict[str, Any]]
    timings: list[dict[str, Any]]
    data: dict[str, Any]
    commands: list[str]  # what was typed, the oldest first
    environment: dict[str, str]
    evaluation: dict[str, Any] = field(default_factory=dict)
    looks: dict[str, Any] = field(default_factory=dict)
    parameters: int | None = None

    @property
    def name(self) -> str:
        return self.path.absolute().name

    @property
    def job(self) -> str:
        """pretrain or finetune."""
        return str(self.recipe.get("job", "pretrain"))

    @property
    def classes(self) -> dict[str, list[str]]:
        """Label column -> names of its classes."""
        found = self.data.get("classes") if self.job == "finetune" else {}
        return {column: list(names) for column, names in (found or {}).items()}

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """Lines of metrics.jsonl."""
        return [line for line in self.metrics if line.get("kind") == kind]

    @cached_property
    def epochs(self) -> list[dict[str, Any]]:
        return self.of_kind("epoch")

    @cached_property
    def evals(self) -> list[dict[str, Any]]:
        return self.of_kind("eval")

    @property
    def epochs_done(self) -> int:
        return int(self.epochs[-1]["epoch"]) if self.epochs else 0

    @property
    def epochs_asked(self) -> int:
        return int(self.recipe.get("epochs") or self.epochs_done)

    @property
    def is_finished(self) -> bool:
        return self.epochs_done >= self.epochs_asked

    @cached_property
    def timings_by_epoch(self) -> dict[int, dict[str, Any]]:
        """The last line of an epoch counts: a resumed run may have made one twice."""
        found = {int(line["epoch"]): line for line in self.timings if "epoch" in line}
        return dict(sorted(found.items()))

    @cached_property
    def seconds(self) -> float:
        """Of training, validations aside."""
        return sum(line.get("seconds") or 0.0 for line in self.timings_by_epoch.values())

    def mean_timing(self, name: str) -> float | None:
        """Clips a second or the share of waiting, over the time that the epochs took."""
        lines = [(line.get("seconds"), line.get(name)) for line in self.timings_by_epoch.values()]
        known = [(seconds, value) for seconds, value in lines if seconds and value is not None]
        total = sum(seconds for seconds, _ in known)
        return sum(seconds * value for seconds, value in known) / total if total else None


def read_facts(path: Path | str, config: dict[str, Any] | None = None) -> Facts:
    """A run folder -> what it tells; raises FolderError where it is none or is damaged.

    `config` is that of a run whose weights are not saved yet.
    """
    folder = RunFolder(Path(path))
    if not (folder.path / "recipe.json").is_file():
        raise FolderError(
            f"{folder.path}: not a run folder (it has no recipe.json); give the --out of an "
            f"everest pretrain or finetune"
        )
    return Facts(
        folder.path,
        document(folder, "recipe.json"),
        config or config_of(folder),
        list(lines(folder.path / "metrics.jsonl")),
        list(lines(folder.path / "timings.jsonl")),
        document(folder, "data.json"),
        commands(folder.path / "command.txt"),
        document(folder, "env.json"),
        document(folder, EVALUATION),
        document(folder, LOOKS),
        parameters(folder.weights("last") / "model.safetensors"),
    )


def document(folder: RunFolder, name: str) -> dict[str, Any]:
    """A JSON document of the folder; {} where it is not there."""
    if not (folder.path / name).is_file():
        return {}
    content = folder.read_json(name)
    if not isinstance(content, dict):
        raise FolderError(f"{folder.path / name}: holds no JSON object: no run wrote it")
    return content


def config_of(folder: RunFolder) -> dict[str, Any]:
    for which in ("last", "best"):
        found = document(folder, f"weights/{which}/config.json")
        if found:
            return found
    return {}


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a .jsonl file; one that a running process has half written is left out."""
    if not path.is_file():
        return
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if isinstance(line, dict):
            yield line


def commands(path: Path) -> list[str]:
    """What was typed, a command a line; a name with a line break in it makes one command."""
    if not path.is_file():
        return []
    found: list[str] = []
    waiting = ""
    for line in path.read_text(encoding="utf-8", errors="surrogateescape").split("\n"):
        waiting = f"{waiting}\n{line}" if waiting else line
        try:
            words = shlex.split(waiting)
        except ValueError:  # within quotes: the command goes on in the next line
            continue
        if words:
            found.append(waiting)
        waiting = ""
    return found


def parameters(path: Path) -> int | None:
    """How many numbers a weights file holds, from its header alone; None where there is none."""
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > HEADER_MOST:
                return None
            header = json.loads(file.read(size))
    except (OSError, ValueError, struct.error):
        return None
    count = 0
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        numbers = 1
        for side in tensor["shape"]:
            numbers *= side
        count += numbers
    return count
