"""This file decides how the same weights are held against themselves at several shares of tokens:
which shares, and what the differences are worth on the same clips."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from everest import build
from everest.config import ModelConfig, SelectConfig
from everest.cost import cost_of
from everest.evaluation.document import Evaluated
from everest.metrics.columns import figures_of, listed
from everest.metrics.resampling import RESAMPLES, bootstrap, difference
from everest.run import Run
from everest.selection import Budget

CHOOSERS = ("rero", "random")  # selectors that can read a part of the tokens


@dataclass(frozen=True)
class Way:
    """How many tokens a model reads, and which: None is the model's own."""

    keep: Budget | None = None
    select: str | None = None

    def config(self, config: ModelConfig) -> ModelConfig:
        """The model's config with this choice: what a clip costs comes from it."""
        if self.keep is None:
            return config
        name = self.select or config.select.name
        if self.keep == 1.0 and isinstance(self.keep, float):
            return replace(config, select=SelectConfig("all"))
        return replace(config, select=SelectConfig("rero" if name == "all" else name, self.keep))

    def put(self, run: Run) -> None:
        """Makes the model read so; raises ValueError for a count that its clip does not have."""
        if self.keep is None:
            return
        if run.config.backbone is not None:
            run.keep(self.keep)  # refuses all but 1.0
            return
        select = build.reading_selector(self.config(run.config), self.keep)
        select.counts(run.grid)
        run.model.select = select

    def gflops(self, config: ModelConfig) -> float:
        """Multiply-adds of one view, in units of 1e9."""
        return cost_of(self.config(config)).total

    def told(self, config: ModelConfig) -> dict[str, Any]:
        select = self.config(config).select
        keep = 1.0 if select.name == "all" else select.keep
        return {"keep": keep if self.keep is None else self.keep, "select": select.name}


def ways_of(text: str) -> list[Way]:
    """`1.0,0.6,random:0.6` -> ways; raises ValueError for what is no share, count or selector."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, colon, number = part.rpartition(":")
        if colon and name not in CHOOSERS:
            known = ", ".join(CHOOSERS)
            raise ValueError(f"--compare-keep {part}: choose tokens by one of {known}")
        found.append(Way(keep_of(number), name or None))
    if len(set(found)) < len(found):
        raise ValueError(f"--compare-keep {text}: names one of these twice")
    return found


def keep_of(text: str) -> Budget:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise ValueError(f"--compare-keep {text}: give shares (0.6) or counts (940)") from None


def differences(
    evaluated: Sequence[Evaluated], *, seed: int = 0, resamples: int = RESAMPLES
) -> list[dict[str, dict[str, Any]]]:
    """For each but the first, by label column: each figure less the first's, with the paired
    bootstrap interval over the clips of both, and how many clips only one of them names rightly.
    """
    found = []
    for other in evaluated[1:]:
        assert other.found.rows.tolist() == evaluated[0].found.rows.tolist()
        columns = {}
        for name in other.config.classes:
            columns[name] = paired(evaluated[0], other, name, seed, resamples)
        found.append(columns)
    return found


def paired(
    first: Evaluated, other: Evaluated, name: str, seed: int, resamples: int
) -> dict[str, Any]:
    before, after = first.column(name), other.column(name)
    known = before.known
    if not known.any():
        return {}
    before, after = before.part(known), after.part(known)
    one, two = figures_of(before), figures_of(after)
    both = {key: difference(two[key], one[key]) for key in one}
    drawn = bootstrap(both, before.units, seed=seed, resamples=resamples)
    once = before.units[None, :] * 0.0 + 1.0
    found: dict[str, Any] = {}
    for key, figure in both.items():
        found[key] = float(figure(once)[0])
        found[f"{key}_bootstrap"] = listed(drawn[key])
    if before.kind == "class":
        was, now = (part.said.argmax(axis=1) == part.labels for part in (before, after))
        found["only_first_right"] = int((was & ~now).sum())
        found["only_this_right"] = int((now & ~was).sum())
    return found
