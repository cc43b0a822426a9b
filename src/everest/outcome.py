"""This file decides what a run amounts to: its figures, its clips, its bad files."""

from dataclasses import dataclass
from typing import Any

from everest.index import Row
from everest.loop import Loop
from everest.preparing import Prepared


@dataclass(frozen=True)
class Outcome:
    """What a finished run amounts to; `--json` prints it."""

    run: str
    epochs: int
    steps: int
    loss: float | None
    best: float | None
    seconds: float
    clips_per_second: float
    data_wait: float
    bad: list[dict[str, str]]
    validation: dict[str, Any]


def write_data(ready: Prepared) -> None:
    """data.json: the clips of the run, those held out, those that could not be read."""
    ready.folder.write_json(
        "data.json",
        {
            "schema": 1,
            "train": [row_json(row) for row in ready.train.rows],
            "held_out": [row_json(row) for row in ready.held.rows] if ready.held else [],
            "classes": ready.config.classes,
            "kinds": ready.config.kinds,
            "bad": bad_files(ready),
        },
    )


def row_json(row: Row) -> dict[str, Any]:
    return {"path": row.path, "start": row.start, "end": row.end, "labels": row.labels}


def bad_files(ready: Prepared) -> list[dict[str, str]]:
    found: dict[str, str] = {}
    for loader in (ready.train, ready.held):
        if loader is not None:
            found |= {entry["path"]: entry["reason"] for entry in loader.bad_files()}
    return [{"path": path, "reason": why} for path, why in sorted(found.items())]


def outcome(ready: Prepared, loop: Loop, seconds: float) -> Outcome:
    metrics = ready.folder.metrics()
    timings = list(ready.folder.lines("timings.jsonl"))
    epochs = [line for line in metrics if line["kind"] == "epoch"]
    evals = [line for line in metrics if line["kind"] == "eval"]
    speed = [line["clips_per_second"] for line in timings]
    waits = [line["data_wait"] for line in timings]
    return Outcome(
        str(ready.folder.path),
        loop.epoch,
        loop.step,
        epochs[-1]["loss"] if epochs else None,
        loop.best,
        seconds,
        sum(speed) / len(speed) if speed else 0.0,
        sum(waits) / len(waits) if waits else 0.0,
        bad_files(ready),
        evals[-1] if evals else {},
    )
