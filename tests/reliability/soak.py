"""This file decides how all reliability tests are run together and told of, a line each.

As a program: soak.py [PYTEST OPTIONS]; `--table FILE` writes the lines as a table for
benchmarks/results/reliability.md.
"""

import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


class Lines:
    """Prints a line a test as it ends, and keeps it."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, float, str]] = []
        self.seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        ended = report.when == "call" or report.outcome != "passed"
        if not ended or (report.when == "teardown" and report.outcome == "passed"):
            return
        name = report.nodeid.rpartition("::")[2].removeprefix("test_")
        number, _, words = name.partition("_")
        why = ""
        if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
            why = str(report.longrepr[2]).removeprefix("Skipped: ")
        elif report.outcome == "failed":
            why = str(report.longrepr).strip().splitlines()[-1][:160]
        words = words.replace("_", " ")
        row = (number, words, self.seconds[report.nodeid], report.outcome)
        self.rows.append((*row[:3], f"{report.outcome}{': ' + why if why else ''}"))
        print(f"{number:>3}  {report.outcome:8} {row[2]:7.1f} s  {words}  {why}", flush=True)


def commit() -> str:
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty=, working tree"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    return git.stdout.strip() or "no commit is known"


def table(lines: Lines, seconds: float) -> str:
    import av
    import torch

    out = [
        f"Run {time.strftime('%Y-%m-%d %H:%M')} by `scripts/soak`, {seconds:.0f} s in all; "
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python "
        f"{platform.python_version()}, torch {torch.__version__}, av {av.__version__}; commit "
        f"{commit()}.",
        "",
        "| row | test | result | s |",
        "|-|-|-|-|",
    ]
    for number, words, took, outcome in sorted(lines.rows, key=lambda row: row[0]):
        out.append(f"| {number} | {re.sub('[|]', '/', words)} | {outcome} | {took:.1f} |")
    return "\n".join(out) + "\n"


def main(words: list[str]) -> int:
    place = None
    if "--table" in words:
        at = words.index("--table")
        place = Path(words[at + 1])
        del words[at : at + 2]
    lines, begun = Lines(), time.monotonic()
    own = ["-o", "addopts=--strict-markers --strict-config", "-p", "no:terminal"]  # our lines alone
    options = [str(HERE), *own, *words]
    code = pytest.main(options, plugins=[lines])
    counted = {
        name: sum(row[3].startswith(name) for row in lines.rows)
        for name in ("passed", "failed", "skipped")
    }
    seconds = time.monotonic() - begun
    print(f"\n{', '.join(f'{n} {name}' for name, n in counted.items())} in {seconds:.0f} s")
    if place is not None:
        place.write_text(table(lines, seconds))
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
