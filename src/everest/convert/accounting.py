"""This file decides how each tensor of a file is accounted for: matched, renamed, unknown."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from everest.convert.read import WeightsError
from everest.convert.renaming import PIECE, Family


def names_of(tensors: Mapping[str, Tensor], family: Family, prefix: str = "") -> dict[str, Any]:
    """Which names stayed, a prefix of ours beside, and which changed."""
    pairs = [(name, family.ours(name)) for name in tensors if family.why_aside(name) is None]
    return {
        "matched": tuple(name for name, ours in pairs if ours == prefix + name),
        "renamed": tuple(
            (name, ours) for name, ours in pairs if ours is not None and ours != prefix + name
        ),
    }


def joined(tensors: Mapping[str, Tensor], family: Family) -> list[tuple[str, str]]:
    """Our names of what others keep apart, with what was done."""
    pieces = (PIECE.match(family.ours(name) or "") for name in tensors)
    wholes = dict.fromkeys(piece["whole"] for piece in pieces if piece)
    return [(whole, "queries, keys and values are one tensor here") for whole in wholes]


def refuse_names(
    unknown: Sequence[str], missing: Sequence[str], source: str, family: Family
) -> None:
    """Raises WeightsError where a file has names that no table knows, or lacks some."""
    if unknown:
        raise WeightsError(
            f"{source}: a {family.name} file with {len(unknown)} parameters this reader does not "
            f"know: {', '.join(unknown[:5])}; --allow-missing leaves them aside"
        )
    if missing:
        raise WeightsError(
            f"{source}: a {family.name} file without {len(missing)} of its tensors, such as "
            f"{missing[0]}; --allow-missing starts them anew"
        )


def refuse_shapes(
    kept: Mapping[str, Tensor], wanted: Mapping[str, torch.Size], source: str
) -> None:
    """Raises WeightsError where a tensor is not as a model of the others has it."""
    for name, tensor in kept.items():
        if name in wanted and tensor.shape != wanted[name]:
            raise WeightsError(
                f"{source}: {name} is {tuple(tensor.shape)} and must be {tuple(wanted[name])} in a "
                f"model of its other tensors"
            )
