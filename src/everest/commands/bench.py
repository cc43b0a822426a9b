"""This file decides `everest bench`."""

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from everest.options import parse, print_json

if TYPE_CHECKING:
    from everest.benching.document import Measured, Row
    from everest.cases import Case
    from everest.console import Console

SUMMARY = "time and memory of training steps, measured side by side"
EXAMPLES = (
    "everest bench --models vit-s --methods everest,videomae",
    "everest bench --models vit-s,vit-b --jobs finetune --keep 0.4,0.6,1.0 --batch-size 4",
    "everest bench --methods everest,videomae,mme,mvd --jobs pretrain --device cuda",
    "everest bench --models vit-s,mvit-s --jobs finetune --memory counted --json",
)


@dataclass(frozen=True)
class Options:
    """Measure a training step of any models, methods, shares and clips, in turn: A B A B.

    Every combination of what is listed is a case; the first is what the others are held against.
    A step goes from clips of noise to moved weights. Nothing is called faster whose times overlap.
    """

    models: str = "vit-s"
    """Models, separated by commas; supervised ones are fine-tuned alone."""
    methods: str = "everest,videomae"
    """everest, videomae, mme, mvd; in fine-tuning all but everest read all tokens."""
    jobs: str = "pretrain,finetune"
    """pretrain, finetune, or both: both are not held against each other."""
    keep: str | None = None
    """Shares (0.3) or counts (470) of tokens that everest keeps; each job's own if not given."""
    frames: str = ""
    """Frames of a clip; the model's own where not given."""
    size: str = "224"
    """Pixels a side, or HEIGHTxWIDTH; several are separated by commas."""
    batch_size: str = "2"
    """Clips of a step; several are separated by commas."""
    classes: int = 400
    """Of a classifier."""
    teacher: str = "vit-b"
    """Size of the frozen models that MVD learns from."""
    rounds: int = 9
    """Steps of each case that count, after one that does not."""
    minutes: float | None = None
    """Begin no round after so long, once there are three."""
    memory: Literal["peak", "counted", "none"] = "peak"
    """peak: of a process a case, or of the GPU; counted: activations alone, by formula."""
    device: str = "auto"
    """auto, cpu, cuda."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    json: bool = False
    """Print one JSON document on stdout, all else on stderr."""


def run(words: list[str]) -> int:
    options = parse(Options, words, "bench", examples=EXAMPLES)
    if options.rounds < 1:
        raise ValueError(f"--rounds {options.rounds}: give 1 or more; a spread needs 3")
    if options.minutes is not None and options.minutes <= 0:
        raise ValueError(f"--minutes {options.minutes:g}: must be above 0")
    from everest.benching.document import Plan, measure
    from everest.console import Console
    from everest.machine import choose

    console = Console(to_stderr=options.json)
    groups = cases_of(options)
    place = choose(options.device, options.precision)
    seconds = 60 * options.minutes / len(groups) if options.minutes else None
    plan = Plan(options.rounds, seconds, options.memory)
    found = [measure(cases, place, plan, told=progress(options.json)) for cases in groups]
    if options.json:
        machine = found[0].machine
        documents = [measured.to_json() for measured in found]
        rows = [row for document in documents for row in document["rows"]]
        verdicts = [sentence for document in documents for sentence in document["verdicts"]]
        print_json({"machine": machine, "rows": rows, "verdicts": verdicts})
        return 0
    for measured in found:
        tell(measured, console)
    from everest.benching.where import told

    for line in told(found[-1].machine):
        console.say(line)
    return 0


def progress(quiet: bool) -> Any:
    """Says on stderr what goes on, on one line, where somebody looks."""
    import sys

    def told(sentence: str) -> None:
        if sys.stderr.isatty() and not quiet:
            print(f"\r\x1b[K{sentence} ", end="\r", file=sys.stderr, flush=True)

    return told


def cases_of(options: Options) -> "list[list[Case]]":
    """Groups of cases that are held against each other, one a job; each case once.

    Raises RecipeError, which is a ValueError, for names and values that cannot run.
    """
    from everest.cases import JOBS, Case, is_supervised, recipe_of
    from everest.recipe import RecipeError

    jobs = listed(options.jobs, "--jobs")
    for job in jobs:
        if job not in JOBS:
            raise RecipeError(f"--jobs {job}: choose pretrain, finetune, or both with a comma")
    keeps: list[int | float | None] = [
        number(word, "--keep") for word in listed(options.keep or "", "--keep", some=False)
    ] or [None]
    frames: list[int | None] = [
        count(word, "--frames") for word in listed(options.frames, "--frames", some=False)
    ] or [None]
    batches = [count(word, "--batch-size") for word in listed(options.batch_size, "--batch-size")]
    groups = []
    for job in JOBS:
        group: list[Case] = []
        for model, method, size, long, keep, batch in product(
            listed(options.models, "--models"),
            listed(options.methods, "--methods"),
            listed(options.size, "--size"),
            frames,
            keeps,
            batches,
        ):
            if job not in jobs or (job == "pretrain" and is_supervised(model)):
                continue
            own = method == "everest" and not is_supervised(model)  # keep is everest's alone
            recipe = recipe_of(
                job,
                model,
                method,
                size=size,
                frames=long,
                keep=keep if own else None,
                batch_size=batch,
                mixup=0.0 if job == "finetune" else None,  # mixing is no part of a step
                cutmix=0.0 if job == "finetune" else None,
                repeats=1 if job == "finetune" else None,
            )
            case = Case(recipe, options.classes, options.teacher)
            if case not in group:
                group.append(case)
        if group:
            groups.append(group)
    if not groups:
        raise RecipeError(
            f"--models {options.models} --jobs {options.jobs}: supervised models are fine-tuned "
            f"alone; give --jobs finetune"
        )
    for group in groups:
        for case in group:
            case.check()
    return groups


def listed(words: str, option: str, *, some: bool = True) -> list[str]:
    """ "a,b" -> ["a", "b"], each once; raises RecipeError for nothing where there must be some."""
    from everest.recipe import RecipeError

    found = list(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))
    if some and not found:
        raise RecipeError(f"{option} {words!r}: give one or more, separated by commas")
    return found


def number(word: str, option: str) -> int | float:
    """0.3 is a share, 470 a count; raises RecipeError."""
    from everest.recipe import RecipeError

    try:
        return int(word) if word.isdigit() else float(word)
    except ValueError:
        raise RecipeError(f"{option} {word}: give shares (0.3) or counts (470)") from None


def count(word: str, option: str) -> int:
    from everest.recipe import RecipeError

    if not word.isdigit() or int(word) < 1:
        raise RecipeError(f"{option} {word}: give whole numbers from 1, separated by commas")
    return int(word)


def tell(measured: "Measured", console: "Console") -> None:
    """Ratios first, then what they are made of, then what may be said."""
    first = measured.rows[0]
    wide = max(len(row.name) for row in measured.rows)
    counted = any(row.kept is not None for row in measured.rows)
    memory = "activations MiB, counted" if counted else "peak MiB  above weights"
    console.title(f"times and memory over those of {first.name}")
    console.say(
        f"  {'time':>5} {'between':>12}  {'memory':>6}  {'case':{wide}}  median ms "
        f"{'between':>16}  {memory}"
    )
    for row in measured.rows:
        console.say("  " + line(row, first, wide))
    for row in measured.rows:
        if isinstance(row.peak, str):
            console.say(f"  {row.name}: {row.peak}")
    for sentence in measured.verdicts():
        console.say(f"  {sentence}")
    console.say("")


def line(row: "Row", first: "Row", wide: int) -> str:
    from everest.benching.turns import paired, spread

    assert row.times is not None and first.times is not None
    ratios = paired(row.times, first.times)
    between = f"{min(ratios):.2f} to {max(ratios):.2f}"
    mine, base = memory_of(row), memory_of(first)
    memory = f"{mine / base:6.2f}" if mine is not None and base else f"{'':6}"
    if row.kept is not None:
        shown = f"{mine:9.1f}"
    elif row.peak_mebibytes is not None:
        shown = f"{row.peak_mebibytes:8.0f}  {row.above_mebibytes:13.0f}"
    else:
        shown = ""
    return (
        f"{row.times.over(first.times):5.2f} {between:>12}  {memory}  {row.name:{wide}}  "
        f"{1000 * row.times.median:9.0f} {spread(row.times):>16}  {shown}"
    ).rstrip()


def memory_of(row: "Row") -> float | None:
    """MiB that are compared: above the weights as they stand after construction, or counted."""
    if row.kept is not None:
        return row.kept / 2**20
    return row.above_mebibytes
