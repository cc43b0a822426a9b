"""This file decides which optimisers, schedules and averages are refused, in one sentence each."""

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from everest.recipe import Optim, Recipe


def refuse_rates(recipe: "Recipe") -> None:
    """Raises ValueError for steps that cannot be taken as asked."""
    optim = recipe.optim
    for name, value, fits, expected in (
        ("lr", optim.lr, optim.lr >= 0, "0 or more"),
        ("per", optim.per, optim.per >= 1, "the clips a step that the rate is given for, as 256"),
        ("warmup", optim.warmup, optim.warmup >= 0, "epochs, 0 or more"),
        ("momentum", optim.momentum, 0 <= optim.momentum < 1, "from 0 to below 1, such as 0.9"),
        ("layer-decay", optim.layer_decay, 0 < optim.layer_decay <= 1, "above 0 and at most 1"),
        ("weight-decay", optim.weight_decay, optim.weight_decay >= 0, "0 or more"),
    ):
        if not fits:
            raise ValueError(f"--optim.{name} {value}: expected {expected}")
    refuse_schedule(optim, recipe.epochs)
    if recipe.ema is not None and not 0 < recipe.ema < 1:
        raise ValueError(
            f"--ema {recipe.ema}: the share of the averaged weights that a step keeps, above 0 and "
            f"below 1, such as 0.9999; leave it out for none"
        )


def refuse_schedule(optim: "Optim", epochs: int) -> None:
    """Raises ValueError for a rate that falls at no epoch of the run."""
    epochs_told = " ".join(f"{epoch:g}" for epoch in optim.decay_at)
    if optim.schedule == "cosine":
        if optim.decay_at:
            raise ValueError(
                f"--optim.decay-at {epochs_told}: of --optim.schedule steps alone, and this is "
                f"cosine; give that too, or leave it out"
            )
        return
    if not optim.decay_at:
        raise ValueError(
            "--optim.schedule steps: say after which epochs the rate falls, such as "
            "--optim.decay-at 11 14"
        )
    ascending = all(earlier < later for earlier, later in pairwise(optim.decay_at))
    if not ascending or optim.decay_at[0] <= 0 or optim.decay_at[-1] >= epochs:
        raise ValueError(
            f"--optim.decay-at {epochs_told}: expected ascending epochs between 0 and the end of "
            f"the run, {epochs}"
        )
    if not 0 < optim.decay_by < 1:
        raise ValueError(
            f"--optim.decay-by {optim.decay_by}: what the rate is multiplied by, above 0 and below "
            f"1, such as 0.1"
        )
