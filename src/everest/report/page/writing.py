"""This file decides when a run writes its report, and what that may cost.

The page is no result: what goes wrong with it is a warning, and it takes a small share of the
run's time.
"""

import json
import time
from typing import Any

from everest.checkpoint import write_text
from everest.console import Console
from everest.preparing import Prepared
from everest.room import NoRoom
from everest.run import Run

SHARE = 0.01  # of the run's time that pages take while it goes on
FIRST = 0.3  # seconds that the first page is thought to take
LAST = 1.0  # seconds that the features at the end may take at least, and
LAST_SHARE = 0.01  # this share of the run's time


class Reporter:
    """Writes RUN/report.html and RUN/README.md after validations and at the end."""

    def __init__(self, ready: Prepared, every: int, console: Console) -> None:
        self.ready = ready
        self.every = every
        self.console = console
        self.began = time.monotonic()
        self.spent = 0.0
        self.latest = FIRST  # seconds that the page before took
        self.clips: list[Any] | None = None  # those that are shown, read once
        self.trained = False
        self.failed = False
        self.full: NoRoom | None = None  # what the disk had no room for

    def after_epoch(self, epoch: int) -> None:
        """After a validation, where pages have taken little of the time so far."""
        self.trained = True
        last = epoch >= self.ready.recipe.epochs
        elapsed = time.monotonic() - self.began
        if last or epoch % self.every or self.spent + self.latest > SHARE * elapsed:
            return
        self.write(epoch, with_clips=True, with_features=False)

    def close(self, epoch: int) -> None:
        """At the end: with all there is to see, or as it stands where the run was stopped.

        Raises NoRoom where the disk was full; all else that the run leaves is there by then.
        """
        is_finished = self.trained and epoch >= self.ready.recipe.epochs
        self.write(epoch, with_clips=is_finished, with_features=is_finished)
        if self.full is not None:
            raise self.full

    def write(self, epoch: int, *, with_clips: bool, with_features: bool) -> None:
        """A run is not to end for its report: what goes wrong is told."""
        if self.failed:
            return
        begun = time.monotonic()
        try:
            if with_clips:
                self.write_looks(epoch, with_features)
            self.write_pages()
        except Exception as error:  # whatever a stranger's files bring about
            self.failed = True
            self.full = error if isinstance(error, NoRoom) else None
            kind = type(error).__name__
            self.console.warn(
                f"report.html could not be written ({kind}: {error}); the run goes on, and "
                f"everest report {self.ready.folder.path} writes it again"
            )
        self.latest = time.monotonic() - begun
        self.spent += self.latest

    def write_looks(self, epoch: int, with_features: bool) -> None:
        from everest.report.page import looking
        from everest.report.page.facts import LOOKS

        ready = self.ready
        rows = ready.held.rows if ready.held is not None else ready.train.rows
        run = Run(str(ready.folder.path), ready.model, ready.config, device=ready.place.device.type)
        if self.clips is None:
            self.clips = looking.read_clips(run, looking.chosen(rows))
        shown = looking.samples(run, self.clips)
        spread = None
        if with_features and ready.held is not None:
            elapsed = time.monotonic() - self.began
            spread = looking.features(run, rows, max(LAST, LAST_SHARE * elapsed))
        held = ready.held.rows if ready.held is not None else ()
        found = looking.document(epoch, shown, spread, (ready.train.rows, held))
        write_text(ready.folder.path / LOOKS, json.dumps(found) + "\n")

    def write_pages(self) -> None:
        from everest.report.page.card import write_card
        from everest.report.page.facts import read_facts
        from everest.report.page.rendering import run_page, write_page

        folder = self.ready.folder.path
        facts = read_facts(folder, self.ready.config.to_json())
        write_page(run_page(facts), folder / "report.html")
        write_card(facts)
