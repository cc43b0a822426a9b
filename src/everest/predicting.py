"""This file decides what a classifier says of clips: each read once, its views averaged.

B views of a batch; N rows that could be read; K classes; F features.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from everest.averaging import Views
from everest.classify import VideoClassifier
from everest.clips import Clips
from everest.kinds import Kind
from everest.machine import Machine


class EvaluationBatches(Protocol):
    def evaluation(self, batch: int, *, views: int = 1, crops: int = 1) -> Iterator[Clips]: ...


@dataclass(frozen=True)
class Predictions:
    """What a classifier says of each row: views averaged."""

    rows: np.ndarray  # (N,) index rows that could be read
    probabilities: dict[str, np.ndarray]  # column -> (N, K), or (N,) of numbers
    labels: dict[str, np.ndarray]  # column -> (N,) class ids, (N, K) of 0 and 1, (N,) numbers
    features: np.ndarray  # (N, F)
    missing: int  # rows that could not be read
    loss: float  # mean over labelled views, columns added; nan without labels
    seconds: float = 0.0  # that the model took, reading apart


def predict_rows(
    model: VideoClassifier,
    batches: EvaluationBatches,
    machine: Machine,
    *,
    batch: int = 16,
    views: int = 1,
    crops: int = 1,
) -> Predictions:
    """Every row once, its views averaged (softmax or logits, as the reader's paper does)."""
    (found,) = predict_each(
        model, (lambda: None,), batches, machine, batch=batch, views=views, crops=crops
    )
    return found


@torch.inference_mode()
def predict_each(
    model: VideoClassifier,
    ways: Sequence[Callable[[], object]],
    batches: EvaluationBatches,
    machine: Machine,
    *,
    batch: int = 16,
    views: int = 1,
    crops: int = 1,
) -> list[Predictions]:
    """The predictions of a model that is put to work in several ways, every clip read once.

    A way is a call that sets the model up, such as how many tokens it reads. Each is timed over
    the same batches in turn, so that what else the machine does weighs on all alike; the first
    batch is computed twice and timed the second time, without what is made once.
    """
    model.eval()
    gathered = [Gathered(Views(views * crops)) for _ in ways]
    labels: dict[str, dict[int, np.ndarray]] = {name: {} for name in model.columns}
    first = True
    for clips in batches.evaluation(batch, views=views, crops=crops):
        clips = paired(clips)
        for way, found in zip(ways, gathered, strict=True):
            way()
            if first:
                ask(model, clips, machine)
            begun = time.perf_counter()
            out = ask(model, clips, machine)
            said = [vote(model, name, out[f"logits.{name}"]) for name in model.columns]
            found.seconds += time.perf_counter() - begun
            found.put(clips, out, said, model.counts(clips))
        first = False
        for name in model.columns:
            if name in clips.labels:
                known = zip(clips.row.tolist(), clips.labels[name].numpy(), strict=True)
                labels[name].update(known)
    return [found.predictions(model, labels) for found in gathered]


def vote(model: VideoClassifier, column: str, logits: torch.Tensor) -> np.ndarray:
    """(B, K) or (B,) -> float32 of the same shape: what is averaged over views, logits or what
    they say, as the reader's paper does."""
    logits = logits.float()
    if model.reader.average == "softmax":
        logits = model.head_of[column].probabilities(logits)
    return logits.cpu().numpy()


def ask(model: VideoClassifier, clips: Clips, machine: Machine) -> dict[str, torch.Tensor]:
    with machine.autocast():
        return model(machine.bring(clips))


def paired(clips: Clips) -> Clips:
    """The batch, its only clip doubled: products of one row take another path through the
    processor, and their last bits would depend on the size of the batch."""
    if len(clips.weight) != 1:
        return clips
    place = torch.zeros(2, dtype=torch.int64)
    twice = Clips(
        video=clips.video[place],
        labels={name: value[place] for name, value in clips.labels.items()},
        weight=clips.weight[place],
        key=clips.key[place],
        row=clips.row[place],
        extra={name: value[place] for name, value in clips.extra.items()},
    )
    return twice._replace(row=torch.stack((clips.row[0], torch.tensor(-1))))


@dataclass
class Gathered:
    """What one way of working has said so far."""

    views: Views
    losses: dict[str, float] = field(default_factory=dict)  # sums, by the name of the loss
    counts: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def put(
        self,
        clips: Clips,
        out: dict[str, torch.Tensor],
        said: list[np.ndarray],
        counts: dict[str, torch.Tensor],
    ) -> None:
        features = out["features"].float().cpu().numpy()
        self.views.put(clips.row, clips.key, clips.weight, [*said, features])
        for name, count in counts.items():
            count = torch.where(clips.row >= 0, count, 0.0)
            loss = torch.where(count > 0, out[name].float().cpu() * clips.weight, 0.0)
            self.losses[name] = self.losses.get(name, 0.0) + float(loss.sum())
            self.counts[name] = self.counts.get(name, 0.0) + float(count.sum())

    def predictions(
        self, model: VideoClassifier, labels: dict[str, dict[int, np.ndarray]]
    ) -> Predictions:
        told = self.views.told()
        rows = np.array(list(told), dtype=np.int64)

        def stacked(place: int, kind: Kind | None = None) -> np.ndarray:
            nothing = np.zeros(0 if kind == "number" else (0, 0), np.float32)
            return np.stack([said[place] for said in told.values()]) if told else nothing

        probabilities = {}
        for place, name in enumerate(model.columns):
            mean = stacked(place, model.kinds[name])
            if model.reader.average == "logits":
                mean = model.head_of[name].probabilities(torch.from_numpy(mean)).numpy()
            probabilities[name] = mean
        means = [self.losses[name] / count for name, count in self.counts.items() if count]
        return Predictions(
            rows,
            probabilities,
            {
                name: labels_of(rows, labels[name], model.kinds[name], probabilities[name].shape)
                for name in model.columns
            },
            stacked(len(model.columns)),
            self.views.seen - len(rows),
            sum(means) if means else float("nan"),
            self.seconds,
        )


def labels_of(
    rows: np.ndarray, labels: dict[int, np.ndarray], kind: Kind, shape: tuple[int, ...]
) -> np.ndarray:
    """(N,) class ids, (N, K) or (N,) numbers; -1 and NaN where the source has no such column."""
    if labels and len(rows):
        return np.stack([labels[row] for row in rows.tolist()])
    if kind == "class":
        return np.full(len(rows), -1, dtype=np.int64)
    return np.full(shape, np.nan, dtype=np.float32)
