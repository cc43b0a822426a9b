"""This file decides what an evaluation amounts to, as a document: figures with their intervals,
the clips behind them, what was not read and what was trained on.

N clips that could be read; K classes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from everest.config import ModelConfig
from everest.index import Row
from everest.kinds import kind_of
from everest.metrics.columns import Column, document
from everest.metrics.confusion import most_confused, surest_mistakes
from everest.metrics.resampling import RESAMPLES, units_of
from everest.predicting import Predictions

WORST = 20  # clips named wrongly with most confidence that are listed
APART = ("confusion", "calibration")  # not given again for the clips that were not trained on


@dataclass(frozen=True)
class Evaluated:
    """Predictions, and the rows they are of."""

    config: ModelConfig
    rows: Sequence[Row]  # all that were asked for
    found: Predictions
    learnt: Collection[str]  # paths that the model was trained on
    seed: int = 0  # of the resamples

    @property
    def read(self) -> list[Row]:
        """(N,) rows that could be read."""
        return [self.rows[number] for number in self.found.rows]

    def column(self, name: str) -> Column:
        units = units_of([unit_of(row) for row in self.read])
        return Column(
            kind_of(self.config.kinds, name),
            self.config.classes[name],
            self.found.probabilities[name],
            self.found.labels[name],
            units,
        )

    @property
    def fresh(self) -> np.ndarray:
        """(N,) whether the model was not trained on that file."""
        return np.array([row.path not in self.learnt for row in self.read], dtype=bool)


def unit_of(row: Row) -> tuple[str, str]:
    """What is drawn whole: the group of a clip, or its file, which may hold several clips."""
    return ("group", row.group) if row.group is not None else ("file", row.path)


def columns_document(evaluated: Evaluated, resamples: int = RESAMPLES) -> dict[str, dict[str, Any]]:
    """Label column -> its figures; `trained_on` counts clips of the model's training, and where
    there are some `held_out` has the figures of the others."""
    found = {}
    for name in evaluated.config.classes:
        column = evaluated.column(name)
        figures = document(column, seed=evaluated.seed, resamples=resamples)
        if column.kind == "class" and figures["clips"]:
            figures |= mistakes(evaluated, column)
        fresh, known = evaluated.fresh, column.known
        figures["trained_on"] = int((known & ~fresh).sum())
        if figures["trained_on"] and (known & fresh).any():
            apart = document(column.part(fresh), seed=evaluated.seed, resamples=resamples)
            figures["held_out"] = {key: apart[key] for key in apart if key not in APART}
        found[name] = figures
    return found


def mistakes(evaluated: Evaluated, column: Column) -> dict[str, Any]:
    """Which classes are taken for which, with the clips; which clips are worst."""
    places = np.flatnonzero(column.known)
    known = column.part(places)

    def clip(at: int) -> dict[str, Any]:
        row = evaluated.read[places[at]]
        label, predicted = int(known.labels[at]), int(known.said[at].argmax())
        return {
            "path": row.path,
            "start": row.start,
            "end": row.end,
            "label": column.names[label],
            "predicted": column.names[predicted],
            "p": float(known.said[at, predicted]),
            "p_label": float(known.said[at, label]),
        }

    return {
        "confused": [
            {
                "label": column.names[pair.label],
                "predicted": column.names[pair.predicted],
                "clips": pair.clips,
                "share": pair.share,
                "worst": [clip(at) for at in pair.worst],
            }
            for pair in most_confused(known.said, known.labels)
        ],
        "worst": [clip(at) for at in surest_mistakes(known.said, known.labels, WORST)],
    }


def resampled(rows: Sequence[Row], resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """How the bootstrap intervals were made."""
    units = {unit_of(row) for row in rows}
    by = "group" if any(row.group is not None for row in rows) else "file"
    return {"by": by, "units": len(units), "resamples": resamples, "seed": seed}
