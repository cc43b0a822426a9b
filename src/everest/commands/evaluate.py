"""This file decides `everest evaluate`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from everest.frame_folders import RATE
from everest.options import parse, print_json

if TYPE_CHECKING:
    from everest.console import Console
    from everest.evaluation.comparing import Way
    from everest.evaluation.document import Evaluated
    from everest.index import Index, Row
    from everest.kinds import Label
    from everest.run import Run

SUMMARY = "measure a classifier, at several shares of kept tokens"
EXAMPLES = (
    "everest evaluate runs/b labelled/",
    "everest evaluate runs/b clips.csv --views 5x3 --compare-keep 1.0,0.6,0.4",
    "everest evaluate runs/b clips.csv --group source_video --out figures/",
)
PARTS = ("test", "val", "train", "all")


@dataclass(frozen=True)
class Options:
    """Measure a classifier on labelled videos: its test part, else val, else all."""

    run: tyro.conf.Positional[str]
    """A run folder, an export or a weights file of a classifier."""
    data: tyro.conf.Positional[tuple[str, ...]]
    """A folder per class, folder/{train,val,test}/class/, a .csv, or a set as ucf101:DIR."""
    views: str = "1x1"
    """Clips over the video x crops along the longer side, such as 5x3."""
    compare_keep: str | None = None
    """Shares or counts of tokens to read, such as 1.0,0.6,0.4,random:0.4: what each loses of the
    first, on the same clips, and what it saves."""
    part: str = "auto"
    """Which part: test, val, train, all; auto takes the one that is reported of a set, or the
    first of these that is there."""
    out: Path | None = None
    """A folder for evaluation.json, predictions.csv and pictures (also -o); the run folder where
    not given."""
    csv: Path | None = None
    """Another place for the predictions of every clip."""
    label: str | None = None
    """Label columns of a .csv, separated by commas; the model's own where not given."""
    group: str | None = None
    """A column whose clips belong together: intervals draw them whole."""
    split: float | None = None
    """The --split that the model was trained with, where the source has none."""
    fold: int | None = None
    """The official split that the model was trained with, of a set that has several."""
    frame_rate: float = RATE
    """Frames a second of folders of frames, where no column fps of a list says it."""
    seed: int = 0
    """Of the draws that bootstrap intervals are made of."""
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
    from everest.evaluation.comparing import Way, ways_of
    from everest.evaluation.keeping import check_places, write_evaluation
    from everest.evaluation.telling import tell_columns, tell_differences, tell_missing
    from everest.index import read_index
    from everest.report.page.refreshing import refresh
    from everest.run import load

    views = views_of(options.views)
    ways = ways_of(options.compare_keep or "") or [Way()]
    check_places(options.out, options.csv)
    run = load(options.run, device=options.device)
    run.tell(console)
    if not isinstance(run.model, VideoClassifier):
        raise ValueError(f"{options.run}: a pre-trained autoencoder; fine-tune it, then evaluate")
    for way in ways:
        way.put(run)  # a share that the model cannot read is refused before any video is
    index = read_index(
        options.data,
        label=options.label.split(",") if options.label else columns_asked(run),
        group=options.group,
        labelled=True,
        split=options.split,
        allow_unseen=True,
        fold=options.fold,
        frame_rate=options.frame_rate,
    )
    rows, part = part_of(index, options.part)
    rows = with_model_classes(rows, index, run)
    console.say(f"{len(rows)} clips ({part}), {views[0]} x {views[1]} views")
    evaluated, documents = measure(run, rows, ways, options, views)
    for document in documents:
        document["not_on_disk"] = sum(part.missing for part in index.sets)
        tell_columns(document, console, mistakes=document is documents[0])
    tell_missing(documents[0], len(rows), console)
    tell_differences(documents, console)
    whole = {
        "run": options.run,
        "data": list(options.data),
        "part": part,
        "views": views[0],
        "crops": views[1],
        **documents[0],
        **({"compare": documents} if len(documents) > 1 else {}),
    }
    out = options.out
    if out is None and run.folder is not None:
        out = run.folder.path
    write_evaluation(out, options.csv, whole, evaluated)
    if out is not None:
        console.say(f"figures, predictions and pictures in {out}")
        refresh(out, console)
    return documents


