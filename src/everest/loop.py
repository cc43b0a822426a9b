"""This file decides what the one loop that trains is given, and what says where it stands."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from everest.clips import Clips
from everest.folder import RunFolder
from everest.judging import Judging
from everest.machine import Machine
from everest.moving_average import MovingAverage
from everest.optim import Schedule


class Batches(Protocol):
    """What brings the clips of an epoch."""

    waited: float

    def epoch(self, epoch: int, batch: int, *, start: int = 0) -> Iterator[Clips]: ...

    def set_aside(self) -> dict[str, list[Any]]: ...

    def restore(self, aside: dict[str, list[Any]]) -> None: ...


@dataclass
class Loop:
    """Where a run stands; saved with the weights."""

    step: int = 0  # steps taken, skipped ones included
    epoch: int = 0
    step_in_epoch: int = 0
    skipped: int = 0  # steps without a finite loss and gradient
    skipped_in_row: int = 0
    unread: int = 0  # clips that could not be read
    loss_sum: float = 0.0  # of this epoch, over clips
    clip_sum: float = 0.0
    best: float | None = None
    best_epoch: int | None = None
    without_gain: int = 0  # evaluations since the best, by what judges the run
    ended: bool = False  # before its last epoch, for want of a gain
    sizes: dict[str, int] = field(default_factory=dict)  # of log files at this step, bytes
    bad: dict[str, list[Any]] = field(default_factory=dict)  # what Loader.set_aside() told


@dataclass(frozen=True)
class Job:
    """All that the loop needs; made by `training.py`."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    machine: Machine
    batches: Batches
    folder: RunFolder
    batch: int  # clips a step
    parts: int  # that a batch is computed in
    epochs: int
    steps_per_epoch: int
    clip_grad: float | None
    validate: Callable[[int], dict[str, Any]] | None  # epoch -> figures
    validate_every: int  # epochs
    score: Callable[[dict[str, Any]], float]  # of validation: higher is better, nan is none
    tell: Callable[[dict[str, Any]], None]  # an epoch's line for the console
    log_every: int = 10  # steps
    stop_after: int | None = None  # epochs
    # Name of a loss of the model -> (B,): what each clip counts in its mean.
    counts: Callable[[Clips], dict[str, Tensor]] = lambda clips: {"loss": clips.weight}
    average: MovingAverage | None = None  # of the weights; what is validated and exported
    judging: Judging = field(default_factory=Judging)

    def averaged(self) -> AbstractContextManager[None]:
        """The model with the weights that are validated and exported."""
        return nullcontext() if self.average is None else self.average.in_place()

    @cached_property
    def buffers(self) -> list[Tensor]:
        """What a forward pass moves and a state holds, such as a norm's running mean."""
        kept = self.model.state_dict().keys()
        return [buffer for name, buffer in self.model.named_buffers() if name in kept]
