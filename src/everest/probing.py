"""This file decides what probing a model is: its features are read once and never trained, then
small classifiers on them are measured on clips they did not learn from.

N clips that could be read.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from everest import build, data
from everest.folder import FolderError, RunFolder
from everest.index import Index, Row
from everest.jobs import Labels, labelled_index
from everest.probes import Probe
from everest.probes.asking import (
    ProbeError,
    column_figures,
    question_of,
    refuse_kinds,
    usable_rows,
)
from everest.probes.attentive import Attentive
from everest.probes.features import Features, Pool, TokenStore, read_features, trunk
from everest.probes.figures import WRITTEN, Probed
from everest.probes.linear import Linear
from everest.probes.nearest import Nearest
from everest.run import Run
from everest.selection import Budget, size_of


@dataclass(frozen=True)
class ProbeOptions:
    """How features are read and probes fitted."""

    pool: Pool = "steps"  # of the tokens read: their mean, or each time step's, one after another
    keep: Budget | None = None  # tokens read; None: the model's own, as `embed`
    views: int = 1  # clips spread over a video, averaged
    neighbours: int | None = None  # of kNN; None: chosen
    attentive: bool = False
    epochs: int = 20  # of the attentive probe
    untrained: bool = False  # also the same model with its first weights
    seed: int = 0
    workers: int = 0
    batch: int = 8  # clips at once


def probe_model(run: Run, sources: Sequence[str], labels: Labels, options: ProbeOptions) -> Probed:
    """Reads the features of all labelled clips and fits each probe for each label column.

    Raises ValueError (SourceError, ProbeError) for data that cannot be probed, before any video is
    decoded where that can be known.
    """
    if options.views < 1:
        raise ProbeError(f"--views {options.views}: give at least 1")
    index = labelled_index(sources, labels)
    refuse_kinds(index)
    if labels.per_class is not None:
        index = data.fewer_labels(index, labels.per_class, options.seed)
    index = replace(index, rows=usable_rows(index))
    found = probe_rows(run, index, options, allow_unseen=labels.allow_unseen)
    if not options.untrained:
        return found
    control = probe_rows(untrained(run, options.seed), index, options, allow_unseen=True)
    return replace(found, untrained=control)


def untrained(run: Run, seed: int) -> Run:
    """The same model with first weights, drawn by the seed: what training has to add to."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build.build(replace(run.config, decoders=()))
    return Run(f"{run.source}, untrained", model.eval(), run.config, None, run.device)


def probe_rows(run: Run, index: Index, options: ProbeOptions, *, allow_unseen: bool) -> Probed:
    rows = index.rows
    # The files of tokens live until all probes were asked.
    with tempfile.TemporaryDirectory(prefix="everest-probe-") as folder:
        store = None
        if options.attentive:
            store = TokenStore(Path(folder), len(rows), options.views)
        begun = time.perf_counter()
        features, bad, keep, read = features_of(run, rows, options, store)
        between = time.perf_counter()
        questions = {
            column: question_of(rows, features, column, names, allow_unseen)
            for column, names in index.classes.items()
        }
        probes = probes_of(run, features, options)
        columns = {
            column: column_figures(probes, question, index.classes[column], options.seed)
            for column, question in questions.items()
        }
        ended = time.perf_counter()
    return Probed(
        model=run.source,
        kind=run.kind,
        pool=options.pool,
        views=options.views,
        keep=keep,
        read=read,
        total=size_of(run.grid),
        columns=columns,
        features=replace(features, tokens=None),  # their files are gone
        rows=rows,
        trained_on=trained_on(run, [rows[number] for number in features.rows]),
        bad=bad,
        seconds={"features": between - begun, "probes": ended - between},
    )


def check_out(folder: Path | None, *, overwrite: bool) -> None:
    """Refuses, before any work, a folder that figures cannot be written to: FolderError."""
    if folder is None:
        return
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if overwrite and names <= WRITTEN:
        return
    if overwrite:
        raise FolderError(
            f"--out {folder} --overwrite: holds {sorted(names - WRITTEN)[0]}, which a probe does "
            f"not write; give another folder"
        )
    if names:
        raise FolderError(
            f"--out {folder}: is not empty; replace a probe's files with --overwrite, or give "
            f"another folder"
        )
    RunFolder(folder).check(resume=False, overwrite=False)


def trained_on(run: Run, rows: Sequence[Row]) -> int:
    """How many of the clips to measure on the model itself has learnt from, with labels or not."""
    if run.folder is None or not (run.folder.path / "data.json").exists():
        return 0
    learnt = {entry["path"] for entry in run.folder.read_json("data.json")["train"]}
    return sum(row.split != "train" and row.path in learnt for row in rows)


def features_of(
    run: Run, rows: Sequence[Row], options: ProbeOptions, store: TokenStore | None
) -> tuple[Features, list[dict[str, str]], Budget, int]:
    """(features, bad files, keep, tokens read of a clip)."""
    keep = options.keep
    if keep is None and run.kind == "autoencoder":
        keep = build.default_keep(run.config)
    run.keep(keep)
    try:
        place = run.placed()
        model = trunk(run.model)
        read = model.select.counts(run.grid)[0]
        loader = run.loader(rows, options.workers)
        try:
            features = read_features(
                model,
                loader,
                place,
                run.grid,
                pool=options.pool,
                views=options.views,
                batch=options.batch,
                store=store,
            )
        finally:
            loader.close()
    finally:
        run.keep(None)  # what is asked next reads and hides as the model was made to
    if keep is None:
        keep = 1.0 if run.config.select.name == "all" else run.config.select.keep
    return features, loader.bad_files(), keep, read


def probes_of(run: Run, features: Features, options: ProbeOptions) -> list[Probe]:
    probes: list[Probe] = [
        Nearest(features.vectors, options.neighbours),
        Linear(features.vectors),
    ]
    if options.attentive:
        assert features.tokens is not None
        probes.append(
            Attentive(
                features.tokens,
                features.rows,
                (run.config.vit.heads, run.grid[0] if options.pool == "steps" else 1),
                epochs=options.epochs,
                seed=options.seed,
                device=run.placed().device,
            )
        )
    return probes