def measure(
    run: "Run",
    rows: Sequence["Row"],
    ways: Sequence["Way"],
    options: Options,
    views: tuple[int, int],
) -> tuple[list["Evaluated"], list[dict[str, Any]]]:
    """What each way of reading says of the rows, and its document."""
    from everest.classify import VideoClassifier
    from everest.evaluation.comparing import differences
    from everest.evaluation.document import Evaluated, columns_document, resampled
    from everest.predicting import predict_each

    assert isinstance(run.model, VideoClassifier)
    loader = run.loader(rows, options.workers)
    place = run.placed()
    puts = [partial(way.put, run) for way in ways]
    try:
        found = predict_each(
            run.model,
            puts,
            loader,
            place,
            batch=options.batch_size,
            views=views[0],
            crops=views[1],
        )
    finally:
        loader.close()
        run.keep(None)
    if not len(found[0].rows):
        raise NothingRead(f"none of the {len(rows)} clips could be read: nothing was measured")
    learnt = training_paths(run)
    evaluated = [Evaluated(run.config, rows, each, learnt, options.seed) for each in found]
    documents = []
    for way, each in zip(ways, evaluated, strict=True):
        clips = len(each.found.rows)
        documents.append(
            {
                "clips": clips,
                "missing": each.found.missing,
                "bad": loader.bad_files(),
                **way.told(run.config),
                "gflops": way.gflops(run.config) * views[0] * views[1],
                "clips_per_second": clips / max(each.found.seconds, 1e-9),
                "reading_clips_per_second": clips / max(loader.waited, 1e-9),
                "resampled": resampled(each.read, seed=options.seed),
                "columns": columns_document(each),
            }
        )
    for document, apart in zip(
        documents[1:], differences(evaluated, seed=options.seed), strict=True
    ):
        document["difference"] = apart
    return evaluated, documents


def columns_asked(run: "Run") -> list[str]:
    """The model's label columns as `--label` names them; none where it was trained on folders."""
    from everest.kinds import spelled

    names = list(run.config.classes)
    return [] if names == ["label"] and not run.config.kinds else spelled(names, run.config.kinds)


def views_of(text: str) -> tuple[int, int]:
    try:
        views, crops = (int(part) for part in text.lower().split("x"))
    except ValueError:
        views = crops = 0
    if views < 1 or crops < 1:
        raise ValueError(f"--views {text}: give CLIPSxCROPS, such as 5x3")
    return views, crops


def part_of(index: "Index", asked: str) -> tuple[tuple["Row", ...], str]:
    if asked not in (*PARTS, "auto"):
        raise ValueError(f"--part {asked}: choose one of {', '.join(PARTS)}")
    splits = {row.split for row in index.rows}
    if asked == "auto":
        # A published set has a part that papers report on, whichever others it has.
        reported = [part.reported for part in index.sets]
        asked = next((part for part in (*reported, "test", "val") if part in splits), "all")
    rows = tuple(row for row in index.rows if asked in ("all", row.split))
    if not rows:
        raise ValueError(f"--part {asked}: the source has no such rows")
    return rows, asked


def with_model_classes(rows: Sequence["Row"], index: "Index", run: "Run") -> tuple["Row", ...]:
    """The rows with labels by the model's own class ids; raises ValueError for unknown classes."""
    from everest.entries import listed, shown
    from everest.kinds import ids_of, kind_of

    kinds = run.config.kinds
    tables: dict[str, dict[int, int]] = {}
    for column, names in run.config.classes.items():
        if column not in index.classes:
            raise ValueError(
                f"the data has no label column '{shown(column)}'; it has {listed(index.classes)}"
            )
        if kind_of(index.kinds, column) != kind_of(kinds, column):
            raise ValueError(
                f"label '{shown(column)}': is read as {kind_of(index.kinds, column)} and the model "
                f"learnt it as {kind_of(kinds, column)}; leave out --label"
            )
        if kind_of(kinds, column) == "number":
            continue
        ids = {name: number for number, name in enumerate(names)}
        present = {number for row in rows for number in ids_of(row.labels[column])}
        theirs = index.classes[column]
        strange = sorted(theirs[number] for number in present if theirs[number] not in ids)
        if strange:
            raise ValueError(
                f"classes that the model does not know: {listed(strange, 5)}; it knows "
                f"{listed(names, 10)}"
            )
        tables[column] = {number: ids.get(name, -1) for number, name in enumerate(theirs)}

    def ours(column: str, label: "Label") -> "Label":
        if column not in tables or label is None:
            return label
        if isinstance(label, tuple):
            return tuple(sorted(tables[column][number] for number in label))
        return tables[column].get(int(label), -1)

    return tuple(
        replace(
            row, labels={column: ours(column, row.labels[column]) for column in run.config.classes}
        )
        for row in rows
    )


def training_paths(run: "Run") -> set[str]:
    if run.folder is None or not (run.folder.path / "data.json").exists():
        return set()
    return {entry["path"] for entry in run.folder.read_json("data.json")["train"]}
