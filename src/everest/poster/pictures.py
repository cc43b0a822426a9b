"""This file decides how the poster's two diagrams look: accuracy against GFLOPs, and what EVEREST
costs beside VideoMAE by size and batch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from everest.cases import Case, recipe_of
from everest.cost import cost_of
from everest.poster import published
from everest.poster.measured import Findings, kinetics_case
from everest.report.curves import BLUE, GREEN, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"everest": GREEN, "videomae": BLUE, "supervised": GREY}
TITLE = 11  # points
SMALL = 8.5  # points
# Where a point's name stands, in points from it, so that no two meet.
PLACES = {"MViT-B": (-6, 9), "ViViT FE": (-22, -16)}


def new_figure(width: float, panels: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 4.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def tidy(axes: Axes, title: str, across: str, up: str) -> None:
    axes.set_title(title, loc="left", fontsize=TITLE)
    axes.set_xlabel(across, color=GREY)
    axes.set_ylabel(up, color=GREY)
    axes.tick_params(colors=GREY, labelsize=9)
    axes.grid(color="#e8e8e6", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#c8c8c6")


def save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, format="png", metadata={"Software": None})
    return path


def draw_accuracy(path: Path) -> Path:
    """Published accuracies against GFLOPs, as printed and as counted here."""
    figure, (left, right) = new_figure(12.5, 2)
    kinetics_panel(left)
    ucf101_panel(right)
    return save(figure, path)


def kinetics_panel(axes: Axes) -> None:
    for row in published.KINETICS:
        case = kinetics_case(row)
        supervised = row.model in published.SUPERVISED
        if supervised:
            view = published.SUPERVISED[row.model]
            printed, found = view.gflops, view.views * cost_of(case.config()).total
        else:
            table = published.ALL_TOKENS if row.method == "videomae" else published.SIX_TENTHS
            printed, found = table[row.model], cost_of(case.config()).total
        colour = COLOURS["supervised" if supervised else row.method]
        if row.accuracy is None:
            axes.axvline(found, color=colour, lw=1.2, ls=(0, (4, 3)))
            axes.annotate(
                row.name,
                (found, 84.3),
                (4, 0),
                textcoords="offset points",
                fontsize=SMALL,
                color=colour,
                rotation=90,
                va="top",
            )
            continue
        axes.plot(printed, row.accuracy, "o", color=colour, ms=7)
        axes.plot(found, row.accuracy, "x", color="black", ms=7, mew=1.3)
        axes.annotate(
            row.name,
            (printed, row.accuracy),
            PLACES.get(row.name, (9, -3)),
            textcoords="offset points",
            fontsize=SMALL,
            color=colour,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )
    axes.set_xscale("log")
    axes.set_xlim(20, 9000)
    axes.set_ylim(69.5, 84.5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    tidy(axes, "Kinetics-400, fine-tuned", "GFLOPs", "top-1, %, published")
    from matplotlib.lines import Line2D

    axes.legend(
        handles=[
            Line2D([], [], marker="o", ls="", color=GREY, label="as printed"),
            Line2D([], [], marker="x", ls="", color="black", label="GFLOPs counted here"),
            Line2D([], [], ls=(0, (4, 3)), color=GREEN, label="EVEREST: accuracy not known here"),
        ],
        frameon=False,
        fontsize=SMALL,
        loc="lower right",
    )


def ucf101_panel(axes: Axes) -> None:
    """Accuracy on UCF101 against all that pre-training computed: GFLOPs of a clip x epochs."""
    for number, name in enumerate(dict.fromkeys(point.name for point in published.UCF101)):
        points = [point for point in published.UCF101 if point.name == name]
        costs = [
            cost_of(
                Case(recipe_of("pretrain", "vit-b", point.method, visible=point.visible)).config()
            ).total
            for point in points
        ]
        work = [cost * point.epochs / 1e3 for cost, point in zip(costs, points, strict=True)]
        colour = (GREEN, BLUE, ORANGE)[number]
        axes.plot(
            work,
            [point.accuracy for point in points],
            "o-",
            color=colour,
            lw=1.6,
            ms=7,
            label=f"{name}: {costs[0]:.1f} GFLOPs a clip, counted",
        )
        for across, point in zip(work, points, strict=True):
            axes.annotate(
                f"{point.epochs:,} epochs",
                (across, point.accuracy),
                (6, -12),
                textcoords="offset points",
                fontsize=SMALL,
                color=colour,
            )
    axes.set_xscale("log")
    axes.set_xlim(6, 400)
    axes.set_ylim(89, 94.2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    tidy(
        axes,
        "UCF101, ViT-B pre-trained on it",
        "GFLOPs of a clip x epochs, thousands",
        "top-1, %, published",
    )
    axes.legend(frameon=False, fontsize=SMALL, loc="lower right")


def draw_efficiency(found: Findings, path: Path) -> Path:
    """EVEREST beside VideoMAE by size of model and batch, as measured: time and memory."""
    models = list(dict.fromkeys(model for model, _ in found.efficiency))
    figure, panels = new_figure(5.2 * 2, 2)
    styles = {model: style for model, style in zip(models, ("--", "-", ":"), strict=False)}
    for model in models:
        batches = [batch for name, batch in found.efficiency if name == model]
        for place, method in enumerate(("everest", "videomae")):
            rows = [found.efficiency[model, batch].rows[place] for batch in batches]
            name = {"everest": "EVEREST", "videomae": "VideoMAE"}[method]
            label, colour, style = f"{name} {model}", COLOURS[method], styles[model]
            timed = [(batch, row.times) for batch, row in zip(batches, rows, strict=True)]
            middles = [1000 * times.median for _, times in timed if times is not None]
            below = [1000 * (t.median - t.least) for _, t in timed if t is not None]
            above = [1000 * (t.most - t.median) for _, t in timed if t is not None]
            panels[0].errorbar(
                [batch for batch, times in timed if times is not None],
                middles,
                yerr=[below, above],
                marker="o",
                ms=5,
                capsize=3,
                lw=1.6,
                label=label,
                color=colour,
                ls=style,
            )
            held = [
                (batch, row.above_mebibytes)
                for batch, row in zip(batches, rows, strict=True)
                if row.above_mebibytes is not None
            ]
            panels[1].plot(
                [batch for batch, _ in held],
                [value for _, value in held],
                "o",
                ms=5,
                lw=1.6,
                label=label,
                color=colour,
                ls=style,
            )
    for axes, title, up in (
        (panels[0], "a pre-training step: median, least and most", "ms"),
        (panels[1], "its memory above the weights", "MiB"),
    ):
        tidy(axes, title, "clips a step", up)
        axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
        axes.set_xticks(sorted({batch for _, batch in found.efficiency}))
        axes.legend(frameon=False, fontsize=SMALL, loc="upper left")
    return save(figure, path)
