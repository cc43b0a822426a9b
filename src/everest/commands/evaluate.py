"""This file decides `everest evaluate`."""

import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from everest.options import parse, print_json

if TYPE_CHECKING:
    from everest.console import Console
    from everest.evaluating import Predictions
    from everest.index import Index, Row
    from everest.run import Run

SUMMARY = "measure a classifier, at several shares of kept tokens"
EXAMPLES = (
    "everest evaluate runs/b labelled/",
    "everest evaluate runs/b clips.csv --views 5x3 --compare-keep 1.0,0.6,0.4",
)
PARTS = ("test", "val", "train", "all")


@dataclass(frozen=True)
class Options:
    """Measure a classifier on labelled videos: its test part, else val, else all."""

    run: tyro.conf.Positional[str]
    """A run folder, an export or a weights file of a classifier."""
    data: tyro.conf.Positional[tuple[str, ...]]
    """A folder per class, folder/{train,val,test}/class/, or a .csv."""
    views: str = "1x1"
    """Clips over the video x crops along the longer side, such as 5x3."""
    compare_keep: str | None = None
    """Shares or counts of tokens to read, such as 1.0,0.6,0.4: accuracy and speed of each."""
    part: str = "auto"
    """Which part: test, val, train, all; auto takes the first of these that is there."""
    csv: Path | None = None
    """Predictions of every clip; in the run folder where not given."""
    label: str | None = None
    """Label columns of a .csv, separated by commas; the model's own where not given."""
    split: float | None = None
    """The --split that the model was trained with, where the source has none."""
    batch_size: int = 16
    workers: int = 0
    device: str = "auto"
    json: bool = False
    """Print one JSON document on stdout, all else on stderr."""


class NothingRead(ValueError):
    """An evaluation of which no clip could be read."""

    exit_code = 1


def run(words: list[str]) -> int:
    options = parse(Options, words, "evaluate", examples=EXAMPLES)
    from everest.console import Console

    documents = evaluate(options, Console(to_stderr=options.json))
    if options.json:
        first = documents[0]
        print_json({**first, "compare": documents} if options.compare_keep else first)
    return 0


def evaluate(options: Options, console: "Console") -> list[dict[str, Any]]:
    """A document a share of kept tokens; raises ValueError for what cannot be evaluated."""
    from everest.classify import VideoClassifier
    from everest.index import read_index
    from everest.run import load

    run = load(options.run, device=options.device)
    run.tell(console)
    if not isinstance(run.model, VideoClassifier):
        raise ValueError(f"{options.run}: a pre-trained autoencoder; fine-tune it, then evaluate")
    views, crops = views_of(options.views)
    columns = options.label.split(",") if options.label else columns_asked(run)
    index = read_index(
        options.data,
        label=columns,
        labelled=True,
        split=options.split,
        allow_unseen=True,
    )
    rows, part = part_of(index, options.part)
    rows = with_model_classes(rows, index, run)
    console.say(f"{len(rows)} clips ({part}), {views} x {crops} views")
    keeps: list[int | float | None] = [
        keep_of(text) for text in (options.compare_keep or "").split(",") if text
    ]
    documents = []
    for keep in keeps or [None]:
        run.keep(keep)
        documents.append(measure(run, rows, keep, options, (views, crops), console))
    return documents


def columns_asked(run: "Run") -> list[str]:
    """The model's label columns; none where it was trained on folders."""
    names = list(run.config.classes)
    return [] if names == ["label"] else names


def views_of(text: str) -> tuple[int, int]:
    try:
        views, crops = (int(part) for part in text.lower().split("x"))
    except ValueError:
        views = crops = 0
    if views < 1 or crops < 1:
        raise ValueError(f"--views {text}: give CLIPSxCROPS, such as 5x3")
    return views, crops


def keep_of(text: str) -> int | float:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise ValueError(f"--compare-keep {text}: give shares (0.6) or counts (940)") from None


def part_of(index: "Index", asked: str) -> tuple[tuple["Row", ...], str]:
    if asked not in (*PARTS, "auto"):
        raise ValueError(f"--part {asked}: choose one of {', '.join(PARTS)}")
    splits = {row.split for row in index.rows}
    if asked == "auto":
        asked = next((part for part in ("test", "val") if part in splits), "all")
    rows = tuple(row for row in index.rows if asked in ("all", row.split))
    if not rows:
        raise ValueError(f"--part {asked}: the source has no such rows")
    return rows, asked


