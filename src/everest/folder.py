"""This file decides the run folder on disk: what stands where, and when it may be written."""

import json
import os
import platform
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from everest import locking
from everest.checkpoint import write_text
from everest.room import writing
from everest.version import __version__

WRITTEN = frozenset(  # all that a run leaves in its folder
    "recipe.json command.txt env.json log.txt metrics.jsonl timings.jsonl data.json curves.png"
    " predictions.csv samples state weights report.html README.md evaluation.json"
    " evaluation run.lock".split()
)
STARTED = frozenset({"log.txt", "samples"})  # by a run that ended before its recipe was written


class FolderError(ValueError):
    """An output folder that cannot be used."""


@dataclass(frozen=True)
class RunFolder:
    path: Path

    @property
    def state(self) -> Path:
        return self.path / "state"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    def weights(self, which: str) -> Path:
        """`last` or `best`: an export."""
        return self.path / "weights" / which

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Refuses a folder that no run can be written to, changing nothing: FolderError."""
        if resume and overwrite:
            raise FolderError("--resume and --overwrite: give one of them")
        if self.path.is_symlink() and not self.path.exists():
            raise FolderError(f"--out {self.path}: a link that leads nowhere; give a folder")
        if self.path.exists() and not self.path.is_dir():
            raise FolderError(f"--out {self.path}: is a file; give a folder")
        nearest = self.path.absolute()
        while not nearest.exists():
            nearest = nearest.parent
        if not nearest.is_dir():
            raise FolderError(f"--out {self.path}: {nearest} is a file; give a folder")
        try:
            # Permission bits tell root and network disks nothing: a file without a name does.
            tempfile.TemporaryFile(dir=nearest).close()
        except OSError as error:
            raise FolderError(
                f"--out {self.path}: {nearest} cannot be written ({error.strerror}); give a "
                f"folder you own"
            ) from error
        holder = locking.holder(self.path)
        if holder is not None:
            raise FolderError(locking.refusal(self.path, holder))
        if self.path.exists() and any(it.name != locking.NAME for it in self.path.iterdir()):
            if overwrite:
                self.refuse_foreign()
            elif not resume:
                raise FolderError(
                    f"--out {self.path}: is not empty; go on with --resume, replace it with "
                    f"--overwrite, or give another folder"
                )

    def prepare(self, *, resume: bool, overwrite: bool) -> None:
        """Makes the folder, or refuses; raises FolderError."""
        self.check(resume=resume, overwrite=overwrite)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            locking.take(self.path)
            if overwrite:
                self.empty()
            probe = self.path / ".writable"
            probe.write_text("")
            probe.unlink()
            self.samples.mkdir(exist_ok=True)
        except locking.Locked as error:  # another run was quicker
            raise FolderError(str(error)) from error
        except OSError as error:
            raise FolderError(
                f"--out {self.path}: cannot be written ({error.strerror}); give a folder you own"
            ) from error

    def refuse_foreign(self) -> None:
        """Refuses to replace a folder that holds anything but one run: it would be removed too."""
        names = {entry.name for entry in self.path.iterdir()}
        foreign = sorted(names - WRITTEN)
        if foreign:
            raise FolderError(
                f"--out {self.path} --overwrite: holds {', '.join(foreign[:3])}, which no run "
                f"writes and which would be lost; move it, or give another folder"
            )
        if "recipe.json" not in names and not names <= STARTED:
            raise FolderError(
                f"--out {self.path} --overwrite: does not look like a run of everest "
                f"({', '.join(sorted(names)[:3])}); empty it yourself or give another folder"
            )

    def empty(self) -> None:
        """Removes a run."""
        for entry in self.path.iterdir():
            if entry.name == locking.NAME:
                continue  # ours, and its removal would let another in
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def write_json(self, name: str, content: Any) -> None:
        write_text(self.path / name, json.dumps(content, indent=1) + "\n")

    def read_json(self, name: str) -> Any:
        try:
            return json.loads((self.path / name).read_text())
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise FolderError(f"{self.path / name}: cannot be read ({error})") from error

    def describe(self, command: list[str]) -> None:
        """What was typed, and on what it runs."""
        with (self.path / "command.txt").open("a") as file:
            file.write(shlex.join(command) + "\n")
        self.write_json("env.json", environment())

    def append(self, name: str, line: dict[str, Any]) -> None:
        text = json.dumps(line) + "\n"
        with writing(self.path / name, len(text)), (self.path / name).open("a") as file:
            file.write(text)

    def metrics(self) -> list[dict[str, Any]]:
        return list(self.lines("metrics.jsonl"))

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        path = self.path / name
        if path.exists():
            with path.open() as file:
                yield from (json.loads(line) for line in file)

    def size(self, name: str) -> int:
        path = self.path / name
        return path.stat().st_size if path.exists() else 0

    def cut(self, name: str, size: int) -> None:
        """Cuts a file back to what it was when the state was saved."""
        path = self.path / name
        if path.exists():
            os.truncate(path, size)


def environment() -> dict[str, str]:
    """Versions for a bug report."""
    import torch

    packages = ("torch", "av", "numpy", "safetensors", "tyro", "rich", "matplotlib", "scikit-learn")
    return {
        "everest": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        **{package: metadata.version(package) for package in packages},
        "threads": str(torch.get_num_threads()),
    }
