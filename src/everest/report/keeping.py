"""This file decides how one model at several shares of tokens looks: a line each, with what is
lost beside what is saved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from everest.report.confusion import save
from everest.report.curves import BLUE, GREEN, GREY, ORANGE, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#1c1e22"
LINE = 0.5  # inches of a line


@dataclass(frozen=True)
class Kept:
    """One share of tokens: figures, with their intervals where they have one."""

    name: str  # such as "keep 0.6"
    figure: float  # from 0 to 1, or what the column's figure is
    interval: tuple[float, float] | None
    gflops: float
    clips_per_second: float
    change: float | None  # of the figure from the first line, paired
    change_interval: tuple[float, float] | None


def draw_keeping(kept: Sequence[Kept], path: Path | str, title: str, figure_name: str) -> None:
    """Draws figure, cost and speed of each share of tokens, the first on top, into a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    high = LINE * len(kept) + 1.25
    figure = Figure(figsize=(11.5, high), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    heading = plain(title, longest=90)
    figure.suptitle(heading, x=0.01, ha="left", fontsize=12, fontweight="bold", parse_math=False)
    left, middle, right = figure.subplots(1, 3, width_ratios=(2.0, 1, 1), sharey=True)
    draw_figures(left, kept, figure_name)
    costs = [each.gflops for each in kept]
    speeds = [each.clips_per_second for each in kept]
    draw_bars(middle, costs, "GFLOPs a clip", ORANGE)
    draw_bars(right, speeds, "clips a second, reading apart", GREEN)
    left.set_yticks(range(len(kept)), [plain(each.name, longest=24) for each in kept])
    left.set_ylim(len(kept) - 0.5, -0.5)
    for axes in (left, middle, right):
        axes.tick_params(length=0, colors=INK, labelsize=9)
        axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    save(figure, Path(path))


def draw_figures(axes: Axes, kept: Sequence[Kept], name: str) -> None:
    """A dot with its interval, and in words the change from the first line."""
    edge = 0.0
    for line, each in enumerate(kept):
        low, high = each.interval or (each.figure, each.figure)
        axes.plot([low, high], [line, line], color=BLUE, lw=2.2, alpha=0.45, solid_capstyle="round")
        axes.plot(each.figure, line, "o", color=BLUE, ms=7)
        axes.text(each.figure, line - 0.2, percent(each.figure), ha="center", va="bottom",
                  fontsize=9, color=INK)  # fmt: skip
        edge = max(edge, high)
    first = kept[0].figure
    axes.axvline(first, color=GREY, lw=0.8, ls=":")
    for line, each in enumerate(kept[1:], start=1):
        axes.annotate(told_change(each), (1.0, line), xycoords=("axes fraction", "data"),
                      ha="right", va="center", fontsize=8.5, color="#62666e")  # fmt: skip
    lows = [(each.interval or (each.figure,))[0] for each in kept]
    span = max(edge - min(lows), 0.02)
    axes.set_xlim(min(lows) - 0.08 * span, edge + 0.75 * span)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    ticks = [tick for tick in axes.get_xticks() if min(lows) - 0.05 * span <= tick <= edge]
    axes.set_xticks([tick for tick in ticks if tick <= 1])
    axes.set_title(f"{name}, 95 % interval", loc="left", fontsize=10, color=INK)
    axes.grid(axis="x", color="#e8e8e6", lw=0.8)
    axes.set_axisbelow(True)


def told_change(each: Kept) -> str:
    if each.change is None:
        return ""
    told = f"{100 * each.change:+.1f} points"
    if each.change_interval is not None:
        low, high = each.change_interval
        told += f" ({100 * low:+.1f} to {100 * high:+.1f})"
    return told


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def short(value: float) -> str:
    """Three digits, without an exponent."""
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.{2 - math.floor(math.log10(value))}f}"


def draw_bars(axes: Axes, values: Sequence[float], title: str, colour: str) -> None:
    """A bar a line with its value and what it is of the first."""
    for line, value in enumerate(values):
        axes.barh(line, value, color=colour, height=0.5, alpha=0.85)
        times = f"  ({value / values[0]:.2f} x)" if line and values[0] > 0 else ""
        axes.text(value, line, f" {short(value)}{times}", va="center", fontsize=9, color=INK)
    axes.set_xlim(0, max(values) * 1.75 or 1)
    axes.set_xticks([])
    axes.set_title(title, loc="left", fontsize=10, color=INK)
