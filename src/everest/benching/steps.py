"""This file decides what one measured step is: forward, backward and the optimiser's move."""

from collections.abc import Callable

import torch

from everest.cases import Case
from everest.machine import Machine
from everest.measuring import loss_of
from everest.optim import optimizer

RATE = 1e-4
Step = Callable[[], None]


def step_of(case: Case, place: Machine, *, moves: bool = True) -> Step:
    """A step from uint8 clips to moved weights, of first weights on noise; `moves`: with the
    optimiser. It returns when the device has done its work.

    Raises RecipeError, or another ValueError, for a case that cannot be built.
    """
    model, teachers = case.model()
    place.place(model).train()
    for teacher in teachers:
        place.freeze(teacher)
    moved = optimizer(model, case.recipe.optim, case.config().vit.depth) if moves else None
    for group in moved.param_groups if moved is not None else ():
        group["lr"] = RATE * group["scale"]
    clips = case.clips()

    def step() -> None:
        model.zero_grad(set_to_none=True)
        with place.autocast():
            loss = loss_of(model(place.bring(clips)))
        (loss / case.batch).backward()
        if moved is not None:
            moved.step()
        if place.device.type == "cuda":
            torch.cuda.synchronize(place.device)

    return step
