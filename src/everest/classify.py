"""This file decides the classifier: a Reader, a norm and a head a label column.

B clips; F features of the reader; K classes.
"""

from pathlib import Path
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everest import draw
from everest.blocks import EPS
from everest.clips import Clips
from everest.config import ModelConfig, write_model
from everest.pairs import InformativePairs
from everest.selection import Look, Selection, Selector


class Reader(Protocol):
    """What a classifier is built on."""

    features: int  # numbers it gives a clip, pooled its own way
    average: Literal["softmax", "logits"]  # how its paper averages views

    def look(self, clips: Clips) -> Look | None: ...
    def __call__(self, clips: Clips, look: Look | None, selection: Selection | None) -> Tensor: ...


class Head(Protocol):
    """One label column."""

    def __call__(self, features: Tensor, key: Tensor) -> Tensor: ...
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor: ...


class SingleLabel(nn.Module):
    """One of K classes a clip, by cross-entropy."""

    def __init__(
        self, features: int, classes: int, *, smoothing: float = 0.0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)
        self.smoothing = smoothing
        self.dropout = dropout

    def start(self, scale: float) -> None:
        """Small initial logits (METHOD.md 1.2: init_scale 0.001 on weight and bias)."""
        nn.init.trunc_normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)
        with torch.no_grad():
            self.linear.weight.mul_(scale)

    def forward(self, features: Tensor, key: Tensor) -> Tensor:
        """(B, F) -> (B, K)."""
        if self.training and self.dropout:
            kept = draw.uniform(key, "head.dropout", features.shape[1]) >= self.dropout
            features = features * kept / (1 - self.dropout)
        return self.linear(features)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B, K), (B,) -> (B,); a missing label (-1) counts nothing."""
        smoothing = self.smoothing if self.training else 0.0
        return F.cross_entropy(
            logits.float(), labels, ignore_index=-1, reduction="none", label_smoothing=smoothing
        )


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


class VideoClassifier(nn.Module):
    """Reads a clip's kept tokens and gives logits a label column; selects in evaluation too."""

    config: ModelConfig  # set by build(): what config.json says

    def __init__(
        self,
        reader: Reader,
        heads: dict[str, SingleLabel],
        select: Selector | None = None,
        frames: InformativePairs | None = None,
        *,
        head_norm: Literal["layer", "batch"] = "layer",
    ) -> None:
        super().__init__()
        self.reader = reader
        self.columns = tuple(heads)
        self.heads = nn.ModuleList(heads.values())
        self.select = select
        self.frames = frames
        self.fc_norm: nn.Module = (
            FeatureNorm(reader.features, eps=EPS)
            if head_norm == "layer"
            else ClipStandardize(reader.features)
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes an export: model.safetensors and config.json."""
        write_model(self, self.config, folder)

    def forward(self, clips: Clips) -> dict[str, Tensor]:
        """-> logits.COLUMN (B, K), features (B, F), visible, steps; loss (B,) if labelled."""
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
        for column, head in zip(self.columns, self.heads, strict=True):
            assert isinstance(head, SingleLabel)
            out[f"logits.{column}"] = logits = head(normed, clips.key)
            if column in clips.labels:
                losses.append(head.loss(logits, clips.labels[column]))
        if losses:
            out["loss"] = torch.stack(losses).sum(dim=0)
        return out
