"""This file decides how a run's page and card follow when its folder gets new figures."""

from pathlib import Path

from everest.console import Console
from everest.folder import RunFolder
from everest.report.page.card import write_card
from everest.report.page.facts import read_facts
from everest.report.page.rendering import run_page, write_page


def refresh(folder: Path, console: Console) -> None:
    """Writes the report and the card of a run folder again; nothing for any other folder.

    What goes wrong is a warning: the figures are there.
    """
    if not (folder / "recipe.json").is_file():
        return
    try:
        facts = read_facts(RunFolder(folder).path)
        write_page(run_page(facts), folder / "report.html")
        write_card(facts)
    except Exception as error:  # whatever a stranger's files bring about
        kind = type(error).__name__
        console.warn(f"{folder / 'report.html'} could not be written ({kind}: {error})")
