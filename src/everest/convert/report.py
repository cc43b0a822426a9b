"""This file decides what is said of weights that were read: every tensor is accounted for."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

SOME = 3  # names that a line shows


@dataclass(frozen=True)
class KeyReport:
    """What became of a file's tensors, and what is known of the model they are of."""

    source: str
    family: str
    kind: str  # autoencoder or classifier
    model: str  # width x blocks x heads
    matched: tuple[str, ...]  # names that are the same there and here
    renamed: tuple[tuple[str, str], ...]  # theirs, ours
    reshaped: tuple[tuple[str, str], ...]  # name, what was done
    missing: tuple[str, ...]  # ours that the file lacks
    unused: tuple[tuple[str, str], ...]  # theirs that are left aside, why
    positions: str  # sinusoid, sincos3d, table
    grid: tuple[int, int, int] | None  # of a stored table
    class_token: bool
    frames: int
    size: tuple[int, int]
    stride: float
    labels: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    assumed: tuple[str, ...] = ()  # of positions, heads, frames, size, stride, labels, mean and std
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def told(self, name: str) -> str:
        return " (assumed)" if name in self.assumed else ""

    def lines(self) -> list[str]:
        """Sentences for the console."""
        a = "an" if self.kind[0] in "aeiou" else "a"
        lines = [f"{self.source}: {self.family}, {a} {self.kind} {self.model}{self.told('heads')}"]
        lines += lines_of(self)
        lines += [self.positions_line(), self.clip_line()]
        if self.labels:
            lines.append(f"{len(self.labels)} labels: {some(self.labels)}{self.told('labels')}")
        means, stds = ("/".join(f"{value:g}" for value in part) for part in (self.mean, self.std))
        lines.append(f"pixels: mean {means}, std {stds}{self.told('mean and std')}")
        return [*lines, *self.notes]

    def positions_line(self) -> str:
        line = f"positions: {self.positions}"
        if self.grid is not None and self.positions == "table":
            line += f" of {'x'.join(map(str, self.grid))} tokens"
        if self.class_token:
            line += ", with a class token"
        if "positions" in self.assumed:
            line += " (assumed: the file cannot tell; for MVD's fine-tuned files --family "
            line += "mvd-finetune)" if self.kind == "classifier" else "mvd-encoder)"
        return line

    def clip_line(self) -> str:
        height, width = self.size
        return (
            f"clips: {self.frames} frames{self.told('frames')} x stride {self.stride:g}"
            f"{self.told('stride')}, {height}x{width} pixels{self.told('size')}"
        )


class Accounted(Protocol):
    """What became of a file's tensors."""

    @property
    def matched(self) -> tuple[str, ...]: ...
    @property
    def renamed(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def reshaped(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def missing(self) -> tuple[str, ...]: ...
    @property
    def unused(self) -> tuple[tuple[str, str], ...]: ...


def lines_of(report: Accounted) -> list[str]:
    """A sentence for each fate of a tensor."""
    lines = [f"{len(report.matched)} tensors matched by name, {len(report.renamed)} renamed"]
    if report.renamed:
        lines[-1] += f" ({some([f'{theirs} -> {ours}' for theirs, ours in report.renamed], 2)})"
    for why, names in by_reason(report.reshaped):
        lines.append(f"reshaped {count(names)} ({some(names)}): {why}")
    for why, names in by_reason(report.unused):
        lines.append(f"left aside {count(names)} ({some(names)}): {why}")
    if report.missing:
        lines.append(f"missing {count(report.missing)}: {some(report.missing)}")
    return lines


def count(names: Sequence[str]) -> str:
    return f"{len(names)} tensor{'s' if len(names) > 1 else ''}"


def some(names: Sequence[str], shown: int = SOME) -> str:
    return ", ".join(names[:shown]) + (", ..." if len(names) > shown else "")


def by_reason(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """(reason, names) in the order of the first name each."""
    groups: dict[str, list[str]] = {}
    for name, why in pairs:
        groups.setdefault(why, []).append(name)
    return list(groups.items())
