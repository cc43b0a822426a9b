"""This file decides which curves a page has, and which points of them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from everest.report.page.facts import Facts

POINTS = 500  # of a curve at most: longer ones are averaged over equal parts
Unit = Literal["number", "percent", "rate"]
Role = Literal["main", "pale", "second", "third"]
Point = tuple[float, float | None]  # step, value


@dataclass(frozen=True)
class Curve:
    """One line of a chart."""

    name: str
    points: list[Point]
    role: Role = "main"
    run: int = 0

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "points": self.points, "role": self.role, "run": self.run}


@dataclass(frozen=True)
class Chart:
    """A picture of curves over the run, with what a newcomer reads under it."""

    name: str
    title: str
    caption: str
    curves: list[Curve] = field(default_factory=list)
    unit: Unit = "number"
    from_zero: bool = False
    is_small: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "zero": self.from_zero,
            "small": self.is_small,
            "curves": [curve.to_json() for curve in self.curves],
        }


def finite(value: object) -> float | None:
    """A metric as JSON can hold it: None is a gap."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def curve_of(lines: Iterable[dict[str, Any]], name: str) -> list[Point]:
    """(step, value) of each line that has the name; [] where none holds a number."""
    pairs = [(finite(line.get("step")), finite(line.get(name))) for line in lines if name in line]
    points = [(step, value) for step, value in pairs if step is not None]
    return thinned(points) if any(value is not None for _, value in points) else []


