"""This file decides run folders that tests of the report read: written by hand, without training.

Names in them are what a stranger might give: tags, quotes, the end of a script.
"""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from everest.configuring import configure
from everest.recipe import FinetuneRecipe, PretrainRecipe, Recipe
from everest.report.page.looking import packed
from everest.report.page.spread import spread_of
from everest.report.page.sprites import sprites

IMAGE = "<img src=x onerror=alert(1)>.mp4"
SCRIPT = "</script><script>alert(2)</script>"
QUOTE = "\" onmouseover=\"alert('3')"
HOSTILE = (IMAGE, SCRIPT, QUOTE)
CLASSES = (SCRIPT, QUOTE, "=1+1", "<b>up</b>")
SIZES: dict[str, Any] = {"model": "32x2x2", "size": 32, "patch": 8, "frames": 8, "stride": 1}
GRID = (4, 4, 4)
EPOCHS = 6


def pretrained(folder: Path, **fields: Any) -> Path:
    recipe = PretrainRecipe(**{**SIZES, "epochs": EPOCHS, **fields})
    lines = [
        {"held_out": 1.0 - 0.1 * epoch, "constant": 1.0, "other_clip": 0.95, "clips": 12}
        for epoch in range(1, EPOCHS + 1)
    ]
    write(folder, recipe, lines, {})
    write_looks(folder, is_pretraining=True)
    return folder


def finetuned(folder: Path, **fields: Any) -> Path:
    recipe = FinetuneRecipe(**{**SIZES, "epochs": EPOCHS, **fields})
    lines = [
        {"loss": 1.4 - 0.1 * epoch, "top1": 0.1 * epoch, "clips": 12}
        | {"columns": {"label": {"top1": 0.1 * epoch, "clips": 12}}}
        for epoch in range(1, EPOCHS + 1)
    ]
    write(folder, recipe, lines, {"label": list(CLASSES)})
    write_looks(folder, is_pretraining=False)
    write_evaluation(folder)
    return folder


def write(
    folder: Path, recipe: Recipe, evals: list[dict[str, Any]], classes: dict[str, list[str]]
) -> None:
    (folder / "samples").mkdir(parents=True)
    put(folder / "recipe.json", {**recipe.to_json(), "named": "small-data", "teachers": {}})
    config = configure(recipe, {name: tuple(names) for name, names in classes.items()})
    (folder / "weights" / "last").mkdir(parents=True)
    put(folder / "weights" / "last" / "config.json", config.to_json())
    metrics: list[dict[str, Any]] = []
    for epoch, line in enumerate(evals, 1):
        for step in (10 * epoch - 5, 10 * epoch):
            metrics.append(
                {"kind": "step", "step": step, "epoch": epoch - 1, "loss": 2.0 / (step + 1)}
                | {"lr": 1e-4 * epoch, "gradient_norm": 0.5}
            )
        metrics.append({"kind": "epoch", "step": 10 * epoch, "epoch": epoch, "loss": 2.0 / epoch})
        metrics.append({"kind": "eval", "step": 10 * epoch, "epoch": epoch, **line})
    put_lines(folder / "metrics.jsonl", metrics)
    timings = [
        {"epoch": epoch, "seconds": 60.0, "clips_per_second": 50.0 + epoch, "data_wait": 0.1}
        for epoch in range(1, EPOCHS + 1)
    ]
    put_lines(folder / "timings.jsonl", timings)
    rows = [row(f"/videos/clip {number}.mp4", number, classes) for number in range(20)]
    put(
        folder / "data.json",
        {
            "schema": 1,
            "train": [row(f"/videos/{IMAGE}", 0, classes), *rows],
            "held_out": rows[:12],
            "classes": classes,
            "bad": [{"path": f"/videos/{name}", "reason": f"holds {name}"} for name in HOSTILE],
        },
    )
    put(folder / "env.json", {"torch": "2.13.0", "threads": "2", "system": QUOTE})
    job = recipe.to_json()["job"]
    (folder / "command.txt").write_text(f"everest {job} '/videos/{IMAGE}' --out {folder}\n")


