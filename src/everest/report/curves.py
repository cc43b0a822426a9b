"""This file decides how the metrics of a run become curves.png."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from everest.report.canvas import letters

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Line = dict[str, Any]

BLUE, ORANGE, GREY, GREEN = "#0087be", "#e08600", "#8a8f98", "#0f8f6b"
PALE = "#9fcfe4"
POINTS = 1500  # of a curve at most; longer ones are averaged over equal parts
FEW = 40  # points up to which each gets a mark, so that a single one is seen
WIDE = 4.6  # inches of a panel
LETTERS = 7  # of the title to an inch, at most
HELD_OUT = (
    ("held_out", "held-out clips", BLUE, "-"),
    ("constant", "a constant prediction", GREY, ":"),
    ("other_clip", "reading another clip", ORANGE, "--"),
)


def draw_curves(metrics: Sequence[Line], path: Path | str, title: str) -> None:
    """Draws training loss, validation and learning rate over steps into a PNG file.

    metrics are lines of metrics.jsonl: `kind` ("step", "epoch", "eval" or "probe"), `step`, `loss`,
    `lr`; an eval line may hold `held_out` (else its `loss`), `constant`, `other_clip` and `top1`, a
    probe line `linear`, `knn` and `majority`.
    Values that are missing or not finite leave gaps; panels without any value are left out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [_losses]
    if any(_has(metrics, "eval", name) for name in ("held_out", "loss", "constant", "other_clip")):
        panels.append(_held_out)
    if _has(metrics, "eval", "top1"):
        panels.append(_top1)
    if _has(metrics, "probe", "linear"):
        panels.append(_probes)
    if any(_has(metrics, kind, "lr") for kind in ("step", "epoch")):
        panels.append(_rate)
    figure = Figure(figsize=(WIDE * len(panels), 3.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    heading = plain(title, longest=int(LETTERS * WIDE * len(panels)))
    figure.suptitle(heading, x=0.01, ha="left", fontsize=12, fontweight="bold", parse_math=False)
    for axes, draw in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(axes, metrics)
        _tidy(axes)
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        figure.savefig(part, format="png", metadata={"Software": None})
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def plain(text: str, *, longest: int) -> str:
    """Makes any text drawable: one line, its middle left out, '?' for letters the font lacks."""
    line = " ".join(text.split())
    if len(line) > longest:
        half = (longest - 3) // 2
        line = f"{line[:half]} … {line[-half:]}"
    known = letters()
    return "".join(letter if letter in known else "?" for letter in line)


def _number(value: object) -> float:
    """Reads a metric; what is no finite number becomes a gap."""
    if isinstance(value, int | float) and np.isfinite(value):
        return float(value)
    return float("nan")


def _curve(metrics: Sequence[Line], kind: str, *names: str) -> tuple[np.ndarray, np.ndarray]:
    """Takes steps and values, (points,) each, of the first of these names that a line holds."""
    lines = [line for line in metrics if line.get("kind") == kind]
    found = [
        (line.get("step"), next((line[n] for n in names if n in line), None)) for line in lines
    ]
    pairs = np.array([(_number(step), _number(value)) for step, value in found]).reshape(-1, 2)
    return _thinned(pairs[np.isfinite(pairs[:, 0])])


def _thinned(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(pairs) <= POINTS:
        return pairs[:, 0], pairs[:, 1]
    parts = np.array_split(pairs, POINTS)
    means = [
        part[np.isfinite(part[:, 1])].mean(axis=0) if np.isfinite(part[:, 1]).any() else part[0]
        for part in parts
    ]
    return np.array(means)[:, 0], np.array(means)[:, 1]


def _has(metrics: Sequence[Line], kind: str, name: str) -> bool:
    return bool(np.isfinite(_curve(metrics, kind, name)[1]).any())


def _plot(
    axes: Axes,
    curve: tuple[np.ndarray, np.ndarray],
    label: str,
    *,
    colour: str,
    style: str = "-",
    width: float = 1.8,
) -> None:
    steps, values = curve
    if not np.isfinite(values).any():
        return
    mark = "o" if len(steps) <= FEW else ""
    axes.plot(steps, values, style, color=colour, label=label, lw=width, marker=mark, ms=3.5)


def _losses(axes: Axes, metrics: Sequence[Line]) -> None:
    steps = _curve(metrics, "step", "loss")
    _plot(axes, steps, "each interval", colour=PALE, width=1.0)
    _plot(axes, _curve(metrics, "epoch", "loss"), "each epoch", colour=BLUE)
    lines = [line for line in metrics if line.get("kind") == "step" and "loss" in line]
    lost = sum(not np.isfinite(_number(line["loss"])) for line in lines)
    if not axes.lines:
        axes.text(0.5, 0.5, "no value yet", transform=axes.transAxes, ha="center", color=GREY)
    axes.set_title(
        "training loss" + (f" ({lost} not finite)" if lost else ""), loc="left", fontsize=11
    )


def _held_out(axes: Axes, metrics: Sequence[Line]) -> None:
    for name, label, colour, style in HELD_OUT:
        names = (name, "loss") if name == "held_out" else (name,)
        _plot(axes, _curve(metrics, "eval", *names), label, colour=colour, style=style)
    axes.set_title("held-out loss", loc="left", fontsize=11)


def _top1(axes: Axes, metrics: Sequence[Line]) -> None:
    _plot(axes, _curve(metrics, "eval", "top1"), "top-1", colour=GREEN)
    axes.set_title("held-out top-1", loc="left", fontsize=11)
    axes.set_ylim(bottom=0)


def _probes(axes: Axes, metrics: Sequence[Line]) -> None:
    _plot(axes, _curve(metrics, "probe", "linear"), "linear", colour=GREEN)
    _plot(axes, _curve(metrics, "probe", "knn"), "nearest neighbours", colour=BLUE)
    _plot(
        axes,
        _curve(metrics, "probe", "majority"),
        "the most frequent class",
        colour=GREY,
        style=":",
    )
    axes.set_title("top-1 of probes on frozen features", loc="left", fontsize=11)
    axes.set_ylim(bottom=0)


def _rate(axes: Axes, metrics: Sequence[Line]) -> None:
    kind = "step" if _has(metrics, "step", "lr") else "epoch"
    _plot(axes, _curve(metrics, kind, "lr"), "learning rate", colour=GREY)
    axes.set_title("learning rate", loc="left", fontsize=11)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda rate, _: f"{rate:g}")


def _tidy(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("step", color=GREY)
    axes.tick_params(colors=GREY, labelsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.grid(axis="y", color="#e8e8e6", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#c8c8c6")
    axes.margins(x=0.03)
    lines, labels = axes.get_legend_handles_labels()
    if len(lines) > 1:
        axes.legend(lines, labels, frameon=False, fontsize=9)