def thinned(points: Sequence[Point]) -> list[Point]:
    """At most POINTS points: means over equal parts."""
    if len(points) <= POINTS:
        return [(step, rounded(value)) for step, value in points]
    found: list[Point] = []
    for part in range(POINTS):
        piece = points[part * len(points) // POINTS : (part + 1) * len(points) // POINTS]
        values = [value for _, value in piece if value is not None]
        mean = sum(values) / len(values) if values else None
        found.append((round(sum(step for step, _ in piece) / len(piece), 1), rounded(mean)))
    return found


def rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def timing_curve(facts: Facts, name: str) -> list[Point]:
    """(step, value) of each epoch's line of timings.jsonl."""
    steps = {line["epoch"]: line["step"] for line in facts.epochs}
    return curve_of(
        (
            {"step": steps[epoch], **line}
            for epoch, line in facts.timings_by_epoch.items()
            if epoch in steps
        ),
        name,
    )


def clock(facts: Facts) -> list[tuple[float, float, float]]:
    """(step, epoch, hours of training) at the end of each epoch, so that an axis can be any."""
    found = [(0.0, 0.0, 0.0)]
    hours = 0.0
    for line in facts.epochs:
        timing = facts.timings_by_epoch.get(line["epoch"], {})
        hours += (timing.get("seconds") or 0.0) / 3600
        found.append((float(line["step"]), float(line["epoch"]), float(f"{hours:.6g}")))
    return found


def charts_of(facts: Facts) -> list[Chart]:
    """The charts of one run; those without any value are left out."""
    steps, evals = facts.of_kind("step"), facts.evals
    learning = [
        Curve("every few steps", curve_of(steps, "loss"), "pale"),
        Curve("mean of an epoch", curve_of(facts.epochs, "loss")),
    ]
    if facts.job == "finetune":
        learning.append(Curve("validation clips", curve_of(evals, "loss"), "second"))
    found = [
        Chart(
            "loss",
            "Training loss",
            "What training makes small. It should fall quickly at first and then ever more slowly. "
            + (
                "Where the validation curve rises while the training curve falls, the model "
                "learns its clips by heart."
                if facts.job == "finetune"
                else "Its pale curve jumps about, since each point is one batch."
            ),
            learning,
        ),
        Chart(
            "held_out",
            "Loss on held-out clips",
            "The same loss on clips that were never learnt from. The dotted line is a model that "
            "predicts the same constant everywhere; the dashed one is this model when it reads "
            "another clip than the one it has to complete.",
            [
                Curve("held-out clips", curve_of(evals, "held_out")),
                Curve("reading another clip", curve_of(evals, "other_clip"), "second"),
                Curve("a constant prediction", curve_of(evals, "constant"), "third"),
            ],
            from_zero=True,
        ),
        *accuracy_charts(evals),
        Chart(
            "speed",
            "Speed",
            "Clips a second, an epoch a point. Dips are other work on the machine.",
            [Curve("clips a second", timing_curve(facts, "clips_per_second"))],
            from_zero=True,
            is_small=True,
        ),
        Chart(
            "wait",
            "Waiting for data",
            "Share of the time in which training waited for videos to be decoded. Above 30 %, "
            "--cache or more --workers make the run faster.",
            [Curve("data wait", timing_curve(facts, "data_wait"))],
            unit="percent",
            from_zero=True,
            is_small=True,
        ),
        Chart(
            "rate",
            "Learning rate",
            "How far a step moves the weights: a warm-up, then a slow descent.",
            [Curve("learning rate", curve_of(steps or facts.epochs, "lr"))],
            unit="rate",
            from_zero=True,
            is_small=True,
        ),
        Chart(
            "gradient",
            "Gradient norm",
            "How strongly the clips of a step pull at the weights. Peaks without end are a sign "
            "of a learning rate that is too high.",
            [Curve("gradient norm", curve_of(steps, "gradient_norm"))],
            from_zero=True,
            is_small=True,
        ),
    ]
    return [kept for chart in found if (kept := without_empty(chart)) is not None]


def without_empty(chart: Chart) -> Chart | None:
    curves = [curve for curve in chart.curves if curve.points]
    if not curves:
        return None
    return Chart(
        chart.name,
        chart.title,
        chart.caption,
        curves,
        chart.unit,
        chart.from_zero,
        chart.is_small,
    )


# Figure of a validation -> title and unit; others are shown by their own name.
FIGURES: dict[str, tuple[str, Unit]] = {
    "top1": ("Accuracy (top-1)", "percent"),
    "top5": ("Accuracy (top-5)", "percent"),
    "mean_class": ("Mean accuracy of the classes", "percent"),
    "map": ("Mean average precision", "percent"),
    "mse": ("Mean squared error", "number"),
    "mae": ("Mean absolute error", "number"),
    "pearson": ("Correlation (Pearson)", "number"),
    "explained": ("Share of the variance explained", "number"),
}
COUNTS = ("clips", "missing")
ROLES: tuple[Role, ...] = ("main", "second", "third")


def accuracy_charts(evals: Sequence[dict[str, Any]]) -> list[Chart]:
    """A chart a figure of the validations, a curve a label column."""
    names: dict[str, dict[str, list[dict[str, Any]]]] = {}  # figure -> column -> lines
    for line in evals:
        for column, figures in (line.get("columns") or {}).items():
            for name, value in figures.items():
                if name not in COUNTS and (value is None or finite(value) is not None):
                    place = names.setdefault(name, {}).setdefault(column, [])
                    place.append({"step": line.get("step"), name: value})
    found = []
    for name, columns in names.items():
        title, unit = FIGURES.get(name, (name, "number"))
        alone = len(columns) == 1
        curves = [
            Curve("validation clips" if alone else column, curve_of(lines, name), role)
            for (column, lines), role in zip(
                columns.items(), (*ROLES, *(ROLES[-1] for _ in columns)), strict=False
            )
        ]
        caption = "On the validation clips, which were never learnt from."
        found.append(Chart(name, title, caption, curves, unit, from_zero=True))
    return found


def compared(runs: Sequence[Facts], labels: Sequence[str]) -> list[Chart]:
    """The charts of several runs, the main curve of each run in one picture."""
    made = [charts_of(facts) for facts in runs]
    order = list(dict.fromkeys(chart.name for charts in made for chart in charts))
    found = []
    for name in order:
        chosen = [
            (number, chart)
            for number, charts in enumerate(made)
            for chart in charts
            if chart.name == name
        ]
        first = chosen[0][1]
        curves = [
            Curve(labels[number], curve.points, "main", number)
            for number, chart in chosen
            for curve in chart.curves
            if curve.role == "main"
        ]
        caption = COMPARED.get(name, first.caption)
        found.append(
            Chart(name, first.title, caption, curves, first.unit, first.from_zero, first.is_small)
        )
    return [chart for chart in found if chart.curves]


COMPARED = {
    "loss": "The mean loss of each epoch. Losses of runs with other targets, other shares of "
    "tokens or another job are not on one scale.",
    "held_out": "The loss on clips that were never learnt from; lower is better where the runs "
    "predict the same thing.",
}