def with_model_classes(rows: Sequence["Row"], index: "Index", run: "Run") -> tuple["Row", ...]:
    """The rows with labels by the model's own class ids; raises ValueError for unknown classes."""
    tables: dict[str, dict[int, int]] = {}
    for column, names in run.config.classes.items():
        if column not in index.classes:
            raise ValueError(
                f"the data has no label column '{column}'; it has {', '.join(index.classes)}"
            )
        ids = {name: number for number, name in enumerate(names)}
        present = {row.labels[column] for row in rows if row.labels[column] >= 0}
        theirs = index.classes[column]
        strange = sorted(theirs[number] for number in present if theirs[number] not in ids)
        if strange:
            raise ValueError(
                f"classes that the model does not know: {', '.join(strange[:5])}; it knows "
                f"{', '.join(names[:10])}"
            )
        tables[column] = {number: ids.get(name, -1) for number, name in enumerate(theirs)}
    return tuple(
        replace(
            row,
            labels={name: table.get(row.labels[name], -1) for name, table in tables.items()},
        )
        for row in rows
    )


def measure(
    run: "Run",
    rows: Sequence["Row"],
    keep: int | float | None,
    options: Options,
    views: tuple[int, int],
    console: "Console",
) -> dict[str, Any]:
    from everest.config import SelectConfig
    from everest.console import percent
    from everest.cost import cost_of
    from everest.entries import shown
    from everest.evaluating import predict_rows
    from everest.metrics import accuracy

    loader = run.loader(rows, options.workers)
    place = run.placed()
    begun = time.perf_counter()
    try:
        found = predict_rows(
            run.model, loader, place, batch=options.batch_size, views=views[0], crops=views[1]
        )
    finally:
        loader.close()
    speed = len(found.rows) / max(time.perf_counter() - begun, 1e-9)
    for entry in loader.bad_files()[:5]:
        console.warn(f"{shown(entry['path'])}: {shown(entry['reason'])}")
    if not len(found.rows):
        raise NothingRead(f"none of the {len(rows)} clips could be read: nothing was measured")
    config = run.config
    if keep is not None:
        name = "all" if keep == 1.0 and isinstance(keep, float) else config.select.name
        config = replace(config, select=SelectConfig(name, keep))
    gflops = cost_of(config).total * views[0] * views[1]
    seen = training_paths(run)
    columns = {}
    for column, names in run.config.classes.items():
        labels = found.labels[column]
        figure = accuracy(found.probabilities[column], labels, names)
        columns[column] = figure.to_json()
        low, high = figure.top1_interval
        console.title(
            f"{column}: top-1 {percent(figure.top1)} (95 % interval {100 * low:.1f} to "
            f"{100 * high:.1f}) over {figure.clips} clips, keep "
            f"{config.select.keep if config.select.name != 'all' else 1.0}, {gflops:.1f} GFLOPs, "
            f"{speed:.1f} clips/s"
        )
        fresh = [at for at, number in enumerate(found.rows) if rows[number].path not in seen]
        if len(fresh) < len(labels):
            told = f"{len(labels) - len(fresh)} of these clips were trained on"
            if fresh:
                apart = accuracy(found.probabilities[column][fresh], labels[fresh], names)
                columns[column]["held_out"] = apart.to_json()
                told += f"; top-1 on the other {apart.clips}: {percent(apart.top1)}"
            console.warn(told)
    if found.missing:
        console.warn(f"{found.missing} of {len(rows)} clips could not be read: they count nowhere")
    write_predictions(run, rows, found, options.csv)
    return {
        "clips": len(found.rows),
        "missing": found.missing,
        "keep": keep if keep is not None else config.select.keep,
        "gflops": gflops,
        "clips_per_second": speed,
        "columns": columns,
    }


def training_paths(run: "Run") -> set[str]:
    if run.folder is None or not (run.folder.path / "data.json").exists():
        return set()
    return {entry["path"] for entry in run.folder.read_json("data.json")["train"]}


def write_predictions(
    run: "Run", rows: Sequence["Row"], found: "Predictions", path: Path | None
) -> None:
    """path,start,end,column,label,predicted,p,weight a clip, unreadable ones with weight 0."""
    if path is None:
        if run.folder is None:
            return
        path = run.folder.path / "predictions.csv"
    places = {int(number): at for at, number in enumerate(found.rows)}
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "start", "end", "column", "label", "predicted", "p", "weight"])
        for number, row in enumerate(rows):
            for column, names in run.config.classes.items():
                label = names[row.labels[column]] if row.labels[column] >= 0 else ""
                span = [row.path, row.start, row.end, column, label]
                at = places.get(number)
                if at is None:
                    writer.writerow([*span, "", "", 0])
                    continue
                shares = found.probabilities[column][at]
                best = int(shares.argmax())
                writer.writerow([*span, names[best], f"{shares[best]:.6f}", 1])
