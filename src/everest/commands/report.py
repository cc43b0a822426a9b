"""This file decides `everest report`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from everest.options import check_place, parse, print_json

if TYPE_CHECKING:
    from everest.console import Console
    from everest.report.page.facts import Facts

SUMMARY = "a run as one HTML file; several runs beside each other"
EXAMPLES = (
    "everest report runs/a",
    "everest report runs/a runs/b -o comparison.html",
    "everest report runs/a --clips anew",
)
FEATURE_SECONDS = 60.0  # that the features of held-out clips may take


@dataclass(frozen=True)
class Options:
    """Write what a run did as one HTML file without a network; of several, a comparison."""

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Run folders."""
    out: Path | None = None
    """The page (also -o); RUN/report.html where not given, comparison.html of several runs."""
    clips: Literal["auto", "anew", "none"] = "auto"
    """Pictures and features of held-out clips: auto makes them with the model where the run has
    none yet, anew makes them again, none leaves them as they are."""
    device: str = "auto"
    json: bool = False
    """Print one JSON document on stdout, all else on stderr."""


def run(words: list[str]) -> int:
    options = parse(Options, words, "report", examples=EXAMPLES)
    from everest.console import Console

    console = Console(to_stderr=options.json)
    path = report(
        options.runs, options.out, clips=options.clips, device=options.device, console=console
    )
    if options.json:
        print_json({"report": str(path), "runs": list(options.runs)})
    return 0


def report(
    runs: Sequence[str | Path],
    out: Path | None = None,
    *,
    clips: Literal["auto", "anew", "none"] = "auto",
    device: str = "auto",
    console: "Console",
) -> Path:
    """Writes the page, and the model card of a single run; returns the page's path.

    Raises FolderError (a ValueError) for what is no run folder, or a page that is none of ours.
    """
    from everest.report.page.card import write_card
    from everest.report.page.comparing import comparison_page
    from everest.report.page.facts import read_facts
    from everest.report.page.rendering import run_page, write_page

    if not runs:
        raise ValueError("no run was given: name run folders, such as everest report runs/a")
    if out is not None:
        check_place(out, "--out")
    found = [read_facts(run) for run in runs]
    if len({facts.path.resolve() for facts in found}) < len(found):
        raise ValueError("a run was given twice: name different run folders")
    found = [with_looks(facts, clips, device, console) for facts in found]
    if len(found) > 1:
        path = out or Path("comparison.html")
        write_page(comparison_page(found, path), path)
    else:
        path = out or found[0].path / "report.html"
        write_page(run_page(found[0]), path)
        card = write_card(found[0])
        if card is not None:
            console.say(f"model card in {card}")
        else:
            console.say(f"{found[0].path / 'README.md'} was changed by you: it is left as it is")
    console.say(f"report in {path} ({path.stat().st_size / 1e6:.1f} MB): open it in a browser")
    return path


def with_looks(facts: "Facts", clips: str, device: str, console: "Console") -> "Facts":
    """The run with pictures and features of its held-out clips, made now where asked."""
    if clips == "none" or (clips == "auto" and facts.looks):
        return facts
    from dataclasses import replace

    from everest.checkpoint import write_text
    from everest.report.page.facts import LOOKS
    from everest.report.page.relooking import look_again

    console.say(f"{facts.name}: looking at held-out clips with the model")
    try:
        looks = look_again(facts, device, FEATURE_SECONDS)
    except (ValueError, OSError) as error:
        console.warn(f"{facts.name}: without pictures of clips ({error})")
        return facts
    (facts.path / LOOKS).parent.mkdir(exist_ok=True)
    write_text(facts.path / LOOKS, json.dumps(looks) + "\n")
    return replace(facts, looks=looks)
