"""This file decides which parameter learns at which rate: groups, and the rate as a function of
the step. Source: METHOD.md 1.5."""

import math
import re
from dataclasses import dataclass

import torch
from torch import nn

from everest.recipe import Optim

# Of an encoder, of the backbone that K-centered patches are read by, of ViViT within a step.
BLOCK = re.compile(r"(?:encoder|reader)\.(?:backbone\.|spatial\.)?blocks\.(\d+)\.")
# Tables of positions and tokens that are learnt, by the names that models give them.
UNDECAYED = re.compile(
    r"(^|\.)(pos_embed\w*|position_table|time_embed|temp_embed|\w*cls_token|mask_token)$"
)


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up (end points included: step 0 has rate 0), then a cosine to the end; or the
    peak, cut at some steps."""

    peak: float
    end: float  # of the cosine
    warmup: int  # steps
    steps: int
    cuts: tuple[int, ...] | None = None  # steps from which on the rate is cut; None: a cosine
    cut: float = 0.1  # what each multiplies the rate by

    def rate(self, step: int) -> float:
        if step < self.warmup:
            return self.peak * step / max(self.warmup - 1, 1) if self.warmup > 1 else 0.0
        if self.cuts is not None:
            return self.peak * self.cut ** sum(step >= cut for cut in self.cuts)
        remaining = max(self.steps - self.warmup, 1)
        cosine = 1 + math.cos(math.pi * (step - self.warmup) / remaining)
        return self.end + (self.peak - self.end) / 2 * cosine


def schedule(optim: Optim, batch: int, epochs: int, steps_per_epoch: int) -> Schedule:
    """The rate of every step; recipe rates are per `optim.per` clips and scaled by the batch."""
    steps = epochs * steps_per_epoch
    share = optim.warmup_share
    warmup = int(optim.warmup * steps_per_epoch) if share is None else int(share * steps)
    scale = batch / optim.per
    cuts = None
    if optim.schedule == "steps":
        cuts = tuple(round(epoch * steps_per_epoch) for epoch in optim.decay_at)
    return Schedule(
        optim.lr * scale, optim.min_lr * scale, min(warmup, steps), steps, cuts, optim.decay_by
    )


def layer_of(name: str, depth: int) -> int:
    """0 for the embedding, k + 1 for block k of the encoder, depth + 1 for all else."""
    block = BLOCK.match(name)
    if block:
        return int(block.group(1)) + 1
    if ".patch_embed." in name or UNDECAYED.search(name):
        return 0
    return depth + 1


def decays(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1 and not name.endswith(".bias") and not UNDECAYED.search(name)


def parameter_groups(model: nn.Module, optim: Optim, depth: int) -> list[dict]:
    """Groups of equal weight decay and rate factor (`scale`), in a fixed order."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        scale = optim.layer_decay ** (depth + 1 - layer_of(name, depth))
        decay = optim.weight_decay if decays(name, parameter) else 0.0
        groups.setdefault((scale, decay), []).append(parameter)
    return [
        {"params": parameters, "scale": scale, "weight_decay": decay, "lr": 0.0}
        for (scale, decay), parameters in groups.items()
    ]


def optimizer(model: nn.Module, optim: Optim, depth: int) -> torch.optim.Optimizer:
    """AdamW, or plain SGD with momentum, where weight decay is part of the gradient."""
    fused = next(model.parameters()).device.type in ("cpu", "cuda")
    groups = parameter_groups(model, optim, depth)
    if optim.kind == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=optim.momentum, fused=fused)
    return torch.optim.AdamW(groups, lr=0.0, betas=optim.betas, eps=optim.eps, fused=fused)
