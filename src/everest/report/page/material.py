"""This file decides what a page says of the videos that a run learnt from, and of its classes."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from everest.console import duration
from everest.report.page.facts import Facts


@dataclass(frozen=True)
class ClassCount:
    """How often a class is there."""

    name: str
    train: int
    held_out: int


@dataclass(frozen=True)
class Data:
    """What a run was trained on."""

    train: int
    held_out: int
    train_bad: int
    classes: dict[str, list[ClassCount]]  # label column -> classes by number
    folders: list[tuple[str, int]]  # where the files lie, the fullest first
    bad: list[dict[str, str]]
    facts: list[tuple[str, str]]  # hours, sizes, rates
    chance: dict[str, float]  # label column -> share of the commonest held-out class


MOST_FOLDERS = 8


def data_of(facts: Facts) -> Data:
    train, held = facts.data.get("train") or [], facts.data.get("held_out") or []
    bad = [entry for entry in facts.data.get("bad") or [] if isinstance(entry, dict)]
    names = {str(entry.get("path")) for entry in bad}
    counts: dict[str, list[ClassCount]] = {}
    chance: dict[str, float] = {}
    for column, classes in facts.classes.items():
        both = [Counter(numbers(part, column)) for part in (train, held)]
        counts[column] = [
            ClassCount(name, both[0][number], both[1][number])
            for number, name in enumerate(classes)
        ]
        several = any(isinstance((row.get("labels") or {}).get(column), list) for row in held)
        if both[1] and not several:
            chance[column] = max(both[1].values()) / sum(both[1].values())
    places = Counter(str(row.get("path", "")).rpartition("/")[0] for row in [*train, *held])
    return Data(
        len(train),
        len(held),
        sum(row.get("path") in names for row in train),
        counts,
        places.most_common(MOST_FOLDERS),
        bad,
        video_facts(facts),
        chance,
    )


def numbers(rows: list[dict[str, Any]], column: str) -> list[int]:
    """Class numbers of a column; one of several classes counts in each."""
    found: list[int] = []
    for row in rows:
        label = (row.get("labels") or {}).get(column)
        if isinstance(label, int) and label >= 0:
            found.append(label)
        elif isinstance(label, list):
            found += [part for part in label if isinstance(part, int)]
    return found


def video_facts(facts: Facts) -> list[tuple[str, str]]:
    found = []
    for part, told in (("train", "to learn from"), ("held_out", "held out")):
        summary = facts.looks.get(part)
        if summary and summary.get("seconds"):
            found.append((f"length, {told}", duration(summary["seconds"])))
    summary = facts.looks.get("train") or {}
    for name, told in (("sizes", "pixels"), ("rates", "frame rate")):
        values = summary.get(name) or []
        if values:
            found.append((told, ", ".join(f"{value} ({count})" for value, count in values)))
    return found
