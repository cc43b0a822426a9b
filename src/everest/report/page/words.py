"""This file decides which figures stand at the top of a page, and what is said of them."""

from dataclasses import dataclass
from typing import Any

from everest.console import duration
from everest.report.page.costs import Compared
from everest.report.page.facts import Facts
from everest.report.page.series import FIGURES, finite

LARGEST = ("top1", "map", "pearson", "mse", "mae")  # which figure of a column is told first


@dataclass(frozen=True)
class Tile:
    """One large figure with what it is."""

    value: str
    name: str
    note: str = ""


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def millions(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count:,}"


def gmac(count: float) -> str:
    """A count of multiply-adds, three figures of it."""
    return f"{count:,.0f}" if count >= 100 else f"{count:.3g}"


def status(facts: Facts) -> tuple[str, str]:
    """(how it is shown, words)."""
    if not facts.epochs:
        return "going", "no epoch is done yet"
    if facts.is_finished:
        return "done", f"finished, {facts.epochs_done} epochs"
    return "going", f"{facts.epochs_done} of {facts.epochs_asked} epochs done"


def result(facts: Facts) -> Tile | None:
    """The one figure that a run is looked up for."""
    if facts.job == "finetune":
        for column, figures in (facts.evaluation.get("columns") or {}).items():
            found = figure(figures)
            if found:
                return Tile(found[1], f"{found[0]}, {column}", evaluated_note(facts, figures))
        for line in reversed(facts.evals):
            for column, figures in (line.get("columns") or {}).items():
                found = figure(figures)
                if found:
                    note = f"{figures.get('clips', line.get('clips'))} validation clips"
                    return Tile(found[1], f"{found[0]}, {column}", note)
        return None
    share = held_out_share(facts)
    if share is None:
        return None
    return Tile(f"{share:.2f}", "of the loss on held-out clips is left", "1.00 is nothing learnt")


def evaluated_note(facts: Facts, figures: dict[str, Any]) -> str:
    clips = facts.evaluation.get("clips")
    interval = figures.get("top1_interval")
    note = f"{clips} clips evaluated" if clips is not None else "evaluated"
    if interval:
        note += f"; 95 %: {100 * interval[0]:.1f} to {100 * interval[1]:.1f}"
    return note


def figure(figures: dict[str, Any]) -> tuple[str, str] | None:
    """(title, value) of the figure of a column that is told first."""
    for name in LARGEST:
        value = finite(figures.get(name))
        if value is not None:
            title, unit = FIGURES[name]
            return title, percent(value) if unit == "percent" else f"{value:.3f}"
    return None


def held_out_share(facts: Facts) -> float | None:
    """Of the constant predictor's loss that the last validation leaves."""
    for line in reversed(facts.evals):
        loss, constant = finite(line.get("held_out")), finite(line.get("constant"))
        if loss is not None and constant:
            return loss / constant
    return None


def tiles(facts: Facts, cost: Compared | None) -> list[Tile]:
    found = [result(facts)]
    spread = facts.looks.get("features")
    if spread:
        found.append(
            Tile(
                f"{spread['effective_rank']:.0f}",
                "effective rank of the features",
                f"of at most {spread['ceiling']}",
            )
        )
    if cost is not None and not 0.99 < cost.times < 1.01:
        found.append(
            Tile(
                f"{cost.times:.1f} ×",
                "less computing a clip",
                f"{gmac(cost.totals[0])} instead of {gmac(cost.totals[1])} GMAC",
            )
        )
    if facts.seconds:
        found.append(Tile(duration(facts.seconds), "of training", machine(facts)))
    speed, wait = facts.mean_timing("clips_per_second"), facts.mean_timing("data_wait")
    if speed is not None:
        note = f"{100 * wait:.0f} % of the time waiting for data" if wait is not None else ""
        found.append(
            Tile(f"{speed:.0f}" if speed >= 10 else f"{speed:.1f}", "clips a second", note)
        )
    return [tile for tile in found if tile is not None]


def machine(facts: Facts) -> str:
    torch = facts.environment.get("torch")
    threads = facts.environment.get("threads")
    told = [f"torch {torch}" if torch else "", f"{threads} threads" if threads else ""]
    if threads == "1":
        told[1] = "1 thread"
    return ", ".join(part for part in told if part)


def sign(facts: Facts) -> str:
    """What the held-out loss says of a pre-training, in words."""
    from everest.evaluating import held_out_of

    line = next((line for line in reversed(facts.evals) if "held_out" in line), None)
    return held_out_of(line).told() if line is not None else ""


@dataclass(frozen=True)
class Bar:
    """One bar of a small comparison; share is of the longest."""

    name: str
    value: str
    share: float
    role: str


def sign_bars(facts: Facts) -> list[Bar]:
    """The last held-out loss beside its two controls."""
    lines = (line for line in reversed(facts.evals) if "held_out" in line)
    line: dict[str, Any] = next(lines, {})
    names = (
        ("held_out", "this model", "main"),
        ("other_clip", "reading another clip", "second"),
        ("constant", "a constant prediction", "third"),
    )
    known = [
        (told, value, role)
        for name, told, role in names
        if (value := finite(line.get(name))) is not None
    ]
    top = max((value for _, value, _ in known), default=0.0)
    return [Bar(told, f"{value:.3f}", value / top, role) for told, value, role in known if top > 0]


def cost_bars(cost: Compared) -> list[Bar]:
    top = max(*cost.totals, 1e-12)
    return [
        Bar(name, f"{gmac(total)} GMAC", total / top, role)
        for name, total, role in zip(cost.names, cost.totals, ("main", "third"), strict=True)
    ]
