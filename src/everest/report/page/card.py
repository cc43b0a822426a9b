"""This file decides what the model card of a run, its README.md, says."""

from pathlib import Path
from typing import Any

from everest.checkpoint import write_text
from everest.console import duration, plain
from everest.report.page import words
from everest.report.page.costs import compared_cost
from everest.report.page.facts import Facts
from everest.report.page.material import data_of
from everest.report.page.series import FIGURES, finite
from everest.version import __version__

MARK = "<!-- Written by everest. Take this line out to keep your own changes. -->"
SPECIAL = frozenset("\\`*_{}[]<>#|~&")  # what Markdown or HTML would read
CITATION = """\
@inproceedings{hwang2024everest,
  title     = {{EVEREST}: Efficient Masked Video Autoencoder by Removing Redundant
               Spatiotemporal Tokens},
  author    = {Hwang, Sunil and Yoon, Jaehong and Lee, Youngwan and Hwang, Sung Ju},
  booktitle = {Proceedings of the 41st International Conference on Machine Learning},
  year      = {2024}
}"""


class Escaped(str):
    """Text that is Markdown already."""


def escaped(value: object) -> str:
    """What a name is in Markdown: itself, letter by letter, on one line."""
    if isinstance(value, Escaped):
        return value
    text = plain(" ".join(str(value).split()))
    return "".join(f"\\{letter}" if letter in SPECIAL else letter for letter in text)


def fenced(text: str) -> Escaped:
    """Text in a block of code that none of its own backticks can end."""
    longest = run = 0
    for letter in text:
        run = run + 1 if letter == "`" else 0
        longest = max(longest, run)
    fence = "`" * max(3, longest + 1)
    return Escaped(f"{fence}\n{text}\n{fence}")


def card(facts: Facts) -> str:
    """The card of a run: what it is, its results, its data, how it is loaded, what is owed."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from everest.report.page.going_on import steps
    from everest.report.page.rendering import TEMPLATES

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,
        finalize=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cost = compared_cost(facts)
    return made.get_template("card.md").render(
        mark=Escaped(MARK),
        facts=facts,
        status=words.status(facts)[1],
        results=results(facts),
        sign=words.sign(facts) if facts.job == "pretrain" else "",
        data=data_of(facts),
        cost=cost,
        gmac=words.gmac(cost.totals[0]) if cost else "",
        trained=duration(facts.seconds) if facts.seconds else "",
        machine=words.machine(facts),
        parameters=words.millions(facts.parameters) if facts.parameters else "",
        typed=fenced(plain("\n".join(facts.commands))) if facts.commands else "",
        steps=[(step.why, fenced(step.command)) for step in steps(facts)],
        citation=Escaped(CITATION),
        version=__version__,
    )


def results(facts: Facts) -> list[tuple[str, str]]:
    """(what, figure): the evaluation where there is one, else the last validation."""
    columns: dict[str, Any] = facts.evaluation.get("columns") or {}
    where = "evaluated"
    if not columns:
        columns = next(
            (line["columns"] for line in reversed(facts.evals) if line.get("columns")), {}
        )
        where = "validation"
    found = []
    for column, figures in columns.items():
        for name, (title, unit) in FIGURES.items():
            value = finite(figures.get(name))
            if value is None:
                continue
            shown = words.percent(value) if unit == "percent" else f"{value:.3f}"
            if name == "top1" and figures.get("top1_interval"):
                low, high = figures["top1_interval"]
                shown += f" (95 % interval {100 * low:.1f} to {100 * high:.1f})"
            clips = figures.get("clips", facts.evaluation.get("clips"))
            over = f", {clips} clips" if clips is not None else ""
            found.append((f"{title}, {column} ({where}{over})", shown))
    spread = facts.looks.get("features")
    if spread:
        found.append(
            (
                f"Effective rank of the features ({spread['clips']} held-out clips)",
                f"{spread['effective_rank']:.1f} of at most {spread['ceiling']}",
            )
        )
    return found


def write_card(facts: Facts) -> Path | None:
    """Writes RUN/README.md; None where its owner has made it their own."""
    path = facts.path / "README.md"
    if path.is_file() and MARK not in path.read_text(encoding="utf-8", errors="replace"):
        return None
    write_text(path, card(facts))
    return path
