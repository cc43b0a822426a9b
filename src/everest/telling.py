"""This file decides what is said while a run goes on and when it ends."""

import time
from collections.abc import Callable
from typing import Any

from everest.console import Console, duration, percent
from everest.entries import shown
from everest.outcome import Outcome
from everest.preparing import Prepared


class EpochLines:
    """One line an epoch on the console, and the hints that its figures call for."""

    def __init__(
        self,
        console: Console,
        epochs: int,
        began: float,
        after: Callable[[int], None] | None = None,
    ) -> None:
        self.console = console
        self.epochs = epochs
        self.began = began
        self.after = after  # called with the epoch once its line is said
        self.first = 0
        self.hinted = False

    def __call__(self, line: dict[str, Any]) -> None:
        if "warning" in line:
            self.console.warn(line["warning"])
            return
        if "estimate" in line:
            self.console.say(
                f"estimate: about {duration(line['estimate'])} and the validations, "
                f"{line['peak_mb'] / 1024:.1f} GB"
            )
            return
        done = line["epoch"] - self.first
        elapsed = time.perf_counter() - self.began
        left = elapsed / max(done, 1) * (self.epochs - line["epoch"])
        parts = [f"epoch {line['epoch']}/{self.epochs}"]
        loss = line["loss"]
        parts.append("loss " + (f"{loss:.4f}" if loss is not None else "none: no clip was read"))
        if line.get("clips") == 0:
            parts.append("validation: no clip could be read")
        elif "score" in line:
            parts.append(validation(line))
        elif "held_out" in line and line["held_out"] is None:
            parts.append("held-out loss not finite")
        elif "held_out" in line:
            parts.append(f"held-out {line['held_out']:.3f} of {line['constant']:.2f}")
        if "probe" in line:
            parts.append(probe(line["probe"]))
        parts.append(f"{line['clips_per_second']:.1f} clips/s")
        parts.append(f"data wait {100 * line['data_wait']:.0f} %")
        parts.append(f"ETA {duration(left)}")
        if line["skipped"]:
            parts.append(f"{line['skipped']} steps skipped (not finite)")
        if line["unread"]:
            parts.append(f"{line['unread']} clips unread")
        self.console.say("  ".join(parts))
        if line["data_wait"] > 0.3 and not self.hinted:
            self.hinted = True
            self.console.warn(
                "the loader is what takes the time: try --cache DIR or more --workers"
            )
        if self.after is not None:
            self.after(line["epoch"])


def validation(line: dict[str, Any]) -> str:
    """A classifier's figures on val: top-1, or those of other kinds of label."""
    if line["top1"] is not None:
        return f"val top-1 {percent(line['top1'])}"
    parts = []
    for figures in line["columns"].values():
        if figures.get("map") is not None:
            parts.append(f"val mAP {percent(figures['map'])}")
        elif figures.get("mse") is not None:
            parts.append(f"val MSE {figures['mse']:.4g}")
    return ", ".join(parts) or "validation: no figure is finite"


def probe(found: dict[str, Any]) -> str:
    """What small classifiers on frozen features name rightly."""
    if found.get("linear") is None:
        return "probe: too few clips could be read"
    return f"probe linear {percent(found['linear'])}, kNN {percent(found['knn'])}"


def finish(ready: Prepared, result: Outcome, console: Console) -> None:
    """The curves, and where things are."""
    from everest.report.curves import draw_curves

    folder = ready.folder
    draw_curves(folder.metrics(), folder.path / "curves.png", folder.path.name)
    if result.bad:
        console.warn(f"{len(result.bad)} files could not be read (data.json lists them):")
        for entry in result.bad[:5]:
            console.warn(f"  {shown(entry['path'])}: {shown(entry['reason'])}")
    console.title(
        f"done: {result.epochs} epochs, {result.steps} steps, {duration(result.seconds)}, "
        f"{result.clips_per_second:.1f} clips/s, data wait {100 * result.data_wait:.0f} %"
    )
    console.say(f"weights in {folder.path / 'weights'}, curves in {folder.path / 'curves.png'}")
    page = folder.path / "report.html"
    if page.is_file():
        console.say(f"report in {page}: open it in a browser")


def next_commands(console: Console, commands: list[str]) -> None:
    console.say("next:")
    for command in commands:
        console.say(f"  {command}")
