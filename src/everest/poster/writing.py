"""This file decides how the poster's tables become a page and files: Markdown and CSV."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from everest.benching.where import told
from everest.checkpoint import write_text
from everest.poster.tables import Table

PAGE = "tables.md"
FILES = "tables"  # folder of CSV files and pictures, beside the page


def check_out(out: Path, *, overwrite: bool) -> None:
    """Refuses, before any work, a folder that cannot be written to: ValueError."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out}: is a file; give a folder")
    if (out / FILES).exists() and not (out / FILES).is_dir():
        raise ValueError(f"--out {out}: {FILES} in it is a file; give another folder")
    taken = [PAGE] if (out / PAGE).exists() else []
    if (out / FILES).is_dir() and any((out / FILES).iterdir()):  # not left by a refusal
        taken.append(FILES)
    if taken and not overwrite:
        raise ValueError(
            f"--out {out}: already holds {' and '.join(taken)}; give --overwrite, or another folder"
        )
    (out / FILES).mkdir(parents=True, exist_ok=True)


def write_csv(table: Table, out: Path) -> Path:
    """Writes the table's rows as they stand on the page."""
    text = io.StringIO()
    written = csv.writer(text, lineterminator="\n")
    written.writerow(table.headers)
    written.writerows(table.rows)
    path = out / FILES / f"{table.name}.csv"
    write_text(path, text.getvalue())
    return path


def markdown(table: Table) -> list[str]:
    """Lines of a section: title, paragraph, table, notes."""
    lines = [f"## {table.title}", "", *wrapped(table.about), ""]
    lines += [row_of(table.headers), "|" + "-|" * len(table.headers)]
    lines += [row_of(row) for row in table.rows]
    lines.append("")
    for note in table.notes:
        lines += wrapped(note, first="- ", rest="  ")
    if table.notes:
        lines.append("")
    return [*lines, f"As a file: [{table.name}.csv]({FILES}/{table.name}.csv).", ""]


def row_of(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def wrapped(text: str, *, first: str = "", rest: str = "") -> list[str]:
    import textwrap

    return textwrap.wrap(
        text, 118, initial_indent=first, subsequent_indent=rest, break_long_words=False
    )


def write_page(
    tables: Sequence[Table], pictures: dict[str, tuple[str, str]], out: Path, *, made: list[str]
) -> Path:
    """Writes the page; `pictures` are title -> (file, sentences), `made` says where and how."""
    lines = ["# The poster's tables and figures, made again", "", *made, ""]
    for table in tables:
        lines += markdown(table)
    lines += ["## 4. Figures", ""]
    for title, (file, sentences) in pictures.items():
        lines += [f"### {title}", "", *wrapped(sentences), ""]
        if file:
            lines += [f"![{title}]({FILES}/{file})", ""]
    path = out / PAGE
    write_text(path, "\n".join(lines).rstrip() + "\n")
    return path


def how_made(command: str, machine: dict[str, Any], *, measured: bool) -> list[str]:
    """Lines that say what made the page, on which machine, and what 'not run' means."""
    hardware, versions = told(machine)
    lines = ["Made by", "", f"    {command}", ""]
    if measured:
        lines += wrapped(
            f"and measured on {hardware}; {versions}. Load counts processes that wanted a core in "
            f"the minute before the last measurement: where it is above the cores, others worked "
            f"too, times are longer than they need be, and their ratios less sure; cases took "
            f"turns, so that this falls on all of them."
        )
    else:
        lines += wrapped(f"without measuring ({versions}): add --measure.")
    lines += ["", *wrapped(SAID)]
    return lines


SAID = (
    "Published figures are those of the papers and the poster; columns called counted are "
    "arithmetic, done by this package; columns called measured or here were made on the machine "
    "above and at the small scale that is named. 'not run' was not run: no row of Kinetics-400 was "
    "trained with this package. 'not known here' is published somewhere, but not among the facts "
    "that this package was written from."
)
