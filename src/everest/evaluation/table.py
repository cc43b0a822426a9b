"""This file decides what predictions.csv says: a line a clip and label column."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from everest.config import ModelConfig
from everest.index import Row
from everest.kinds import ids_of, kind_of
from everest.predicting import Predictions
from everest.spreadsheet import cell

HEADER = ("path", "start", "end", "column", "label", "predicted", "p", "weight")
LIKELY = 0.5  # probability from which one of several classes counts as predicted
BETWEEN = ";"  # several classes of a cell


def write_predictions(
    path: Path, rows: Sequence[Row], found: Predictions, config: ModelConfig
) -> None:
    """HEADER and its lines; a clip that could not be read has weight 0 and no prediction.

    `p` is the probability of the class that is predicted, of several the highest, of a number
    empty. Text that a spreadsheet would compute has an apostrophe before it.
    """
    places = {int(number): at for at, number in enumerate(found.rows)}
    # A name may hold bytes that are no UTF-8: they are written as they are.
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for number, row in enumerate(rows):
            for column, names in config.classes.items():
                label = label_text(row, column, names, config)
                begin = [cell(row.path), row.start, row.end, cell(column), label]
                at = places.get(number)
                if at is None:
                    writer.writerow([*begin, "", "", 0])
                    continue
                kind = kind_of(config.kinds, column)
                said = found.probabilities[column][at]
                writer.writerow([*begin, *prediction(said, kind, names), 1])


def label_text(row: Row, column: str, names: Sequence[str], config: ModelConfig) -> str:
    """What is true of a clip; empty where it is not known."""
    label = row.labels.get(column)
    if kind_of(config.kinds, column) == "number":
        return "" if label is None else repr(label)
    return cell(BETWEEN.join(names[number] for number in ids_of(label)))


def prediction(said: np.ndarray, kind: str, names: Sequence[str]) -> tuple[str, str]:
    """(what is predicted, its probability) as text."""
    if kind == "number":
        return f"{float(said):.6g}", ""
    if kind == "multi":
        chosen = np.flatnonzero(said >= LIKELY)
        return cell(BETWEEN.join(names[at] for at in chosen.tolist())), f"{said.max():.6f}"
    best = int(said.argmax())
    return cell(names[best]), f"{said[best]:.6f}"
