"""This file decides how a released backbone's tensors become ours, and what is said of them.

What a family's names mean is a table (`renaming.Family`) in `backbones_*.py`, with what its shapes
tell of the model's config.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from everest.convert.accounting import joined, names_of, refuse_names, refuse_shapes
from everest.convert.read import WeightsError
from everest.convert.renaming import Family, to_ours
from everest.convert.report import lines_of

SPLIT = "split into the biases of queries and values; the keys' changes nothing in a softmax"
HEAD = "heads.0.linear."
READER = "reader."


@dataclass(frozen=True)
class BackboneReport:
    """What became of a file's tensors, and what is known of the model they are of."""

    source: str
    family: str
    model: str  # its config's fields, as a line
    matched: tuple[str, ...]  # names that are the same there and here, reader's beside
    renamed: tuple[tuple[str, str], ...]  # theirs, ours
    reshaped: tuple[tuple[str, str], ...]  # name, what was done
    missing: tuple[str, ...]  # ours that the file lacks
    unused: tuple[tuple[str, str], ...]  # theirs that are left aside, why
    assumed: tuple[str, ...] = ()  # fields of the config that the file cannot tell
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def lines(self) -> list[str]:
        """Sentences for the console."""
        lines = [f"{self.source}: {self.family}, a classifier: {self.model}"]
        lines += lines_of(self)
        if self.assumed:
            lines.append(f"assumed, as the file cannot tell: {', '.join(self.assumed)}")
        return [*lines, *self.notes]


@dataclass(frozen=True)
class Inferred:
    """A config that shapes tell, and what they do not."""

    config: Any  # a backbone's config
    assumed: tuple[str, ...]  # its fields that are the released models'


def as_they_are(theirs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    return dict(theirs), {}


@dataclass(frozen=True)
class Layout:
    """How one family's files are read."""

    family: Family
    model: Callable[[Any], nn.Module]  # a reader of a config
    # Of our tensors and of the fields that the user told.
    infer: Callable[[Mapping[str, Tensor], Mapping[str, Any]], Inferred]
    # Their tensors as this package shapes them, and what was done to which.
    shape: Callable[[Mapping[str, Tensor]], tuple[dict[str, Tensor], dict[str, str]]] = field(
        default=as_they_are
    )

    def fits(self, theirs: Mapping[str, Tensor]) -> bool:
        return set(theirs).issuperset(self.family.marks)


@dataclass(frozen=True)
class BackboneWeights:
    """A released backbone: `reader.*` and, unless its head was left out, `heads.0.linear.*`."""

    config: Any  # a backbone's config
    tensors: dict[str, Tensor]
    report: BackboneReport

    @property
    def classes(self) -> int | None:
        """How many its head tells apart; None without a head."""
        head = self.tensors.get(f"{HEAD}weight")
        return None if head is None else len(head)


def parted(theirs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Their tensors with a bias for queries and one for values; what was done."""
    out, done = {}, {}
    for name, tensor in theirs.items():
        if name.endswith(".qkv.bias"):
            stem = name.removesuffix("qkv.bias")
            queries, _, values = tensor.chunk(3)
            out[f"{stem}q_bias"], out[f"{stem}v_bias"] = queries.clone(), values.clone()
            done[name] = SPLIT
        else:
            out[name] = tensor
    return out, done


def square(count: int, name: str) -> int:
    """The side of a table of so many places; raises WeightsError where it is of no square."""
    side = round(count**0.5)
    if side * side != count:
        raise WeightsError(f"{name} has {count} places: of no square grid, which alone is read")
    return side


def read_backbone(
    theirs: Mapping[str, Tensor],
    source: str,
    layout: Layout,
    told: Mapping[str, Any] | None = None,
    *,
    allow_missing: bool = False,
) -> BackboneWeights:
    """The tensors of a file under our names, the config they make, and the report.

    `told` gives fields of the config that a file cannot tell (`heads`, `reach`). Raises
    WeightsError for names that the table does not know, for missing tensors unless they are
    allowed, and for shapes that make no model.
    """
    family = layout.family
    absent = [mark for mark in family.marks if mark not in theirs]
    if absent:
        raise WeightsError(f"{source}: no {family.name} file, it has no {absent[0]}")
    try:
        shaped, done = layout.shape(theirs)
        ours, unknown = to_ours(shaped, family)
        inferred = layout.infer(ours, told or {})
        with torch.device("meta"):
            model = layout.model(inferred.config)
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from error
    except (ValueError, KeyError, IndexError, RuntimeError) as error:
        raise WeightsError(
            f"{source}: a {family.name} file that makes no model ({error})"
        ) from error
    wanted = {READER + name: value.shape for name, value in model.state_dict().items()}
    head = [name for name in ours if name.startswith(HEAD)]
    unknown += [name for name in ours if name not in wanted and name not in head]
    missing = sorted(set(wanted) - set(ours))
    if not allow_missing:
        refuse_names(unknown, missing, source, family)
    kept = {name: value.float() for name, value in ours.items() if name in wanted or name in head}
    refuse_shapes(kept, wanted, source)
    report = BackboneReport(
        source=source,
        family=family.name,
        model=", ".join(f"{name} {value}" for name, value in vars(inferred.config).items()),
        **names_of(shaped, family, READER),
        reshaped=(*done.items(), *joined(shaped, family)),
        missing=tuple(missing),
        unused=(
            *((name, why) for name in shaped if (why := family.why_aside(name)) is not None),
            *((name, "this reader does not know it") for name in unknown),
        ),
        assumed=inferred.assumed,
        notes=(family.note,) if family.note else (),
    )
    return BackboneWeights(inferred.config, kept, report)
