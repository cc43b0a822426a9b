"""This file decides what stands in the poster's tables: published columns beside ours."""

from collections.abc import Sequence
from dataclasses import dataclass

from everest.benching.document import Measured, Row, differs
from everest.benching.memory import MEBI, Peak
from everest.benching.turns import paired, spread
from everest.cases import Case, is_supervised, recipe_of
from everest.cost import cost_of, reading_cost
from everest.explaining import teachers_of
from everest.poster import published
from everest.poster.measured import SMALL_SIZE, Findings, Small, kinetics_case, published_case
from everest.poster.remarks import of_views
from everest.vit import SIZES, VitConfig

NOT_RUN = "not run"
UNKNOWN = "not known here"


@dataclass(frozen=True)
class Table:
    """One table of the page, and one CSV file."""

    name: str  # of the file
    title: str
    about: str  # a paragraph above it
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def gflops(case: Case) -> float:
    return cost_of(case.config()).total


def pretraining(found: Findings | None) -> Table:
    """Table 1: time and memory of pre-training."""
    measured = found.pretraining if found else None
    by_method = {row.case.reads: row for row in measured.rows} if measured else {}
    rows = []
    for line in published.PRETRAINING:
        case = published_case(line.method)
        beside = sum(teachers_of(case).values())
        cost = f"{gflops(case):.1f}" + (f" + {beside:.0f} of teachers" if beside else "")
        minutes, seconds = divmod(line.seconds, 60)
        rows.append(
            (
                line.name,
                f"{minutes} min {seconds:02} s",
                f"{line.seconds / published.EVEREST.seconds:.2f}",
                *time_columns(by_method.get(line.method), measured),
                f"{line.gigabytes:.1f} GB",
                f"{line.gigabytes / published.EVEREST.gigabytes:.2f}",
                *memory_columns(by_method.get(line.method), measured),
                kept_column(line.method, found),
                cost,
                f"{line.accuracy:.1f}" if line.accuracy is not None else UNKNOWN,
            )
        )
    about = (
        "Published: ViT-B on Kinetics-400, an epoch on 8 A6000, memory of all of them; MVD with "
        "two frozen ViT-L as its teachers. "
    )
    if found:
        about += (
            f"Measured here: a step (forward, backward, AdamW) of {found.scale.told}; MVD's "
            f"teachers are {found.scale.teacher}, so its ratio is that of another pair of models. "
            f"Memory is what steps take above the weights: at so small a batch mostly gradients "
            f"and AdamW's moments, which are the same for all. So what a step keeps of one clip "
            f"for its backward pass is counted beside it, in float32."
        )
    return Table(
        "pretraining",
        "1. Pre-training: time and memory",
        about,
        (
            "method",
            "epoch, published",
            "over EVEREST, published",
            "step, measured here",
            "over EVEREST, here (between)",
            "memory, published",
            "over EVEREST, published",
            "memory, measured here",
            "over EVEREST, here",
            "activations a clip of ViT-B, counted (over EVEREST)",
            "GFLOPs counted, ViT-B",
            "top-1 on K400, published",
        ),
        tuple(rows),
        tuple(measured.verdicts()) if measured else (),
    )


def time_columns(row: Row | None, measured: Measured | None) -> tuple[str, str]:
    """(milliseconds, ratio) or 'not run'."""
    if row is None or measured is None or row.times is None:
        return NOT_RUN, NOT_RUN
    first = measured.rows[0]
    assert first.times is not None
    shown = f"{1000 * row.times.median:.0f} ms ({spread(row.times)})"
    if row is first:
        return shown, "1.00"
    ratios = paired(row.times, first.times)
    ratio = f"{row.times.over(first.times):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return shown, ratio if differs(row, first) else f"{ratio}, no difference shown"


def memory_columns(row: Row | None, measured: Measured | None) -> tuple[str, str]:
    """(MiB, ratio) or why there is none."""
    if row is None or measured is None or row.peak is None:
        return NOT_RUN, NOT_RUN
    if isinstance(row.peak, str):
        return row.peak, NOT_RUN
    base = measured.rows[0].above_mebibytes
    above = row.peak.above / MEBI
    return f"{above:.0f} MiB", f"{above / base:.2f}" if base else NOT_RUN


def kept_column(method: str, found: Findings | None) -> str:
    if found is None or method not in found.kept:
        return NOT_RUN
    kept = found.kept[method]
    return f"{kept / MEBI:.0f} MiB ({kept / found.kept['everest']:.2f})"


