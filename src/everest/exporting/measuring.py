"""This file decides what an exported file is worth on given videos: its figures beside another's.

N clips; K classes; F features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from everest.classify import VideoClassifier
from everest.exporting.opening import Opened
from everest.metrics.columns import measure

if TYPE_CHECKING:
    from everest.index import Row
    from everest.run import Run

FIGURES = {"class": ("top1", "top-1"), "multi": ("map", "mAP"), "number": ("mse", "squared error")}


class NothingRead(ValueError):
    """No clip of the given videos could be read."""

    exit_code = 1


@dataclass(frozen=True)
class Measured:
    """Two files on the same clips: figures a label column, or how alike their features are."""

    clips: int
    missing: int
    columns: dict[str, dict[str, Any]]  # column -> {figure, before, after, same}
    cosine: float  # mean, of the features of both
    learnt: int = 0  # clips that the model was trained on

    def lines(self) -> list[str]:
        said = []
        for column, found in self.columns.items():
            if found["before"] is None:
                continue
            same = "" if found["same"] is None else f"; the same class for {found['same']} clips"
            said.append(
                f"{column}: {found['figure']} {found['before']:.4g} before, {found['after']:.4g} "
                f"after, on {found['clips']} clips{same}"
            )
        said.append(f"features: mean cosine {self.cosine:.4f} on {self.clips} clips")
        if self.missing:
            said.append(f"{self.missing} clips could not be read")
        if self.learnt:
            said.append(f"the model was trained on {self.learnt} of these clips")
        return said


def compare(
    run: "Run", rows: Sequence["Row"], before: Opened, after: Opened, workers: int
) -> Measured:
    """What both files make of the rows, a clip each. Raises NothingRead."""
    from everest.commands.evaluate import training_paths

    loader = run.loader(rows, workers)
    said: list[list[dict[str, np.ndarray]]] = []
    labels: dict[str, list[np.ndarray]] = {name: [] for name in run.config.classes}
    missing = learnt = 0
    known = training_paths(run)
    try:
        for clips in loader.evaluation(1):
            if not clips.weight[0] > 0:
                missing += 1
                continue
            learnt += rows[int(clips.row[0])].path in known
            video = clips.video.contiguous().numpy()
            said.append([before(video), after(video)])
            for name, values in labels.items():
                if name in clips.labels:
                    values.append(clips.labels[name][0].numpy())
    finally:
        loader.close()
    if not said:
        raise NothingRead(f"none of the {missing} clips could be read: nothing was measured")
    columns = {
        name: figures(run, name, said, np.stack(values))
        for name, values in labels.items()
        if len(values) == len(said)
    }
    first, second = (
        np.concatenate([pair[which]["features"] for pair in said]).astype(np.float64)
        for which in (0, 1)
    )
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosine = float(((first * second).sum(axis=1) / np.maximum(lengths, 1e-30)).mean())
    return Measured(len(said), missing, columns, cosine, learnt)


def figures(
    run: "Run", column: str, said: Sequence[Sequence[Mapping[str, np.ndarray]]], labels: np.ndarray
) -> dict[str, Any]:
    """The figure of a label column, by its kind, of both files."""
    assert isinstance(run.model, VideoClassifier)
    head = run.model.head_of[column]
    answers = []
    for which in (0, 1):
        logits = np.concatenate([pair[which][f"logits.{column}"] for pair in said])
        answers.append(head.probabilities(torch.from_numpy(logits)).numpy())
    key, told = FIGURES[head.kind]
    both = [
        measure(head.kind, answer, labels, run.config.classes[column]).to_json()
        for answer in answers
    ]
    same = None
    if head.kind == "class":
        same = int((answers[0].argmax(axis=1) == answers[1].argmax(axis=1)).sum())
    return {
        "figure": told,
        "clips": both[0].get("clips", len(said)),
        "before": both[0].get(key),
        "after": both[1].get(key),
        "same": same,
    }
