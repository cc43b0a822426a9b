"""This file decides how what a check found is summed up: a document, and tables on the console."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from everest.console import Console
    from everest.facts import Facts
    from everest.index import Index

SHOWN = 12  # lines of a table on the console; --json has all
SHORT = 16  # frames: the clip length of the recipes


@dataclass(frozen=True)
class Findings:
    """What the check found, one entry a file."""

    good: "dict[str, Facts]"  # by path
    bad: dict[str, str]  # path -> reason
    known: int  # files that an earlier check had decoded
    trouble: str | None  # why nothing could be remembered
    remembered: str  # the file of remembered facts


def document(index: "Index", findings: Findings) -> dict[str, Any]:
    """What --json prints."""
    good = findings.good
    return {
        "schema": 1,
        "found": len(good) + len(findings.bad),
        "good": len(good),
        "bad": [{"path": path, "reason": reason} for path, reason in findings.bad.items()],
        "hours": sum(facts.seconds for facts in good.values()) / 3600,
        "fps": dict(_rates(good).most_common()),
        "sizes": dict(_sizes(good).most_common()),
        "classes": {
            column: {name: sum(counts.values()) for name, counts in names.items()}
            for column, names in _classes(index).items()
        },
        "splits": {name: number for name, number in _splits(index).items() if name is not None},
        "clips": len(index.rows),
        "named": sum(part.named for part in index.sets) if index.sets else None,
        "missing": sum(part.missing for part in index.sets) if index.sets else None,
        "frames": sum(facts.frames for facts in good.values()),
        "shortest": min((facts.seconds for facts in good.values()), default=None),
        "longest": max((facts.seconds for facts in good.values()), default=None),
        "known": findings.known,
        "index": None if findings.trouble else findings.remembered,
        "reading": list(index.reading),
    }


def _rates(good: "dict[str, Facts]") -> Counter[str]:
    return Counter(f"{round(facts.fps, 2):g}" for facts in good.values())


def _sizes(good: "dict[str, Facts]") -> Counter[str]:
    return Counter(f"{facts.width}x{facts.height}" for facts in good.values())


def _splits(index: "Index") -> Counter[str | None]:
    return Counter(row.split for row in index.rows)


def _classes(index: "Index") -> dict[str, dict[str, Counter[str | None]]]:
    """Clips of each class by split, for each label column; in the order of the class numbers."""
    found: dict[str, dict[str, Counter[str | None]]] = {}
    from everest.kinds import ids_of, kind_of

    for column, names in index.classes.items():
        if kind_of(index.kinds, column) == "number":
            continue
        counts = Counter((row.labels.get(column, -1), row.split) for row in index.rows)
        found[column] = {name: Counter() for name in names}
        for (label, split), number in counts.items():
            for place in ids_of(label):
                found[column][names[place]][split] += number
    return found


def show(index: "Index", findings: Findings, console: "Console") -> None:
    from everest.console import duration
    from everest.entries import counted

    good, bad = findings.good, findings.bad
    table = _grid()
    root = _common_folder([*good, *bad])
    table.add_row("found", f"{counted(len(good) + len(bad), 'file')} in {_safe(root)}")
    table.add_row("good", f"{len(good):,}")
    table.add_row("bad", f"[bold red]{len(bad):,}[/]" if bad else "0")
    if index.sets:
        named, missing = (sum(getattr(s, n) for s in index.sets) for n in ("named", "missing"))
        table.add_row("missing", f"{missing:,} of the {named:,} that the annotation names")
    if good:
        seconds = [facts.seconds for facts in good.values()]
        frames = sum(facts.frames for facts in good.values())
        hours = (
            f"{sum(seconds) / 3600:,.2f}" if sum(seconds) >= 36 else f"{sum(seconds) / 3600:.4f}"
        )
        table.add_row("hours", f"{hours} ({duration(sum(seconds))}, {counted(frames, 'frame')})")
        table.add_row("fps", _most(_rates(good)))
        table.add_row("sizes", _most(_sizes(good)))
        by_length = sorted(good, key=lambda path: good[path].seconds)
        for word, path in (("shortest", by_length[0]), ("longest", by_length[-1])):
            facts = good[path]
            length = duration(facts.seconds) if facts.seconds >= 60 else f"{facts.seconds:.2f} s"
            table.add_row(
                word, f"{length}, {counted(facts.frames, 'frame')}: {_safe(path[len(root) :])}"
            )
        short = sum(facts.frames < SHORT for facts in good.values())
        if short:
            told = f"{counted(short, 'file')} shorter than {SHORT} frames: a clip of that length"
            table.add_row("", f"{told} repeats the last frame")
    if len(index.rows) != len(good) + len(bad):
        table.add_row("clips", counted(len(index.rows), "row of the list", "rows of the lists"))
    console.say("")
    console.show(table)
    _print_classes(index, console)
    if bad:
        console.say("")
        console.show(_bad_table({path[len(root) :]: why for path, why in bad.items()}))
    console.say("")
    if findings.known:
        console.say(
            f"{counted(findings.known, 'file')} already known from an earlier check and unchanged:"
            " not decoded again (--again does)"
        )
    if findings.trouble:
        console.warn(findings.trouble)
    else:
        console.say(f"remembered in {findings.remembered}")


def _common_folder(paths: Sequence[str]) -> str:
    folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    return folder if folder.endswith("/") else folder + "/"


def _grid(*headers: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, show_header=bool(headers), pad_edge=False, header_style="bold")
    table.add_column(
        headers[0] if headers else "", style=None if headers else "bold", overflow="fold"
    )
    for header in headers[1:] or ("",):
        table.add_column(header, overflow="fold")
    return table


def _safe(name: str) -> str:
    """A stranger's name for a table of rich: neither control characters nor markup act."""
    from rich.markup import escape

    from everest.entries import shown

    return escape(shown(name))


def _most(counts: Counter[str], most: int = 5) -> str:
    parts = [f"{name} ({number:,})" for name, number in counts.most_common(most)]
    more = len(counts) - most
    return ", ".join(parts) + (f" and {more} more" if more > 0 else "")


def _print_classes(index: "Index", console: "Console") -> None:
    from everest.classes import refuse_unseen
    from everest.entries import SourceError, counted

    splits = [split for split in ("train", "val", "test") if _splits(index)[split]]
    for column, names in _classes(index).items():
        table = _grid(_safe(column), "clips", *splits)
        if index.sets:  # its classes are all there, whatever part of its videos is
            names = dict(sorted(names.items(), key=lambda pair: not pair[1]))
        for name, counts in list(names.items())[:SHOWN]:
            numbers = [f"{counts[split]:,}" for split in splits]
            table.add_row(_safe(name), f"{sum(counts.values()):,}", *numbers)
        if len(names) > SHOWN:
            rest = list(names.values())[SHOWN:]
            table.add_row(f"and {counted(len(rest), 'class', 'classes')} more")
        console.say("")
        console.show(table)
    if index.sets:  # their protocol is kept to; what train lacks is told with the reading
        return
    try:
        refuse_unseen([(row.split, row.labels) for row in index.rows], index.classes)
    except SourceError as error:
        console.warn(str(error))


def _bad_table(bad: dict[str, str]) -> "Table":
    table = _grid("bad file", "reason")
    for path, reason in list(bad.items())[:SHOWN]:
        table.add_row(_safe(path), _safe(reason))
    if len(bad) > SHOWN:
        table.add_row(f"and {len(bad) - SHOWN:,} more: --json lists all")
    return table
