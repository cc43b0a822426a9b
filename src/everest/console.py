"""This file decides how a run speaks: sentences on the console, the same in log.txt."""

import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console as RichConsole
from rich.markup import escape

from everest.room import writing


def plain(text: str) -> str:
    """Text from users as it may be shown: control characters made visible."""
    return "".join(
        letter if letter.isprintable() or letter == " " else f"\\x{ord(letter):02x}"
        for letter in text.encode("utf-8", "backslashreplace").decode()
    )


def duration(seconds: float) -> str:
    """3 h 10 min, 4 min 5 s, 12 s."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole} s"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


class Console:
    """Says things to people: on stdout, or on stderr when stdout carries a JSON document."""

    def __init__(self, *, quiet: bool = False, to_stderr: bool = False) -> None:
        self.quiet = quiet
        self.rich = RichConsole(
            file=sys.stderr if to_stderr else sys.stdout, highlight=False, soft_wrap=True
        )
        self.log: Path | None = None

    def say(self, text: str, *, style: str | None = None) -> None:
        """One line; control characters in it are neutralised, markup is not read."""
        text = "\n".join(plain(line) for line in text.split("\n"))
        if self.log is not None:
            with writing(self.log, len(text)), self.log.open("a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
        if not self.quiet:
            self.rich.print(escape(text), style=style)

    def title(self, text: str) -> None:
        self.say(text, style="bold")

    def warn(self, text: str) -> None:
        self.say(text, style="yellow")

    def show(self, renderable: Any) -> None:
        if not self.quiet:
            self.rich.print(renderable)
