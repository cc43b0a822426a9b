"""This file decides how a finished run's held-out clips are found and looked at again."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from everest.index import Row, SourceError, read_index
from everest.report.page import looking
from everest.report.page.facts import Facts
from everest.run import load


def look_again(facts: Facts, device: str, seconds: float) -> dict[str, Any]:
    """What samples/looks.json holds, from the model and the videos as they are now.

    `seconds` are what the features may take. Raises ValueError where there are no weights, or no
    clip can be found any more.
    """
    held = facts.data.get("held_out") or []
    rows = found_rows(held) if held else found_rows(facts.data.get("train") or [])
    if not rows:
        raise SourceError(
            "its held-out videos are not where they were; give them back their place, or take "
            "--clips none"
        )
    run = load(facts.path, device=device)
    shown = looking.samples(run, looking.read_clips(run, looking.chosen(rows)))
    spread = looking.features(run, rows, seconds) if held else None
    before = facts.looks
    made = looking.document(facts.epochs_done, shown, spread, ((), rows if held else ()))
    return {**made, "train": before.get("train", made["train"])}


def found_rows(entries: Sequence[dict[str, Any]]) -> list[Row]:
    """The rows of data.json whose files are still there, with what the files' headers say."""
    paths = list(dict.fromkeys(str(entry["path"]) for entry in entries))
    there = [path for path in paths if os.path.exists(path)]
    rows = {row.path: row for row in read_index(there, labelled=False).rows} if there else {}
    return [
        replace(
            rows[entry["path"]],
            start=entry.get("start"),
            end=entry.get("end"),
            labels=entry.get("labels") or {},
        )
        for entry in entries
        if entry["path"] in rows
    ]