def kinetics(found: Findings | None) -> Table:
    """Table 2: the twelve rows of the Kinetics-400 table."""
    rows = []
    for line in published.KINETICS:
        small = found.kinetics.get(line.name) if found else None
        rows.append(
            (
                line.name,
                line.backbone,
                line.data,
                pretrain_printed(line),
                pretrain_counted(line),
                finetune_printed(line),
                finetune_counted(line),
                *small_columns(small),
                f"{line.accuracy:.1f}" if line.accuracy is not None else UNKNOWN,
                NOT_RUN,
            )
        )
    about = (
        "GFLOPs of the poster beside those counted here, by the poster's rule: one multiply-add "
        "is one, LayerNorm 5 a number. EVEREST's pre-training is counted at both shares, since "
        "the poster prints that of 0.4 and the paper's text keeps 0.3. VideoMAE ViT-L is counted "
        "with the poster's decoder of 4 blocks and the released one of 12. Memory: activations "
        "that a fine-tuning step keeps for its backward pass, one clip of the published size in "
        "float32, counted; and the peak above the weights of forward and backward, one clip of "
        f"{SMALL_SIZE} pixels, measured in the precision named above."
    )
    notes = [f"{line.name}: {line.note}." for line in published.KINETICS if line.note]
    for line in published.KINETICS:
        notes += [
            f"{line.name}, fine-tuning GFLOPs: {remark}."
            for remark in of_views(kinetics_case(line))
            if is_supervised(line.model)
        ]
    notes.append(f"Pre-training GFLOPs of image models: {published.IMAGE_PRETRAIN}.")
    return Table(
        "kinetics400",
        "2. Kinetics-400",
        about,
        (
            "method",
            "backbone",
            "pre-training data",
            "PT-GFLOPs, poster",
            "PT-GFLOPs, counted",
            "FT-GFLOPs, poster",
            "FT-GFLOPs, counted",
            "activations a clip, counted",
            f"memory at {SMALL_SIZE} pixels, measured",
            "top-1, published",
            "top-1, here",
        ),
        tuple(rows),
        tuple(notes),
    )


def pretrain_printed(line: published.Kinetics) -> str:
    if line.data == "none":
        return "none"
    return UNKNOWN if line.pretrain is None else f"{line.pretrain:.1f}"


def pretrain_counted(line: published.Kinetics) -> str:
    if line.data == "none":
        return "none"
    if is_supervised(line.model):
        size = line.backbone.lower()
        image = VitConfig(*SIZES[size], tubelet=1, class_token=True)
        return f"{reading_cost(image, (1, 14, 14)):.1f} an image"
    if line.method == "videomae":
        figure = f"{gflops(Case(recipe_of('pretrain', line.model, 'videomae'))):.2f}"
        if line.model != "vit-l":
            return figure
        depth = published.RELEASED_DEPTH
        deep = gflops(Case(recipe_of("pretrain", line.model, "videomae", decoder_depth=depth)))
        return f"{figure}; {deep:.1f} with {depth} decoder blocks"
    return "; ".join(
        f"{gflops(Case(recipe_of('pretrain', line.model, keep=keep))):.2f} at {keep:g}"
        for keep in (published.KEEP_PAPER, published.KEEP_PRINTED)
    )


def finetune_printed(line: published.Kinetics) -> str:
    if is_supervised(line.model):
        return f"{published.SUPERVISED[line.model].gflops:g}"
    printed = published.ALL_TOKENS if line.method == "videomae" else published.SIX_TENTHS
    return f"{printed[line.model]:.1f}"


def finetune_counted(line: published.Kinetics) -> str:
    one = gflops(kinetics_case(line))
    views = published.SUPERVISED[line.model].views if is_supervised(line.model) else 1
    return f"{one:.2f}" if views == 1 else f"{views} x {one:.2f} = {views * one:.1f}"


def small_columns(small: Small | None) -> tuple[str, str]:
    if small is None:
        return NOT_RUN, NOT_RUN
    kept = small.kept if isinstance(small.kept, str) else f"{small.kept / MEBI:,.0f} MiB"
    peak = small.peak
    return kept, f"{peak.above / MEBI:,.0f} MiB" if isinstance(peak, Peak) else peak


def finetuning(found: Findings | None) -> Table:
    """Table 3: other autoencoders' weights, fine-tuned with EVEREST's selection."""
    measured = found.finetuning if found else None
    rows = []
    for line in published.OTHERS:
        for name, method, accuracy in (
            ("all tokens", "videomae", f"{line.own:.1f} ({line.note})"),
            ("EVEREST, 0.6 kept", "everest", UNKNOWN),
        ):
            case = Case(recipe_of("finetune", "vit-b", method))
            printed = published.ALL_TOKENS if method == "videomae" else published.SIX_TENTHS
            row = (
                next((row for row in measured.rows if row.case.reads == case.reads), None)
                if measured
                else None
            )
            rows.append(
                (
                    line.name,
                    name,
                    f"{printed['vit-b']:.1f}",
                    f"{gflops(case):.2f}",
                    *time_columns(row, measured),
                    *memory_columns(row, measured),
                    accuracy,
                )
            )
    about = (
        "A ViT-B of another method is the same model, so that what EVEREST's selection saves in "
        "its fine-tuning is the same for each. "
    )
    if found:
        about += (
            f"Measured here once for all three: a fine-tuning step of {found.scale.told}; memory "
            f"is what steps take above the weights."
        )
    return Table(
        "finetuning",
        "3. Fine-tuning other autoencoders' weights with EVEREST",
        about,
        (
            "weights of",
            "reads",
            "GFLOPs, poster",
            "GFLOPs, counted",
            "step, measured here",
            "over EVEREST (between)",
            "memory, measured here",
            "over EVEREST",
            "top-1 on K400, published",
        ),
        tuple(rows),
        tuple(measured.verdicts()) if measured else (),
    )


def all_tables(found: Findings | None) -> Sequence[Table]:
    return pretraining(found), kinetics(found), finetuning(found)
