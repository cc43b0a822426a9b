"""This file decides which parameter learns at which rate: groups, and the rate as a function of
the step. Source: METHOD.md 1.5."""

import math
import re
from dataclasses import dataclass

import torch
from torch import nn

from everest.recipe import Optim

PER = 256  # clips a step that a recipe's rate is given for
UNDECAYED = ("pos_embed", "cls_token", "mask_token")


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up (end points included: step 0 has rate 0), then a cosine to the end."""

    peak: float
    end: float
    warmup: int  # steps
    steps: int

    def rate(self, step: int) -> float:
        if step < self.warmup:
            return self.peak * step / max(self.warmup - 1, 1) if self.warmup > 1 else 0.0
        remaining = max(self.steps - self.warmup, 1)
        cosine = 1 + math.cos(math.pi * (step - self.warmup) / remaining)
        return self.end + (self.peak - self.end) / 2 * cosine


def schedule(optim: Optim, batch: int, epochs: int, steps_per_epoch: int) -> Schedule:
    """The rate of every step; recipe rates are per 256 clips and scaled by the batch."""
    steps = epochs * steps_per_epoch
    share = optim.warmup_share
    warmup = int(optim.warmup * steps_per_epoch) if share is None else int(share * steps)
    scale = batch / PER
    return Schedule(optim.lr * scale, optim.min_lr * scale, min(warmup, steps), steps)


def layer_of(name: str, depth: int) -> int:
    """0 for the embedding, k + 1 for block k of the encoder, depth + 1 for all else."""
    block = re.match(r"(?:encoder|reader)\.blocks\.(\d+)\.", name)
    if block:
        return int(block.group(1)) + 1
    if ".patch_embed." in name or any(name.endswith(part) for part in UNDECAYED):
        return 0
    return depth + 1


def decays(name: str, parameter: nn.Parameter) -> bool:
    return (
        parameter.ndim > 1
        and not name.endswith(".bias")
        and not any(name.endswith(part) for part in UNDECAYED)
    )


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


def optimizer(model: nn.Module, optim: Optim, depth: int) -> torch.optim.AdamW:
    device = next(model.parameters()).device.type
    return torch.optim.AdamW(
        parameter_groups(model, optim, depth),
        lr=0.0,
        betas=optim.betas,
        eps=optim.eps,
        fused=device in ("cpu", "cuda"),
    )
