"""This file decides the classifier: a Reader, a norm and a head a label column.

B clips; F features of the reader; K classes of a label column.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol, cast

import torch
from torch import Tensor, nn

from everest.blocks import EPS
from everest.clips import Clips
from everest.config import ModelConfig, write_model
from everest.heads import Head, MultiLabel, Number, SingleLabel
from everest.kinds import Kind
from everest.pairs import InformativePairs
from everest.selection import Look, Selection, Selector


class Reader(Protocol):
    """What a classifier is built on."""

    features: int  # numbers it gives a clip, pooled its own way
    average: Literal["softmax", "logits"]  # how its paper averages views

    def look(self, clips: Clips) -> Look | None: ...
    def __call__(self, clips: Clips, look: Look | None, selection: Selection | None) -> Tensor: ...


class ClipStandardize(nn.Module):
    """BatchNorm without an affine part, over the clips that could be read (weight above 0)."""

    mean: Tensor
    variance: Tensor

    def __init__(self, features: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum = momentum
        self.eps = eps
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("variance", torch.ones(features))

    def forward(self, features: Tensor, weight: Tensor) -> Tensor:
        """(B, F), (B,) -> (B, F)."""
        features = features.float()
        if not self.training:
            return (features - self.mean) * (self.variance + self.eps).rsqrt()
        counts = (weight > 0).float()[:, None]
        total = counts.sum().clamp_min(1)
        features = torch.where(counts > 0, features, torch.zeros_like(features))
        mean = features.sum(dim=0) / total
        variance = ((features - mean).square() * counts).sum(dim=0) / total
        with torch.no_grad():
            readable = (counts.sum() > 1).float() * self.momentum
            unbiased = variance * total / (total - 1).clamp_min(1)
            self.mean.lerp_(mean, readable)
            self.variance.lerp_(unbiased, readable)
        return (features - mean) * (variance + self.eps).rsqrt()


class FeatureNorm(nn.LayerNorm):
    """LayerNorm of the pooled features (the released `fc_norm`)."""

    def forward(self, features: Tensor, weight: Tensor | None = None) -> Tensor:
        return super().forward(features)


class NoNorm(nn.Identity):
    """The features as they are, for readers that norm them themselves."""

    def forward(self, features: Tensor, weight: Tensor | None = None) -> Tensor:
        return features


def norm_of(name: Literal["layer", "batch", "none"], features: int) -> nn.Module:
    match name:
        case "layer":
            return FeatureNorm(features, eps=EPS)
        case "batch":
            return ClipStandardize(features)
        case "none":
            return NoNorm()


class VideoClassifier(nn.Module):
    """Reads a clip's kept tokens and gives logits a label column; selects in evaluation too."""

    config: ModelConfig  # set by build(): what config.json says

    def __init__(
        self,
        reader: Reader,
        heads: Mapping[str, SingleLabel | MultiLabel | Number],
        select: Selector | None = None,
        frames: InformativePairs | None = None,
        *,
        head_norm: Literal["layer", "batch", "none"] = "layer",
    ) -> None:
        super().__init__()
        self.reader = reader
        self.columns = tuple(heads)
        self.kinds: dict[str, Kind] = {column: head.kind for column, head in heads.items()}
        self.heads = nn.ModuleList(heads.values())
        self.select = select
        self.frames = frames
        self.fc_norm = norm_of(head_norm, reader.features)

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes an export: model.safetensors and config.json."""
        write_model(self, self.config, folder)

    def forward(self, clips: Clips) -> dict[str, Tensor]:
        """-> logits.COLUMN (B, K), of numbers (B,); features (B, F), visible, steps; if labelled
        loss.COLUMN (B,) and their sum, loss (B,)."""
        look = self.reader.look(clips)
        out: dict[str, Tensor] = {}
        if look is None and (self.select is not None or self.frames is not None):
            raise ValueError("this backbone cannot read a part of the tokens: leave out --keep")
        if look is not None and self.frames is not None:
            steps = self.frames(look, draws=self.training)
            clips = clips.at(steps, clips.video.shape[2] // look.grid[0])
            look = look.at(steps)
            out["steps"] = steps
        selection = None
        if look is not None and self.select is not None:
            selection = self.select(look)
            out["visible"] = selection.visible
        features = self.reader(clips, look, selection)
        out["features"] = features
        if not self.training and look is not None and look.grid[0] > 1:
            out["scores"] = look.change()
        normed = self.fc_norm(features, clips.weight)
        losses = []
        for column, head in self.head_of.items():
            out[f"logits.{column}"] = logits = head(normed, clips.key)
            if column in clips.labels:
                out[f"loss.{column}"] = loss = head.loss(logits, clips.labels[column])
                losses.append(loss)
        if losses:
            out["loss"] = torch.stack(losses).sum(dim=0)
        return out

    @property
    def head_of(self) -> dict[str, Head]:
        """Label column -> its head."""
        return {
            column: cast(Head, head) for column, head in zip(self.columns, self.heads, strict=True)
        }

    def counts(self, clips: Clips) -> dict[str, Tensor]:
        """Name of a loss that `forward` gives -> (B,): what each clip counts in its mean.

        A clip that could not be read, and one without a label there, counts 0.
        """
        return {
            f"loss.{column}": torch.where(
                clips.weight > 0, clips.weight * head.counts(clips.labels[column]), 0.0
            )
            for column, head in self.head_of.items()
            if column in clips.labels
        }
