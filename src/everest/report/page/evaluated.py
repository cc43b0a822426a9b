"""This file decides what a page shows of an evaluation: confusions, worst clips, calibration."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from everest.report.page.facts import PREDICTIONS, Facts
from everest.report.page.series import finite
from everest.report.page.words import Bar, figure, percent
from everest.spreadsheet import text_of

MOST_CLASSES = 24  # of a confusion matrix that is drawn cell by cell
MOST_CLIPS = 600  # listed in the page; the wrong and sure ones first
MOST_PAIRS = 15  # commonest confusions
MOST_BARS = 20  # classes, the least recognised ones
WORST = 12


@dataclass(frozen=True)
class Prediction:
    """One line of predictions.csv."""

    path: str
    label: str
    predicted: str
    p: float

    @property
    def is_right(self) -> bool:
        return self.label == self.predicted


def read_predictions(path: Path) -> dict[str, list[Prediction]]:
    """Label column -> predictions of clips whose label is known; {} where the file is not there
    or is another file."""
    found: dict[str, list[Prediction]] = {}
    if not path.is_file():
        return found
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        for line in csv.DictReader(file):
            label, predicted = cell_of(line, "label"), cell_of(line, "predicted")
            if not label or not predicted or line.get("weight") in ("0", "0.0"):
                continue
            try:
                p = float(line.get("p") or "nan")
            except ValueError:
                continue
            if math.isfinite(p):
                one = Prediction(cell_of(line, "path"), label, predicted, p)
                found.setdefault(cell_of(line, "column") or "label", []).append(one)
    return found


def cell_of(line: dict[str, Any], name: str) -> str:
    return text_of(line.get(name) or "")


@dataclass(frozen=True)
class Confusion:
    """Which class is taken for which."""

    names: list[str]
    counts: list[list[int]]  # a row a true class, a column a predicted one

    @property
    def is_drawn(self) -> bool:
        return len(self.names) <= MOST_CLASSES

    @property
    def shares(self) -> list[list[float]]:
        """Of each row, so that classes with many clips do not hide the others."""
        return [[count / max(sum(row), 1) for count in row] for row in self.counts]

    @property
    def pairs(self) -> list[tuple[str, str, int, float]]:
        """(true, predicted, clips, share of the true class), the commonest confusions first."""
        found = [
            (self.names[row], self.names[column], count, self.shares[row][column])
            for row, counts in enumerate(self.counts)
            for column, count in enumerate(counts)
            if row != column and count
        ]
        return sorted(found, key=lambda pair: -pair[2])[:MOST_PAIRS]


def confusion_of(figures: dict[str, Any]) -> Confusion | None:
    names, counts = figures.get("names"), figures.get("confusion")
    if not names or not counts or len(names) != len(counts):
        return None
    return Confusion([str(name) for name in names], counts)


def counted(predictions: Sequence[Prediction]) -> Confusion:
    names = sorted({name for one in predictions for name in (one.label, one.predicted)})
    places = {name: place for place, name in enumerate(names)}
    counts = [[0] * len(names) for _ in names]
    for one in predictions:
        counts[places[one.label]][places[one.predicted]] += 1
    return Confusion(names, counts)


@dataclass(frozen=True)
class Calibration:
    """Whether 80 % sure means right in 80 of 100 cases: clips in groups by how sure it is."""

    bins: list[tuple[float, float, int]]  # mean probability, share that is right, clips
    error: float  # expected calibration error: the mean gap, weighted by clips

    def to_json(self) -> dict[str, Any]:
        return {"bins": self.bins, "error": self.error}


def calibration_of(figures: dict[str, Any]) -> Calibration | None:
    bins = [
        (float(part["confidence"]), float(part["accuracy"]), int(part["clips"]))
        for part in figures.get("calibration") or []
        if part.get("clips")
    ]
    total = sum(count for _, _, count in bins)
    if not total:
        return None
    error = sum(count * abs(sure - right) for sure, right, count in bins) / total
    return Calibration(bins, error)


@dataclass(frozen=True)
class Share:
    """One share of tokens that was evaluated."""

    name: str
    figure: str
    gmac: float | None
    clips_per_second: float | None


def shares_of(facts: Facts) -> list[Share]:
    """What reading fewer tokens lost and saved; [] where one share alone was evaluated."""
    found = []
    for document in facts.evaluation.get("compare") or []:
        figures: dict[str, Any] = next(iter((document.get("columns") or {}).values()), {})
        first = figure(figures)
        select = document.get("select") or ""
        found.append(
            Share(
                f"{select} {document.get('keep')}".strip(),
                " ".join(reversed(first)) if first else "–",
                finite(document.get("gflops")),
                finite(document.get("clips_per_second")),
            )
        )
    return found


@dataclass(frozen=True)
class Evaluated:
    """What is shown of one label column."""

    column: str
    figures: dict[str, Any]
    confusion: Confusion | None
    calibration: Calibration | None
    worst: list[Prediction]
    listed: list[Prediction]  # what a click on the matrix can show
    total: int  # predictions there are

    @property
    def per_class(self) -> list[tuple[str, float]]:
        """Accuracy of each class, the lowest first."""
        shares = self.figures.get("per_class") or {}
        known = [(str(name), float(value)) for name, value in shares.items() if value is not None]
        return sorted(known, key=lambda pair: (pair[1], pair[0]))

    @property
    def class_bars(self) -> list[Bar]:
        lowest = self.per_class[:MOST_BARS]
        return [Bar(name, percent(share), share, "main") for name, share in lowest]


def evaluated(facts: Facts) -> list[Evaluated]:
    """A label column each; [] where the run was not evaluated."""
    columns = facts.evaluation.get("columns") or {}
    predictions = read_predictions(facts.path / PREDICTIONS) if columns else {}
    found = []
    for column, figures in columns.items():
        confusion = confusion_of(figures)
        own = predictions.get(column, []) if figures.get("kind", "class") == "class" else []
        if confusion is not None and not same(confusion, counted(own)):
            own = []  # the table is of another evaluation
        confusion = confusion or (counted(own) if own else None)
        # Sure and wrong first: those say most about what went astray.
        ranked = sorted(own, key=lambda one: (one.is_right, -one.p, one.path))
        worst = [one for one in ranked if not one.is_right] or listed_worst(figures)
        found.append(
            Evaluated(
                column,
                figures,
                confusion,
                calibration_of(figures),
                worst[:WORST],
                ranked[:MOST_CLIPS],
                len(own),
            )
        )
    return found


def same(one: Confusion, other: Confusion) -> bool:
    def pairs(of: Confusion) -> dict[tuple[str, str], int]:
        return {
            (of.names[row], of.names[place]): count
            for row, counts in enumerate(of.counts)
            for place, count in enumerate(counts)
            if count
        }

    return pairs(one) == pairs(other)


def listed_worst(figures: dict[str, Any]) -> list[Prediction]:
    """The surest mistakes that the evaluation itself lists."""
    return [
        Prediction(str(one["path"]), str(one["label"]), str(one["predicted"]), float(one["p"]))
        for one in figures.get("worst") or []
    ]
