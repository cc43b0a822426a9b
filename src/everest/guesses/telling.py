"""This file decides how guesses are told: on the console, as JSON, as rows of a table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from everest.console import percent
from everest.entries import shown
from everest.kinds import Kind, kind_of
from everest.run import Guess
from everest.spreadsheet import cell

LIKELY = 0.5  # from which on a label of several is there
UNKNOWN = "unknown"
HEAD = ("path", "start", "end", "column", "label", "p")


@dataclass(frozen=True)
class Telling:
    """How much is told of a guess."""

    kinds: Mapping[str, Kind] = field(default_factory=dict)  # label column -> kind; else "class"
    top: int = 3  # labels
    unknown_below: float | None = None  # probability of the likeliest label; None: never unknown

    def is_unknown(self, guess: Guess, column: str) -> bool:
        """Whether the likeliest class of a clip is too unlikely to be named."""
        if self.unknown_below is None or kind_of(self.kinds, column) != "class":
            return False
        return guess.labels[column][0][1] < self.unknown_below

    def there_are(self, guess: Guess, column: str) -> Sequence[tuple[str, float]]:
        """The labels of a column; where a clip may have several, those more likely than not."""
        labels = guess.labels[column]
        if kind_of(self.kinds, column) != "multi":
            return labels
        return [(label, p) for label, p in labels if p >= LIKELY]

    def line(self, guess: Guess, column: str) -> str:
        """The likeliest labels, those there are, or the number."""
        if column in guess.numbers:
            return f"{guess.numbers[column]:.4g}"
        labels = self.there_are(guess, column)[: self.top]
        likeliest, p = guess.labels[column][0]
        if not labels:
            return f"none (the likeliest is {shown(likeliest)}, {percent(p)})"
        if self.is_unknown(guess, column):
            return f"{UNKNOWN} (the likeliest is {shown(likeliest)}, {percent(p)})"
        return ", ".join(f"{shown(label)} {percent(p)}" for label, p in labels)

    def lines(self, guess: Guess, *, is_window: bool) -> list[str]:
        """A line a column."""
        columns = [*guess.labels, *guess.numbers]
        span = f" {guess.start:.1f}-{guess.end:.1f} s" if is_window else ""
        return [
            f"{shown(guess.path)}{span}{f' {column}:' if len(columns) > 1 else ':'} "
            f"{self.line(guess, column)}"
            for column in columns
        ]

    def documents(self, guess: Guess) -> list[dict[str, Any]]:
        """An entry a column: path, start, end, labels with their p, or a value."""
        several = len(guess.labels) + len(guess.numbers) > 1
        span = {"path": guess.path, "start": guess.start, "end": guess.end}
        found: dict[str, dict[str, Any]] = {
            column: {"labels": [{"label": label, "p": p} for label, p in labels[: self.top]]}
            for column, labels in guess.labels.items()
        }
        if self.unknown_below is not None:
            for column in guess.labels:
                if kind_of(self.kinds, column) == "class":
                    found[column][UNKNOWN] = self.is_unknown(guess, column)
        found |= {column: {"value": value} for column, value in guess.numbers.items()}
        return [
            {**span, **({"column": column} if several else {}), **said}
            for column, said in found.items()
        ]

    def rows(self, guess: Guess) -> Iterable[list[object]]:
        """Of one class a clip the likeliest, or unknown; of several those there are, a row each,
        and a row with an empty label where there are none; of numbers the number as the label, and
        no p."""
        for column in guess.labels:
            labels = self.there_are(guess, column)
            if kind_of(self.kinds, column) != "multi":
                label, p = labels[0]
                labels = [(UNKNOWN if self.is_unknown(guess, column) else label, p)]
            for label, p in labels:
                yield [cell(guess.path), *guess[1:3], cell(column), cell(label), f"{p:.6f}"]
            if not labels:
                yield [cell(guess.path), *guess[1:3], cell(column), "", ""]
        for column, value in guess.numbers.items():
            yield [cell(guess.path), *guess[1:3], cell(column), f"{value:.6g}", ""]

    def named(self, guess: Guess) -> Guess:
        """The guess as it stands in a picture: unknown is a label too."""
        labels = {
            column: [(UNKNOWN, said[0][1])] if self.is_unknown(guess, column) else said
            for column, said in guess.labels.items()
        }
        return guess._replace(labels=labels)
