"""This file decides how several runs stand beside each other on one page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from everest.console import duration
from everest.report.page import words
from everest.report.page.costs import Compared, compared_cost
from everest.report.page.facts import Facts
from everest.report.page.fields import recipe_fields
from everest.report.page.material import data_of
from everest.report.page.rendering import link, page_data, render
from everest.report.page.series import compared


def comparison_page(runs: Sequence[Facts], out: Path) -> str:
    """Several runs beside each other."""
    labels = short_names(runs)
    charts = compared(runs, labels)
    fields = recipe_fields([facts.recipe for facts in runs])
    costs = [compared_cost(facts) for facts in runs]
    context = {
        "runs": [
            compared_run(facts, label, cost, out)
            for facts, label, cost in zip(runs, labels, costs, strict=True)
        ],
        "labels": labels,
        "charts": [chart for chart in charts if not chart.is_small],
        "small_charts": [chart for chart in charts if chart.is_small],
        "differing": [field for field in fields if field.is_marked],
        "same": [field for field in fields if not field.is_marked],
    }
    return render("comparison.html", context, page_data(runs, charts, []))


def compared_run(facts: Facts, label: str, cost: Compared | None, out: Path) -> dict[str, Any]:
    report = facts.path / "report.html"
    data = data_of(facts)
    spread = facts.looks.get("features")
    return {
        "label": label,
        "path": str(facts.path),
        "link": link(str(report.absolute())) if report.is_file() and report != out else "",
        "job": facts.job,
        "status": words.status(facts),
        "result": words.result(facts),
        "rank": f"{spread['effective_rank']:.0f} of {spread['ceiling']}" if spread else "–",
        "clips": f"{data.train:,} and {data.held_out:,}",
        "bad": len(data.bad),
        "time": duration(facts.seconds) if facts.seconds else "–",
        "speed": figure_or_dash(facts.mean_timing("clips_per_second"), "{:.1f}"),
        "wait": figure_or_dash(facts.mean_timing("data_wait"), "{:.0%}").replace("%", " %"),
        "parameters": words.millions(facts.parameters) if facts.parameters else "–",
        "cost": words.gmac(cost.totals[0]) if cost else "–",
        "videomae": words.gmac(cost.totals[1]) if cost else "–",
    }


def figure_or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def short_names(runs: Sequence[Facts]) -> list[str]:
    """The folders' names, with as much of the path before them as tells them apart."""
    parts = [facts.path.absolute().parts for facts in runs]
    for length in range(1, max(len(part) for part in parts) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{number + 1}: {names[number]}" for number in range(len(names))]