def row(path: str, number: int, classes: dict[str, list[str]]) -> dict[str, Any]:
    labels = {column: number % len(names) for column, names in classes.items()}
    return {"path": path, "start": None, "end": None, "labels": labels}


def write_looks(folder: Path, *, is_pretraining: bool) -> None:
    draws = np.random.default_rng(0)
    video = draws.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    tokens = draws.integers(0, 3 if is_pretraining else 2, GRID, dtype=np.uint8)
    vectors = draws.normal(size=(12, 8)).astype(np.float32)
    spread = spread_of(vectors)
    assert spread is not None
    sample = {
        "path": f"/videos/{IMAGE}",
        "start": None,
        "end": None,
        "grid": list(GRID),
        "tubelet": 2,
        "step": 1,
        "input": sprites(video).to_json(),
        "rebuilt": sprites(255 - video).to_json() if is_pretraining else None,
        "scores": packed(draws.integers(0, 256, GRID, dtype=np.uint8).tobytes()),
        "tokens": packed(tokens.tobytes()),
        "visible": 20,
        "masked": 10 if is_pretraining else 0,
        "total": 64,
        "pairs": {**sprites(video[:6]).to_json(), "chosen": [0, 2, 3, 5]},
        "labels": []
        if is_pretraining
        else [{"column": "label", "is": SCRIPT, "says": [[QUOTE, 0.6], [SCRIPT, 0.4]]}],
    }
    put(
        folder / "samples" / "looks.json",
        {
            "schema": 1,
            "epoch": EPOCHS,
            "samples": [sample, {**sample, "path": f"/videos/{SCRIPT}", "pairs": None}],
            "features": {
                **spread.to_json(),
                "of": 12,
                "paths": [f"/videos/{name}" for name in HOSTILE * 4],
                "labels": [{} if is_pretraining else {"label": n % 4} for n in range(12)],
            },
            "train": {"clips": 21, "seconds": 75.0, "sizes": [["32 x 32", 21]], "rates": []},
            "held_out": {"clips": 12, "seconds": 30.0, "sizes": [], "rates": []},
        },
    )


def write_evaluation(folder: Path) -> None:
    """An evaluation of twelve clips, nine of them right, with its predictions."""
    counts = [[2, 1, 0, 0], [0, 3, 0, 0], [1, 0, 2, 0], [0, 0, 1, 2]]
    bins = [
        {"low": 0.6, "high": 0.8, "clips": 4, "confidence": 0.7, "accuracy": 0.5},
        {"low": 0.8, "high": 1.0, "clips": 8, "confidence": 0.9, "accuracy": 0.875},
    ]
    figures = {
        "kind": "class",
        "top1": 0.75,
        "top1_interval": [0.43, 0.95],
        "clips": 12,
        "per_class": {name: counts[place][place] / 3 for place, name in enumerate(CLASSES)},
        "names": list(CLASSES),
        "confusion": counts,
        "calibration": bins,
    }
    put(folder / "evaluation.json", {"schema": 1, "clips": 12, "columns": {"label": figures}})
    with (folder / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "start", "end", "column", "label", "predicted", "p", "weight"])
        for place, counted in enumerate(counts):
            for predicted, count in enumerate(counted):
                for number in range(count):
                    path = f"/videos/{HOSTILE[number]}"
                    names = [cell(CLASSES[place]), cell(CLASSES[predicted])]
                    writer.writerow([path, "", "", "label", *names, 0.9 - 0.1 * number, 1])
        writer.writerow(["/videos/unread.mp4", "", "", "label", CLASSES[0], "", "", 0])


def cell(text: str) -> str:
    return f"'{text}" if text.startswith("=") else text


def put(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document))


def put_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
