"""This file decides what a probing amounts to: figures beside chance, as a document and as a file.

N clips that could be read; F numbers of a pooled vector.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from everest.checkpoint import write_text
from everest.index import Row
from everest.metrics import Accuracy
from everest.probes.features import Features
from everest.probes.setting import Chosen
from everest.selection import Budget
from everest.windows import span_seconds

WRITTEN = frozenset({"features.npz", "probe.json"})  # in a folder of figures


@dataclass(frozen=True)
class ProbeFigures:
    """What one probe names rightly, for one label column."""

    name: str
    setting: str
    chosen: Chosen
    parts: dict[str, Accuracy]  # val, test
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {
            self.setting: self.chosen.value,
            "chosen_by": self.chosen.how,
            "seconds": self.seconds,
            **{
                part: {"clips": figure.clips, **figure.to_json()}
                for part, figure in self.parts.items()
            },
        }


@dataclass(frozen=True)
class ColumnFigures:
    """All probes of one label column, and what knowing nothing would give."""

    classes: tuple[str, ...]
    clips: dict[str, int]  # read and labelled, a part
    majority: dict[str, float]  # of always naming the class most frequent in train, a part
    probes: tuple[ProbeFigures, ...]

    @property
    def chance(self) -> float:
        return 1 / len(self.classes)

    def to_json(self) -> dict[str, Any]:
        return {
            "classes": len(self.classes),
            "clips": self.clips,
            "chance": self.chance,
            "majority": self.majority,
            **{probe.name: probe.to_json() for probe in self.probes},
        }


@dataclass(frozen=True)
class Probed:
    """What the frozen features of a model are worth on labelled videos."""

    model: str
    kind: str  # autoencoder or classifier
    pool: str
    views: int
    keep: Budget
    read: int  # tokens of a clip, of `total`
    total: int
    columns: dict[str, ColumnFigures]
    features: Features
    rows: tuple[Row, ...]  # that the features' rows count
    trained_on: int  # clips measured on that the model itself was trained with
    bad: list[dict[str, str]]
    seconds: dict[str, float]  # of reading the features, of fitting the probes
    untrained: "Probed | None" = None  # the same model with its first weights, where asked

    def top1(self, probe: str = "linear", column: str | None = None) -> float:
        """Of the test part, or of val where there is none; raises ValueError for another name."""
        figures = self.columns[column if column is not None else next(iter(self.columns))]
        for found in figures.probes:
            if found.name == probe:
                return found.parts["test" if "test" in found.parts else "val"].top1
        names = ", ".join(found.name for found in figures.probes)
        raise ValueError(f"probe {probe}: was not fitted; there is {names}")

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "kind": self.kind,
            "pool": self.pool,
            "views": self.views,
            "keep": self.keep,
            "tokens": self.read,
            "tokens_in_all": self.total,
            "numbers": self.features.vectors.shape[1],
            "clips": len(self.features.rows),
            "missing": self.features.missing,
            "trained_on": self.trained_on,
            "bad": self.bad,
            "seconds": self.seconds,
            "columns": {name: figures.to_json() for name, figures in self.columns.items()},
            **({"untrained": self.untrained.to_json()} if self.untrained else {}),
        }

    def save(self, folder: str | Path) -> None:
        """Writes probe.json, and features.npz: vectors (N, F); paths, starts and ends in seconds
        (as `everest embed` has them) and splits, each (N,); labels (N, columns) by name, columns.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [self.rows[number] for number in self.features.rows]
        spans = [span_seconds(row) for row in rows]
        # A clip without a label has -1: the empty name at the end.
        names = {column: (*found.classes, "") for column, found in self.columns.items()}
        labels = [[names[column][row.labels[column]] for column in names] for row in rows]
        np.savez(
            folder / "features.npz",
            vectors=self.features.vectors,
            paths=np.array([row.path for row in rows]),
            starts=np.array([start for start, _ in spans]),
            ends=np.array([end for _, end in spans]),
            splits=np.array([row.split or "" for row in rows]),
            labels=np.array(labels),
            columns=np.array(list(names)),
        )
        document = {"schema": 1, **self.to_json()}
        write_text(folder / "probe.json", json.dumps(document, indent=1) + "\n")
