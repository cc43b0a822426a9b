"""This file decides what a label column is learnt by: a head of one class, of several, of a number.

B clips; F features of the reader; K classes.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everest import draw
from everest.kinds import Column, Kind, Scale


class Head(Protocol):
    """One label column."""

    kind: Kind

    def __call__(self, features: Tensor, key: Tensor) -> Tensor:
        """(B, F) -> (B, K) logits, or (B,) numbers in the unit of the labels."""
        ...

    def counts(self, labels: Tensor) -> Tensor:
        """(B,): what each clip counts in the mean of the loss; 0 where its label is missing."""
        ...

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B,) float32; 0 where a label is missing."""
        ...

    def probabilities(self, logits: Tensor) -> Tensor:
        """What is told of logits (..., K): shares of classes; numbers (...) as they are."""
        ...

    def start(self, scale: float) -> None:
        """First weights, small by `scale`."""
        ...


def answered(head: "SingleLabel | MultiLabel | Number", features: Tensor, key: Tensor) -> Tensor:
    """(B, F) -> (B, K): the linear layer; in training a share of the features is 0 and the others
    are scaled up."""
    if head.training and head.dropout:
        kept = draw.uniform(key, "head.dropout", features.shape[1]) >= head.dropout
        features = features * kept / (1 - head.dropout)
    return head.linear(features)


def start_small(linear: nn.Linear, scale: float) -> None:
    """Small initial logits (METHOD.md 1.2: init_scale 0.001 on weight and bias)."""
    nn.init.trunc_normal_(linear.weight, std=0.02)
    nn.init.zeros_(linear.bias)
    with torch.no_grad():
        linear.weight.mul_(scale)


class SingleLabel(nn.Module):
    """One of K classes a clip, by cross-entropy. Labels are class ids (B,) int64, -1 where missing,
    or shares of classes (B, K) float as mixing makes them, which is also what smooths those."""

    kind: Kind = "class"

    def __init__(
        self, features: int, classes: int, *, smoothing: float = 0.0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)
        self.smoothing = smoothing
        self.dropout = dropout

    def start(self, scale: float) -> None:
        start_small(self.linear, scale)

    def forward(self, features: Tensor, key: Tensor) -> Tensor:
        """(B, F) -> (B, K)."""
        return answered(self, features, key)

    def counts(self, labels: Tensor) -> Tensor:
        """(B,); of shares their sum, which is below 1 where one of two mixed clips has no label."""
        return labels.sum(dim=1) if labels.is_floating_point() else (labels >= 0).float()

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B, K), (B,) or (B, K) -> (B,)."""
        if labels.is_floating_point():
            return F.cross_entropy(logits.float(), labels, reduction="none")
        smoothing = self.smoothing if self.training else 0.0
        return F.cross_entropy(
            logits.float(), labels, ignore_index=-1, reduction="none", label_smoothing=smoothing
        )

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.softmax(dim=-1)


class MultiLabel(nn.Module):
    """Any of K classes a clip, each by its own binary cross-entropy; the mean over the classes.
    Labels are (B, K) float of 0 and 1, rows of NaN where missing."""

    kind: Kind = "multi"

    def __init__(self, features: int, classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)
        self.dropout = dropout

    def start(self, scale: float) -> None:
        start_small(self.linear, scale)

    def forward(self, features: Tensor, key: Tensor) -> Tensor:
        """(B, F) -> (B, K)."""
        return answered(self, features, key)

    def counts(self, labels: Tensor) -> Tensor:
        return (~labels.isnan().any(dim=1)).float()

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B, K), (B, K) -> (B,)."""
        # Labels are filled before the loss: NaN times a gradient of 0 is NaN.
        known = labels.nan_to_num(0.0)
        each = F.binary_cross_entropy_with_logits(logits.float(), known, reduction="none")
        return each.mean(dim=1) * self.counts(labels)

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()


class Number(nn.Module):
    """A number a clip, by the squared error in standard deviations of the training labels.
    Labels are (B,) float in the user's unit, NaN where missing; so are the predictions."""

    kind: Kind = "number"

    def __init__(self, features: int, scale: Scale, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1)
        self.mean, self.deviation = scale
        self.dropout = dropout

    def start(self, scale: float) -> None:
        start_small(self.linear, scale)

    def forward(self, features: Tensor, key: Tensor) -> Tensor:
        """(B, F) -> (B,) float32."""
        return self.mean + self.deviation * answered(self, features, key)[:, 0].float()

    def counts(self, labels: Tensor) -> Tensor:
        return (~labels.isnan()).float()

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B,), (B,) -> (B,)."""
        is_known = ~labels.isnan()
        error = (logits - torch.where(is_known, labels, logits.detach())) / self.deviation
        return error.square() * is_known

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits


def head_of(
    features: int, column: Column, scale: Scale, *, smoothing: float = 0.0, dropout: float = 0.0
) -> SingleLabel | MultiLabel | Number:
    """The head of a column; `smoothing` is of single labels, `scale` of numbers."""
    match column.kind:
        case "class":
            return SingleLabel(features, column.classes, smoothing=smoothing, dropout=dropout)
        case "multi":
            return MultiLabel(features, column.classes, dropout=dropout)
        case "number":
            return Number(features, scale, dropout=dropout)
