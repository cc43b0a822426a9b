"""This file decides what is said of an evaluation: each column's figures, what they rest on, and
what the model takes for what."""

from typing import Any

from everest.console import Console, percent
from everest.entries import counted, shown

TOLD_PAIRS = 3  # of classes
NAMES = {"top1": "top-1", "map": "mAP", "mse": "MSE"}


def tell_columns(document: dict[str, Any], console: Console, *, mistakes: bool) -> None:
    """The figures of each label column, with tokens, cost and speed."""
    for name, figures in document["columns"].items():
        tell_column(shown(name), figures, document, console)
        if mistakes and "confused" in figures:
            tell_mistakes(figures, console)
        tell_trained_on(figures, console)


def tell_column(
    name: str, figures: dict[str, Any], document: dict[str, Any], console: Console
) -> None:
    end = (
        f"over {counted(figures['clips'], 'clip')}, {chosen(document)}, "
        f"{document['gflops']:.3g} GFLOPs, {document['clips_per_second']:.1f} clips/s"
    )
    if not figures["clips"]:
        console.title(f"{name}: no clip that could be read has a label there")
        return
    by = document["resampled"]["by"]
    match figures["kind"]:
        case "class":
            low, high = figures["top1_interval"]
            console.title(
                f"{name}: top-1 {percent(figures['top1'])} (95 % interval {100 * low:.1f} to "
                f"{100 * high:.1f}) {end}"
            )
            console.say(f"  {more_of_classes(figures, by)}")
        case "multi":
            console.title(f"{name}: mAP {share(figures['map'])}{drawn(figures, 'map', by)} {end}")
        case "number":
            console.title(
                f"{name}: MSE {figures['mse']:.4g}{drawn(figures, 'mse', by, 1)}, Pearson "
                f"{number(figures['pearson'])}{drawn(figures, 'pearson', by, 1)} {end}"
            )


def more_of_classes(figures: dict[str, Any], by: str) -> str:
    parts = []
    if figures["top1_bootstrap"] is not None:
        parts.append(f"{bounds(figures['top1_bootstrap'])} with {by}s drawn again")
    if figures["top5"] is not None:
        parts.append(f"top-5 {percent(figures['top5'])}")
    parts.append(f"mean per class {percent(figures['mean_class'])}")
    parts.append(f"macro F1 {percent(figures['macro_f1'])}")
    parts.append(f"calibration error {percent(figures['calibration_error'])}")
    parts.append(f"the most frequent class is {percent(figures['majority'])}")
    return ", ".join(parts)


def tell_mistakes(figures: dict[str, Any], console: Console) -> None:
    for pair in figures["confused"][:TOLD_PAIRS]:
        worst = pair["worst"][0]
        console.say(
            f"  {shown(pair['label'])} taken for {shown(pair['predicted'])}: {pair['clips']} of "
            f"{figures['per_class_clips'][pair['label']]}, surest {shown(worst['path'])} "
            f"({percent(worst['p'])})"
        )


def tell_trained_on(figures: dict[str, Any], console: Console) -> None:
    if not figures["trained_on"]:
        return
    told = f"{figures['trained_on']} of these clips were trained on"
    if "held_out" in figures:
        apart = figures["held_out"]
        name, of = {"class": ("top-1", "top1"), "multi": ("mAP", "map")}.get(
            apart["kind"], ("MSE", "mse")
        )
        value = number(apart[of]) if of == "mse" else share(apart[of])
        told += f"; {name} on the other {apart['clips']}: {value}"
    console.warn(told)


def tell_missing(document: dict[str, Any], asked: int, console: Console) -> None:
    """What could not be read, and what a published set names and is not on disk."""
    for entry in document["bad"][:5]:
        console.warn(f"{shown(entry['path'])}: {shown(entry['reason'])}")
    if document["missing"]:
        console.warn(
            f"{document['missing']} of {asked} clips could not be read: they count nowhere"
        )
    if document["not_on_disk"]:
        console.warn(
            f"{counted(document['not_on_disk'], 'clip')} that the annotation names are not on disk"
            f": a published figure is over all of them"
        )


def tell_differences(documents: list[dict[str, Any]], console: Console) -> None:
    """Each share of tokens held against the first, on the same clips."""
    first = documents[0]
    for document in documents[1:]:
        for name, found in document["difference"].items():
            key = next((key for key in NAMES if key in found), None)
            if key is None:
                continue
            scale, unit, form = (1, "", "+.4g") if key == "mse" else (100, " points", "+.1f")
            interval = found[f"{key}_bootstrap"]
            between = ""
            if interval is not None:
                between = f" (95 % {scale * interval[0]:{form}} to {scale * interval[1]:{form}})"
            console.say(
                f"{shown(name)}, {chosen(document)} for {chosen(first)}: {NAMES[key]} "
                f"{scale * found[key]:{form}}{unit}{between} on the same clips, "
                f"{document['gflops'] / first['gflops']:.2f} of the multiply-adds, "
                f"{document['clips_per_second'] / first['clips_per_second']:.2f} times as fast"
            )


def chosen(document: dict[str, Any]) -> str:
    """keep 0.6, or random 0.6."""
    return f"{'random' if document['select'] == 'random' else 'keep'} {document['keep']}"


def drawn(figures: dict[str, Any], name: str, by: str, scale: float = 100) -> str:
    found = figures[f"{name}_bootstrap"]
    return "" if found is None else f" (95 % interval {bounds(found, scale)}, {by}s drawn again)"


def bounds(found: list[float] | None, scale: float = 100) -> str:
    if found is None:
        return ""
    form = ".1f" if scale == 100 else ".4g"
    return f"{scale * found[0]:{form}} to {scale * found[1]:{form}}"


def share(value: float | None) -> str:
    return "unknown" if value is None else percent(value)


def number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"
