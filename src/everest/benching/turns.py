"""This file decides how steps are timed beside each other, and when one may be called faster."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

FEWEST = 3  # rounds: below, a spread says nothing
UNCOUNTED = 1  # rounds at first, in which memory is taken and kernels are chosen


@dataclass(frozen=True)
class Times:
    """Seconds of a step, a round each, in the order of rounds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def least(self) -> float:
        return min(self.seconds)

    @property
    def most(self) -> float:
        return max(self.seconds)

    def over(self, other: "Times") -> float:
        """This median over the other's."""
        return self.median / other.median

    def overlaps(self, other: "Times") -> bool:
        """Whether some step of one took as long as some step of the other."""
        return self.least <= other.most and other.least <= self.most


def take_turns(
    steps: Mapping[str, Callable[[], None]],
    rounds: int,
    *,
    seconds: float | None = None,
    told: Callable[[int], None] = lambda number: None,
) -> dict[str, Times]:
    """Each step once a round, A B A B, so that a change of the machine's speed falls on all.

    Ends after `rounds`, or with `seconds` at the first round after so long, but not before FEWEST.
    `told` is called with the number of rounds that are done.
    """
    taken: dict[str, list[float]] = {name: [] for name in steps}
    begun = time.perf_counter()
    for number in range(rounds + UNCOUNTED):
        for name, step in steps.items():
            before = time.perf_counter()
            step()
            if number >= UNCOUNTED:
                taken[name].append(time.perf_counter() - before)
        done = number + 1 - UNCOUNTED
        told(done)
        late = seconds is not None and time.perf_counter() - begun > seconds
        if late and done >= min(FEWEST, rounds):
            break
    return {name: Times(tuple(times)) for name, times in taken.items()}


def verdict(one: tuple[str, Times], other: tuple[str, Times]) -> str:
    """A sentence on which of two is faster, or that it is not shown."""
    (first, mine), (second, theirs) = sorted((one, other), key=lambda pair: pair[1].median)
    if min(len(mine.seconds), len(theirs.seconds)) < FEWEST:
        return (
            f"{first} and {second}: {len(mine.seconds)} rounds say nothing of a difference; give "
            f"--rounds {FEWEST} or more"
        )
    if mine.overlaps(theirs):
        return (
            f"{first} and {second}: no difference is shown, their times overlap "
            f"({spread(mine)} and {spread(theirs)} ms); a quieter machine may show one"
        )
    ratios = paired(theirs, mine)
    return (
        f"{first} is faster than {second}: {theirs.over(mine):.2f} times, between "
        f"{min(ratios):.2f} and {max(ratios):.2f} in {len(ratios)} rounds"
    )


def paired(one: Times, other: Times) -> Sequence[float]:
    """The ratio of each round."""
    return [mine / theirs for mine, theirs in zip(one.seconds, other.seconds, strict=True)]


def spread(times: Times) -> str:
    return f"{1000 * times.least:.0f} to {1000 * times.most:.0f}"
