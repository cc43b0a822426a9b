"""This file decides what is said of a probing: figures with their intervals, beside chance."""

from everest.console import Console, duration, percent
from everest.entries import counted, shown
from everest.metrics import Accuracy
from everest.probes.figures import ColumnFigures, Probed, ProbeFigures

NAMES = {"knn": "kNN", "linear": "linear", "attentive": "attentive"}
HOW = {"given": "", "validation": ", chosen on val", "folds": ", chosen within train"}


def tell(probed: Probed, console: Console) -> None:
    """What was read, what each probe names rightly, and what could not be read."""
    numbers = probed.features.vectors.shape[1]
    pooled = "the mean over tokens" if probed.pool == "mean" else "the mean of each time step"
    views = f", {probed.views} views averaged" if probed.views > 1 else ""
    console.say(
        f"frozen features of {shown(probed.model)} ({probed.kind}): {pooled}, {probed.read} of "
        f"{probed.total} tokens read{views}, {numbers:,} numbers; "
        f"{counted(len(probed.features.rows), 'clip')} in {duration(probed.seconds['features'])}, "
        f"probes in {duration(probed.seconds['probes'])}"
    )
    for entry in probed.bad[:5]:
        console.warn(f"{shown(entry['path'])}: {shown(entry['reason'])}")
    if probed.features.missing:
        console.warn(
            f"{counted(probed.features.missing, 'clip')} could not be read: they count nowhere"
        )
    for column, figures in probed.columns.items():
        tell_column(column, figures, console)
    if probed.trained_on:
        console.warn(
            f"{probed.trained_on} of the clips measured on were in the training of this model "
            f"itself: for features of clips it has never seen, give others"
        )
    if probed.untrained is not None:
        tell(probed.untrained, console)


def tell_column(column: str, figures: ColumnFigures, console: Console) -> None:
    part = "test" if "test" in figures.majority else "val"
    console.title(
        f"{shown(column)}: {len(figures.classes)} classes, {figures.clips['train']:,} training "
        f"clips; of {figures.clips[part]:,} {part} clips chance names "
        f"{percent(figures.chance)}, the majority class {percent(figures.majority[part])}"
    )
    for probe in figures.probes:
        console.say(f"  {line(probe, part)}")


def line(probe: ProbeFigures, part: str) -> str:
    told = f"{NAMES[probe.name]:9}  {figure(probe.parts[part])}"
    if probe.name != "attentive":
        told += f"; {probe.setting} {probe.chosen.value:g}{HOW[probe.chosen.how]}"
    if part == "test" and "val" in probe.parts:
        told += f"; val {percent(probe.parts['val'].top1)} over {probe.parts['val'].clips:,}"
    return told


def figure(found: Accuracy) -> str:
    low, high = found.top1_interval
    told = f"top-1 {percent(found.top1)} (95 % interval {100 * low:.1f} to {100 * high:.1f})"
    if found.top5 is not None:
        told += f", top-5 {percent(found.top5)}"
    return f"{told}, mean per class {percent(found.mean_class)}"
