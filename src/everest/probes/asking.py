"""This file decides what probes are asked of labelled clips, and what their answers amount to.

N clips that could be read.
"""

import time
from collections.abc import Hashable, Sequence

import numpy as np

from everest.entries import counted, listed, shown
from everest.index import Index, Row
from everest.kinds import is_missing
from everest.metrics import accuracy
from everest.probes import Probe
from everest.probes.features import Features
from everest.probes.figures import ColumnFigures, ProbeFigures
from everest.probes.setting import Clips, Question, choose

PARTS = ("train", "val", "test")


class ProbeError(ValueError):
    """Data that cannot be probed, with what to do."""


class NothingRead(ProbeError):
    """Data of which too little could be read: the job fails, it was not refused."""

    exit_code = 1


def refuse_kinds(index: Index) -> None:
    """Raises ProbeError for a column that is not of one class a clip."""
    for column, kind in index.kinds.items():
        what = "several labels a clip" if kind == "multi" else "numbers"
        raise ProbeError(
            f"--label {shown(column)}:{kind}: probes name one class a clip and this column holds "
            f"{what}; give a column of classes, or fine-tune a head on it"
        )


def is_labelled(row: Row) -> bool:
    return any(not is_missing(label, "class") for label in row.labels.values())


def usable_rows(index: Index) -> tuple[Row, ...]:
    """The rows of the three parts that have a label; raises ProbeError where a part is lacking."""
    rows = tuple(row for row in index.rows if row.split in PARTS and is_labelled(row))
    parts = {row.split for row in rows}
    if "train" not in parts:
        raise ProbeError(
            "no training clips: the source has no split; give --split 0.8, or a split column"
        )
    if not parts & {"val", "test"}:
        raise ProbeError(
            "all clips are training clips: a probe is measured on others; give clips of val or "
            "test, or a source without a split and --split 0.8"
        )
    return rows


def question_of(
    rows: Sequence[Row],
    features: Features,
    column: str,
    names: Sequence[str],
    allow_unseen: bool,
) -> Question:
    """What there is to learn and to ask; raises NothingRead where reading left too little."""
    read = [rows[number] for number in features.rows]
    labels = np.array([row.labels[column] for row in read], dtype=np.int64)
    splits = np.array([row.split for row in read], dtype=object)

    def clips(part: str) -> Clips:
        places = np.flatnonzero((splits == part) & (labels >= 0))
        return Clips(places, labels[places])

    train = clips("train")
    asked = {part: found for part in ("val", "test") if len((found := clips(part)).places)}
    learnt = set(train.labels.tolist())
    if len(learnt) < 2 or not asked:
        left = counted(len(train.places), "training clip")
        others = sum(len(found.places) for found in asked.values())
        raise NothingRead(
            f"label '{shown(column)}': {left} of {counted(len(learnt), 'class', 'classes')} and "
            f"{counted(others, 'clip')} to measure on could be read; training clips of two "
            f"classes and a clip to measure on are needed"
        )
    unseen = {label for found in asked.values() for label in found.labels.tolist()} - learnt
    if unseen and not allow_unseen:
        told = listed(names[label] for label in sorted(unseen))
        raise NothingRead(
            f"label '{shown(column)}': of {told} no training clip could be read; give others, or "
            f"go on with --allow-unseen"
        )
    units: list[Hashable] = [
        ("group", row.group) if row.group is not None else ("path", row.path)
        for row in (read[place] for place in train.places)
    ]
    return Question(len(names), train, units, asked)


def column_figures(
    probes: Sequence[Probe], question: Question, names: Sequence[str], seed: int
) -> ColumnFigures:
    train, asked = question.train, question.asked
    common = int(np.bincount(train.labels).argmax())
    found = []
    for probe in probes:
        begun = time.perf_counter()
        chosen = choose(probe, question, seed)
        places = np.concatenate([clips.places for clips in asked.values()])
        (shares,) = probe.answers(
            train.places, train.labels, question.classes, places, [chosen.value]
        )
        parts, start = {}, 0
        for part, clips in asked.items():
            stop = start + len(clips.places)
            parts[part] = accuracy(shares[start:stop], clips.labels, names)
            start = stop
        seconds = time.perf_counter() - begun
        found.append(ProbeFigures(probe.name, probe.setting, chosen, parts, seconds))
    return ColumnFigures(
        tuple(names),
        {"train": len(train.places), **{part: len(clips.places) for part, clips in asked.items()}},
        {part: float((clips.labels == common).mean()) for part, clips in asked.items()},
        tuple(found),
    )
