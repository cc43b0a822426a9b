"""This file decides what is measured for the poster's tables, and at which scale."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from everest.activations import activation_bytes
from everest.benching.document import Measured, Plan, measure
from everest.benching.memory import MEBI, Peak, peak_of
from everest.cases import Case, Job, recipe_of
from everest.cost import cost_of
from everest.explaining import BYTES_A_WEIGHT, parameters_of
from everest.machine import Machine
from everest.measuring import free_bytes
from everest.names import METHODS
from everest.poster import published

SMALL_SIZE = 64  # pixels a side of the clips that the rows of the Kinetics-400 table are fed
MOST_WORK = 60.0  # multiply-adds of such a clip, in units of 1e9, beyond which a row is not run
ROOM = 0.6  # share of the free memory that a row may take
BESIDE = ("everest", "videomae")  # of the efficiency figure
SMALLER = {"vit-l": "vit-b", "vit-b": "vit-s", "vit-s": "vit-ti"}


@dataclass(frozen=True)
class Scale:
    """What is measured: the model, clip and batch of tables 1 and 3, and of the figure."""

    model: str = "vit-s"
    size: int | str = 224
    batch: int = 2
    teacher: str = "vit-b"
    minutes: float = 4.0  # of timing, after which no round begins

    @property
    def told(self) -> str:
        clips = "1 clip" if self.batch == 1 else f"{self.batch} clips"
        return f"{self.model}, {clips} of 16 frames of {self.size} pixels"

    @property
    def models(self) -> tuple[str, ...]:
        """Of the efficiency figure: the model and the next smaller one."""
        return (SMALLER[self.model], self.model) if self.model in SMALLER else (self.model,)

    @property
    def batches(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys((max(self.batch // 2, 1), self.batch, 2 * self.batch)))


@dataclass(frozen=True)
class Small:
    """One row of the Kinetics-400 table at its small scale."""

    kept: int | str  # bytes of activations of one clip at the published size, counted, float32
    peak: Peak | str  # of forward and backward of one clip of SMALL_SIZE; or why there is none


@dataclass(frozen=True)
class Findings:
    """All that was measured; a None or missing part is told as not run."""

    scale: Scale
    pretraining: Measured
    finetuning: Measured
    efficiency: dict[tuple[str, int], Measured] = field(default_factory=dict)
    kinetics: dict[str, Small] = field(default_factory=dict)  # by the row's name
    kept: dict[str, int] = field(default_factory=dict)  # method -> bytes, of `published_case`

    @property
    def machine(self) -> dict[str, Any]:
        return self.pretraining.machine

    def to_json(self) -> dict[str, Any]:
        def small(row: Small) -> dict[str, Any]:
            peak = row.peak
            return {
                "kept": row.kept,
                "peak": peak if isinstance(peak, str) else {"built": peak.built, "peak": peak.peak},
            }

        return {
            "schema": 1,
            "machine": self.machine,
            "scale": vars(self.scale),
            "pretraining": self.pretraining.to_json(),
            "finetuning": self.finetuning.to_json(),
            "efficiency": [
                {"model": model, "batch": batch, **measured.to_json()}
                for (model, batch), measured in self.efficiency.items()
            ],
            "kept": self.kept,
            "kinetics": {name: small(row) for name, row in self.kinetics.items()},
        }


def case_of(job: Job, model: str, method: str, scale: Scale, **fields: Any) -> Case:
    fields = {"size": scale.size, "batch_size": scale.batch} | fields
    return Case(recipe_of(job, model, method, **fields), teacher=scale.teacher)


def pretraining_cases(scale: Scale) -> list[Case]:
    """EVEREST first: what the others are held against, as the poster's ratios are."""
    methods = [row.method for row in published.PRETRAINING]
    methods.sort(key=lambda method: method != "everest")
    return [case_of("pretrain", scale.model, method, scale) for method in methods]


def finetuning_cases(scale: Scale) -> list[Case]:
    return [case_of("finetune", scale.model, method, scale) for method in ("everest", "videomae")]


def published_case(method: str) -> Case:
    """The pre-training of the poster's first table, a clip a step."""
    recipe = recipe_of("pretrain", published.MODEL, method, batch_size=1)
    return Case(recipe, teacher=published.TEACHER)


def kinetics_case(row: published.Kinetics, size: int = 224) -> Case:
    """The fine-tuning of a row of the Kinetics-400 table, a clip a step."""
    fields = {"size": size, "batch_size": 1, "mixup": 0.0, "cutmix": 0.0, "repeats": 1}
    return Case(recipe_of("finetune", row.model, row.method, **fields))


def find(
    scale: Scale, place: Machine, *, told: Callable[[str], None] = lambda sentence: None
) -> Findings:
    """Measures all of it, the time for rounds dealt to the parts.

    Raises RecipeError, or another ValueError, for a scale that cannot be built.
    """
    for case in (*pretraining_cases(scale), *finetuning_cases(scale)):
        case.check()
    part = 60 * scale.minutes / 4
    whole = Plan(rounds=7, seconds=part)
    pretraining = measure(pretraining_cases(scale), place, whole, told=told)
    finetuning = measure(finetuning_cases(scale), place, whole, told=told)
    efficiency = {}
    for model in scale.models:
        pairs = [(batch, name) for batch in scale.batches for name in BESIDE]
        cases = [
            case_of("pretrain", model, name, replace(scale, batch=batch)) for batch, name in pairs
        ]
        each = Plan(rounds=7, seconds=2 * part / len(scale.models))
        measured = measure(cases, place, each, told=told)
        for batch in scale.batches:
            rows = [row for row in measured.rows if row.case.batch == batch]
            efficiency[model, batch] = Measured(measured.machine, rows)
    kept = {}
    for method in METHODS:
        told(f"activations of {method}")
        kept[method] = activation_bytes(published_case(method))
    kinetics = {}
    for row in published.KINETICS:
        told(f"memory of {row.name}")
        kinetics[row.name] = small_scale(row, place)
    return Findings(scale, pretraining, finetuning, efficiency, kinetics, kept)


def small_scale(row: published.Kinetics, place: Machine) -> Small:
    """A row's activations at full size, counted, and its peak on a small clip, measured."""
    kept = activation_bytes(kinetics_case(row))
    case = kinetics_case(row, SMALL_SIZE)
    config = case.config()
    work = cost_of(config).total
    if work > MOST_WORK:
        return Small(kept, f"not run: {work:.0f} GFLOPs a clip of {SMALL_SIZE} pixels")
    need = sum(parameters_of(config).values()) * BYTES_A_WEIGHT // 2 + 2 * activation_bytes(case)
    free = free_bytes(place)
    if need > ROOM * free:
        told = f"not run: needs about {need / MEBI:.0f} MiB, {free / MEBI:.0f} are free"
        return Small(kept, told)
    return Small(kept, peak_of(case, place, moves=False, steps=1))
