"""This file decides where guesses go: the console, a table, JSON at the end, pictures."""

import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from everest.console import Console
from everest.frame_folders import RATE
from everest.guesses.telling import HEAD, Telling
from everest.options import print_json
from everest.run import Guess


@dataclass(frozen=True)
class Places:
    """What is written beside the console."""

    table: Path | None = None  # .csv
    timeline: Path | None = None  # .png
    annotate: Path | None = None  # .mp4
    json: bool = False


@dataclass
class Report:
    """Takes guesses while its `with` lasts; at its end, Ctrl-C's too, JSON is printed."""

    console: Console
    telling: Telling
    places: Places
    is_in_windows: bool = False
    told: int = 0
    documents: list[dict[str, Any]] = field(default_factory=list)
    file: Any = None  # of the table, opened with the first guess

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.file is not None:
            self.file.close()
        if self.places.json and self.told and (kind is None or kind is KeyboardInterrupt):
            print_json(self.documents)

    def tell(self, guess: Guess) -> None:
        """One guess, at once."""
        self.told += 1
        if self.places.json:
            self.documents += self.telling.documents(guess)
        else:
            for line in self.telling.lines(guess, is_window=self.is_in_windows):
                self.console.say(line)
        if self.places.table is None:
            return
        if self.file is None:
            self.file = self.places.table.open(
                "w", newline="", encoding="utf-8", errors="surrogateescape"
            )
            csv.writer(self.file).writerow(HEAD)
        csv.writer(self.file).writerows(self.telling.rows(guess))

    def watch(self, coming: Iterable[Guess]) -> None:
        """Tells guesses as they come, until they end; raises ValueError where there is none."""
        for guess in coming:
            self.tell(guess)
            sys.stdout.flush()
            if self.file is not None:
                self.file.flush()
        if not self.told:
            raise ValueError("it ended before its first window was whole: nothing to predict")

    def draw(self, found: Sequence[Guess], frame_rate: float = RATE) -> None:
        """The pictures that were asked for, of one video's guesses by its own path; raises
        ValueError for several."""
        timeline, annotated = self.places.timeline, self.places.annotate
        paths = {guess.path for guess in found}
        for place, name in ((annotated, "--annotate"), (timeline, "--timeline")):
            if place is not None and len(paths) != 1:
                raise ValueError(f"{name}: one video at a time; these are {len(paths)}")
        if timeline is not None:
            from everest.report.timeline import draw_timeline

            below = self.telling.unknown_below
            draw_timeline(found, timeline, unknown_below=below, frame_rate=frame_rate)
            self.console.say(f"{timeline}: the windows over time")
        if annotated is not None:
            from everest.report.annotate import annotate

            named = [self.telling.named(guess) for guess in found]
            annotate(named, annotated, frame_rate=frame_rate)
            self.console.say(f"{annotated}: the video with its labels")
