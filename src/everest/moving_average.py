"""This file decides the moving average of a run's weights, which may stand in for them."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

MOST_LEFT = 0.05  # share of the first weights in the average at the end of a run


@dataclass
class MovingAverage:
    """An average over the steps in which older weights fade: average = share * average + (1 -
    share) * weights after each step, from the first weights on. Running figures of norms are
    averaged as weights are; what is counted is copied."""

    model: nn.Module
    share: float  # of the average that a step keeps
    values: dict[str, Tensor] = field(init=False)  # by the names of the model's state

    def __post_init__(self) -> None:
        self.values = {name: value.clone() for name, value in self.model.state_dict().items()}

    def step(self) -> None:
        """Takes in the weights as they are now."""
        averages, weights = [], []
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                averages.append(self.values[name])
                weights.append(value)
            else:
                self.values[name].copy_(value)
        # lerp leaves a weight that never moves exactly as it is.
        torch._foreach_lerp_(averages, weights, 1 - self.share)

    def restore(self, values: dict[str, Tensor]) -> None:
        """Puts a saved average in place; raises KeyError for another model's."""
        for name, value in self.values.items():
            value.copy_(values[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model with the averaged weights for a while; its own come back bit for bit."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    @torch.no_grad()
    def swap(self) -> None:
        for name, value in self.model.state_dict().items():
            held = value.clone()
            value.copy_(self.values[name])
            self.values[name].copy_(held)


def told_average(share: float | None, steps: int) -> list[str]:
    """What to say of an average that would still be made of the first weights at the end."""
    if share is None or share**steps <= MOST_LEFT:
        return []
    fitting = math.exp(math.log(MOST_LEFT) / steps) if steps else 0.0
    return [
        f"--ema {share:g} over {steps} steps: {100 * share**steps:.0f} % of the averaged weights "
        f"are still the first ones at the end; --ema {fitting:.2g} or lower leaves "
        f"{100 * MOST_LEFT:.0f} %"
    ]
