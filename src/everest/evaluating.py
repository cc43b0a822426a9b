"""This file decides how an autoencoder is looked at without learning: by its held-out loss and
its two controls."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from everest.machine import Machine
from everest.metrics import number_or_none
from everest.predicting import EvaluationBatches


@dataclass(frozen=True)
class HeldOut:
    """A masked autoencoder on clips it never learnt from."""

    clips: int
    loss: float
    constant: float  # of a predictor that says 0: 1.00 for normalised pixels
    other_clip: float  # of the same model reading another clip's visible tokens

    def to_json(self) -> dict[str, float | int | None]:
        """The figures of an eval line; None where there was nothing to measure."""
        figures = {
            "held_out": self.loss,
            "constant": self.constant,
            "other_clip": self.other_clip,
        }
        return {name: number_or_none(value) for name, value in figures.items()} | {
            "clips": self.clips
        }

    @property
    def share(self) -> float:
        """Of the constant predictor's loss that is left: 1.00 is nothing learnt."""
        return self.loss / self.constant if self.constant else float("nan")

    def told(self) -> str:
        """What the figures mean, in words."""
        start = f"held-out loss {self.loss:.3f}, {self.share:.2f} of a constant predictor's"
        gain = 1 - self.share
        own = (self.other_clip - self.loss) / self.constant if self.constant else 0.0
        if not self.clips:
            return "no held-out clip could be read: whether it has learnt is not known"
        if not math.isfinite(self.loss):
            return "the held-out loss is not finite: training has gone astray"
        if not gain >= 0.1:
            return f"{start}: barely learnt, train longer before you fine-tune"
        if math.isnan(self.other_clip):
            return f"{start}; one held-out clip has no other to be held against"
        if not own >= 0.02:
            return (
                f"{start}, and hardly better than when it reads another clip "
                f"({self.other_clip:.3f}): it has learnt what clips have in common, train longer"
            )
        return (
            f"{start} and {self.other_clip:.3f} when it reads another clip: it has learnt to use "
            f"what it sees"
        )


@torch.inference_mode()
def held_out(
    model: nn.Module, batches: EvaluationBatches, machine: Machine, *, batch: int = 16
) -> HeldOut:
    """The loss on the middle clip of every row, beside its controls; equal for every batch size
    but for which other clip is read."""
    model.eval()
    names = ("loss", "loss_constant", "loss_other")
    sums = dict.fromkeys(names, 0.0)
    counts = dict.fromkeys(names, 0)
    clips_seen = 0
    for clips in batches.evaluation(batch):
        with machine.autocast():
            out = model(machine.bring(clips))
        readable = clips.weight > 0
        clips_seen += int(readable.sum())
        for name in names:
            values = out[name].float().cpu()
            usable = readable
            if name == "loss_other":  # a clip alone in its batch, or beside a bad one, has none
                usable = readable & readable.roll(1) & ~values.isnan()
            sums[name] += float(values[usable].sum())
            counts[name] += int(usable.sum())
    loss, constant, other = (
        sums[name] / counts[name] if counts[name] else float("nan") for name in names
    )
    return HeldOut(clips_seen, loss, constant, other)


def held_out_of(line: dict[str, Any]) -> HeldOut:
    """The inverse of `to_json`, of a line of metrics.jsonl."""

    def figure(name: str) -> float:
        return float("nan") if line[name] is None else line[name]

    return HeldOut(line["clips"], figure("held_out"), figure("constant"), figure("other_clip"))
