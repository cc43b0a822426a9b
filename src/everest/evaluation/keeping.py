"""This file decides which files an evaluation leaves: evaluation.json, its table, its pictures."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from everest.checkpoint import write_text
from everest.evaluation.document import Evaluated
from everest.evaluation.table import write_predictions
from everest.evaluation.telling import chosen
from everest.options import check_place
from everest.report.confusion import draw_confusion
from everest.report.keeping import Kept, draw_keeping

DOCUMENT = "evaluation.json"
TABLE = "predictions.csv"
PICTURES = "evaluation"  # a folder: confusion-COLUMN.png, keep-COLUMN.png
FIGURES = {  # kind of a column -> its first figure, and its name
    "class": ("top1", "top-1"),
    "multi": ("map", "mAP"),
    "number": ("pearson", "Pearson"),
}


def check_places(out: Path | None, csv: Path | None) -> None:
    """Refuses, before any work, what cannot be written: ValueError."""
    if csv is not None:
        check_place(csv, "--csv")
    if out is not None and out.exists() and not out.is_dir():
        raise ValueError(f"--out {out}: is a file; give a folder")


def write_evaluation(
    out: Path | None, csv: Path | None, document: dict[str, Any], evaluated: Sequence[Evaluated]
) -> None:
    """Everything into `out`; the predictions, of the first share of tokens, into `csv` where that
    is given. Nothing is written where both are None."""
    first = evaluated[0]
    table = csv if csv is not None else out and out / TABLE
    if out is not None:
        pictures = out / PICTURES
        pictures.mkdir(parents=True, exist_ok=True)
        for old in pictures.glob("*.png"):
            old.unlink()
        document = {**document, "pictures": draw(pictures, document)}
        write_text(out / DOCUMENT, json.dumps({"schema": 1, **document}, indent=1) + "\n")
    if table is not None:
        write_predictions(table, first.rows, first.found, first.config)


def draw(folder: Path, document: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Label column -> kind of picture -> its place in the run folder."""
    found: dict[str, dict[str, str]] = {}
    title = f"{Path(document['run']).name or document['run']}: "
    for number, (name, figures) in enumerate(document["columns"].items()):
        tail = f"{file_name(name)}-{number}.png" if number else f"{file_name(name)}.png"
        heading = f"{title}{name}, {figures['clips']} clips ({document['part']})"
        pictures = found.setdefault(name, {})
        if figures["kind"] == "class" and figures["clips"]:
            counts = np.array(figures["confusion"])
            draw_confusion(counts, figures["names"], folder / f"confusion-{tail}", heading)
            pictures["confusion"] = f"{PICTURES}/confusion-{tail}"
        if document.get("compare") and figures["clips"]:
            key, told = FIGURES[figures["kind"]]
            kept = [kept_of(each, name, key) for each in document["compare"]]
            draw_keeping(kept, folder / f"keep-{tail}", heading, told)
            pictures["keep"] = f"{PICTURES}/keep-{tail}"
    return found


def file_name(column: str) -> str:
    """A column's name as part of a file's."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", column).strip("-")[:40] or "column"


def kept_of(document: dict[str, Any], column: str, key: str) -> Kept:
    figures = document["columns"][column]
    change = document.get("difference", {}).get(column, {})
    return Kept(
        chosen(document),
        figures[key] if figures[key] is not None else float("nan"),
        pair(figures.get(f"{key}_interval") or figures[f"{key}_bootstrap"]),
        document["gflops"],
        document["clips_per_second"],
        change.get(key),
        pair(change.get(f"{key}_bootstrap")),
    )


def pair(found: Sequence[float] | None) -> tuple[float, float] | None:
    return None if found is None else (found[0], found[1])
