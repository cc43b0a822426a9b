"""This file decides what is said of the machine that measured: hardware, versions, commit."""

import os
import subprocess
from pathlib import Path
from typing import Any

import torch

from everest.folder import environment
from everest.machine import Machine


def where(place: Machine) -> dict[str, Any]:
    """The machine as a document: what figures of time and memory belong to."""
    return {
        "device": place.told(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),  # processes that wanted a core, in the last minute
        "precision": place.precision,
        "versions": environment(),
        "commit": commit(),
    }


def commit() -> str:
    """The package's commit, with a word where its files differ; empty outside of its repository."""
    root = Path(__file__).resolve().parents[3]
    git = ["git", "-C", str(root)]
    try:
        top = subprocess.run(
            [*git, "rev-parse", "--show-toplevel", "--short", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--", "src"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    # An installed copy may lie in somebody else's repository.
    if not top or Path(top[0]).resolve() != root or not (root / "src" / "everest").is_dir():
        return ""
    return f"{top[-1]} and changes beside it" if changed else top[-1]


def told(machine: dict[str, Any]) -> list[str]:
    """Two lines for people."""
    versions = machine["versions"]
    parts = [f"torch {versions.get('torch', '?')}", f"Python {versions.get('python', '?')}"]
    if machine["commit"]:
        parts.append(f"commit {machine['commit']}")
    return [
        f"{machine['device']}; {machine['cores']} cores, load {machine['load']}",
        ", ".join(parts),
    ]
