"""This file decides what a measurement amounts to: rows of time and memory, ratios first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from everest.benching.memory import MEBI, Peak, peak_of
from everest.benching.steps import step_of
from everest.benching.turns import FEWEST, Times, paired, take_turns, verdict
from everest.benching.where import where
from everest.cases import Case, names_of
from everest.cost import cost_of
from everest.machine import Machine, keep_freed_memory

Memory = Literal["peak", "counted", "none"]


@dataclass(frozen=True)
class Plan:
    """How cases are measured."""

    rounds: int = 9  # steps of each case
    seconds: float | None = None  # after which no round begins, once there are enough
    memory: Memory = "peak"


@dataclass(frozen=True)
class Row:
    """One case, measured."""

    name: str
    case: Case
    times: Times | None  # None: only memory was asked for
    peak: Peak | str | None  # a sentence where it could not be measured
    kept: int | None  # bytes of activations, counted

    @property
    def peak_mebibytes(self) -> float | None:
        return self.peak.peak / MEBI if isinstance(self.peak, Peak) else None

    @property
    def above_mebibytes(self) -> float | None:
        return self.peak.above / MEBI if isinstance(self.peak, Peak) else None

    def to_json(self, first: "Row") -> dict[str, Any]:
        """`ratio` is over the first row's time, and so are its bounds, round by round."""
        document: dict[str, Any] = {"name": self.name, "gmac": cost_of(self.case.config()).total}
        if self.times is not None and first.times is not None:
            ratios = paired(self.times, first.times)
            document |= {
                "median_ms": 1000 * self.times.median,
                "min_ms": 1000 * self.times.least,
                "max_ms": 1000 * self.times.most,
                "ratio": self.times.over(first.times),
                "ratio_min": min(ratios),
                "ratio_max": max(ratios),
                "differs": differs(self, first),
                "rounds_ms": [1000 * seconds for seconds in self.times.seconds],
            }
        document["peak_mb"] = self.peak_mebibytes
        document["above_mb"] = self.above_mebibytes
        if isinstance(self.peak, str):
            document["peak_told"] = self.peak
        if self.kept is not None:
            document["kept_mb"] = self.kept / MEBI
        return document


def differs(row: Row, first: Row) -> bool:
    """Whether a difference in time is shown: enough rounds, and no overlap."""
    if row.times is None or first.times is None or row is first:
        return False
    return len(row.times.seconds) >= FEWEST and not row.times.overlaps(first.times)


@dataclass(frozen=True)
class Measured:
    """Rows in the order they were asked for; ratios are over the first."""

    machine: dict[str, Any]
    rows: list[Row]

    def to_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "rows": [row.to_json(self.rows[0]) for row in self.rows],
            "verdicts": self.verdicts(),
        }

    def verdicts(self) -> list[str]:
        """A sentence for each row beside the first."""
        first = self.rows[0]
        return [
            verdict((first.name, first.times), (row.name, row.times))
            for row in self.rows[1:]
            if first.times is not None and row.times is not None
        ]


def measure(
    cases: Sequence[Case],
    place: Machine,
    plan: Plan,
    *,
    told: Callable[[str], None] = lambda sentence: None,
) -> Measured:
    """Memory of each case alone, then the time of all in turn.

    The models of all cases stand in memory together while they are timed. Raises RecipeError, or
    another ValueError, for a case that cannot be built.
    """
    names = names_of(cases)
    peaks: list[Peak | str | None] = [None] * len(cases)
    kept: list[int | None] = [None] * len(cases)
    for number, case in enumerate(cases):
        if plan.memory == "peak":
            told(f"memory of {names[number]}")
            peaks[number] = peak_of(case, place)
        elif plan.memory == "counted":
            from everest.activations import activation_bytes

            told(f"counting the activations of {names[number]}")
            kept[number] = activation_bytes(case, place.precision)
    times: dict[str, Times] = {}
    if plan.rounds:
        keep_freed_memory()  # as in a run
        steps = {name: step_of(case, place) for name, case in zip(names, cases, strict=True)}
        times = take_turns(
            steps,
            plan.rounds,
            seconds=plan.seconds,
            told=lambda number: told(f"round {number} of {plan.rounds}"),
        )
    rows = [
        Row(name, case, times.get(name), peak, bytes_kept)
        for name, case, peak, bytes_kept in zip(names, cases, peaks, kept, strict=True)
    ]
    return Measured(where(place), rows)
