"""This file decides how what is known of runs becomes one HTML page that needs nothing else."""

import base64
import hashlib
import json
import math
import os
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everest.console import duration, plain
from everest.folder import FolderError
from everest.report.page import words
from everest.report.page.costs import compared_cost
from everest.report.page.evaluated import Evaluated, evaluated, shares_of
from everest.report.page.facts import Facts
from everest.report.page.fields import recipe_fields
from everest.report.page.going_on import steps
from everest.report.page.material import data_of
from everest.report.page.series import Chart, charts_of, clock
from everest.room import writing
from everest.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

GENERATOR = "everest report"  # by which a page of ours is known before it is written over
TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("base.js", "charts.js", "maps.js", "player.js", "switches.js")
MOST_BAD = 200  # files listed
# Letters that could end a script element or begin one, and line ends that old scripts stumble on.
UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


@cache
def environment() -> "Environment":
    """Templates that escape all that they are given, and refuse names that they are not given."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "plain": lambda value: plain(str(value)),
        "percent": words.percent,
        "duration": duration,
        "millions": words.millions,
        "gmac": words.gmac,
        "link": link,
        "name": lambda value: plain(str(value)).rpartition("/")[2],
    }
    return made


def script() -> str:
    """The page's whole script: ours, plain, nothing fetched."""
    parts = [(TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS]
    return "\n" + "\n".join(parts)


def style() -> str:
    return "\n" + (TEMPLATES / "style.css").read_text(encoding="utf-8")


def policy(code: str) -> str:
    """What the page may do: run this one script, show its own pictures, ask nobody for anything."""
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def embedded(document: Any) -> str:
    """JSON that can stand in a script element whatever names are in it; NaN becomes null."""
    text = json.dumps(clean(document), ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for letter, escape in UNSAFE.items():
        text = text.replace(letter, escape)
    return text


def clean(value: Any) -> Any:
    """Names made printable, figures that are not finite left out."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {plain(str(name)): clean(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [clean(part) for part in value]
    return value


def link(path: str) -> str:
    """A file's address for an anchor; '' where it is no whole path."""
    try:
        return Path(path).as_uri()
    except ValueError:
        return ""


def render(name: str, context: dict[str, Any], data: dict[str, Any]) -> str:
    from markupsafe import Markup

    code = script()
    return (
        environment()
        .get_template(name)
        .render(
            **context,
            generator=f"{GENERATOR} {__version__}",
            written=time.strftime("%Y-%m-%d %H:%M"),
            script=Markup(code),
            style=Markup(style()),
            policy=policy(code),
            embedded=Markup(embedded(data)),
        )
    )


def run_page(facts: Facts) -> str:
    """The report of one run."""
    cost, charts, columns = compared_cost(facts), charts_of(facts), evaluated(facts)
    data = data_of(facts)
    context = {
        "facts": facts,
        "status": words.status(facts),
        "tiles": words.tiles(facts, cost),
        "cost": cost,
        "cost_bars": words.cost_bars(cost) if cost else [],
        "sign": words.sign(facts) if facts.job == "pretrain" else "",
        "sign_bars": words.sign_bars(facts),
        "data": data,
        "bad": data.bad[:MOST_BAD],
        "charts": [chart for chart in charts if not chart.is_small],
        "small_charts": [chart for chart in charts if chart.is_small],
        "columns": columns,
        "shares": shares_of(facts),
        "samples": facts.looks.get("samples") or [],
        "spread": facts.looks.get("features"),
        "fields": recipe_fields([facts.recipe]),
        "steps": steps(facts),
        "machine": words.machine(facts),
    }
    return render("run.html", context, page_data([facts], charts, columns))


def page_data(
    runs: Sequence[Facts], charts: Sequence[Chart], columns: Sequence[Evaluated]
) -> dict[str, Any]:
    """What the page's script draws."""
    looks = runs[0].looks if len(runs) == 1 else {}
    return {
        "clocks": [clock(facts) for facts in runs],
        "charts": [chart.to_json() for chart in charts],
        "samples": looks.get("samples") or [],
        "map": map_of(runs[0]) if len(runs) == 1 else None,
        "columns": [
            {
                "column": column.column,
                "calibration": column.calibration.to_json() if column.calibration else None,
                "clips": [
                    [one.path, link(one.path), one.label, one.predicted, one.p]
                    for one in column.listed
                ],
                "total": column.total,
            }
            for column in columns
        ],
    }


GROUPS_MOST = 12  # colours of a map


def map_of(facts: Facts) -> dict[str, Any] | None:
    """The places of held-out clips, coloured by class, else by the folder they lie in."""
    spread = facts.looks.get("features")
    if not spread:
        return None
    paths = spread["paths"]
    groups, by = groups_of(facts, spread)
    names = sorted(set(groups))
    if not 1 < len(names) <= GROUPS_MOST:
        names, groups, by = [""], [""] * len(paths), ""
    return {
        "points": spread["points"],
        "names": [path.rpartition("/")[2] for path in paths],
        "groups": [names.index(group) for group in groups],
        "legend": names if by else [],
        "by": by,
    }


def groups_of(facts: Facts, spread: dict[str, Any]) -> tuple[list[str], str]:
    for column, classes in facts.classes.items():
        numbers = [labels.get(column, -1) for labels in spread["labels"]]
        if any(0 <= number < len(classes) for number in numbers):
            known = dict(enumerate(classes))
            return [known.get(number, "no label") for number in numbers], column
    folders = [path.rpartition("/")[0].rpartition("/")[2] for path in spread["paths"]]
    return folders, "folder"


def write_page(text: str, path: Path) -> None:
    """Writes it as a whole or not at all; raises FolderError for a file that is none of ours."""
    if path.is_file():
        with path.open("rb") as file:
            if GENERATOR.encode() not in file.read(2000):
                raise FolderError(
                    f"{path}: is there and was not written by everest report; move it, or give "
                    f"another --out"
                )
    part = path.with_name(f".{path.name}.part")
    try:
        with writing(path, len(text)):
            part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
