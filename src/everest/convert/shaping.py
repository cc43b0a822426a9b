"""This file decides what happens to tensors that have another shape there than here.

D is the width of a token, N the positions of a stored table.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from everest.convert.beside import Beside
from everest.convert.read import WeightsError
from everest.positions import sincos3d, sinusoid
from everest.selection import Grid, size_of
from everest.vit import PositionKind

CLOSE = 1e-5  # a stored table that is so near to a computed one is the computed one
COARSE = 4e-3  # the same in half precision, where values up to 1 are rounded to 1/512
COMPUTED = "equal to the computed table, which is used"
STEPS = (8, 4, 16, 12, 2, 6, 32, 1)  # time steps a table is tried for, the usual ones first


def tidied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their tensors under the names that the tables know."""
    if all(name.startswith("encoder.") for name in tensors):  # an encoder that was cut out
        tensors = {name.removeprefix("encoder."): value for name, value in tensors.items()}
    for mark, base in (
        ("embeddings.position_embeddings", "vit."),
        ("embeddings.patch_embeddings.projection.weight", "videomae."),
    ):
        if mark in tensors:  # a base model of Hugging Face, saved without its prefix
            tensors = {base + name: value for name, value in tensors.items()}
    return {name.replace("head.projection.", "head."): value for name, value in tensors.items()}


def split(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(their tensors with one bias a part of attention, {name: what was done})."""
    out, done = {}, {}
    for name, tensor in tensors.items():
        if name.endswith(".attn.qkv.bias"):
            stem = name.removesuffix("qkv.bias")
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                out[f"{stem}{part}_bias"] = piece.clone()
            done[name] = "split into the biases of queries and values; " + (
                "the keys' changes nothing in a softmax"
            )
        elif name.endswith(("patch_embed.proj.weight", "projection.weight")) and tensor.ndim == 4:
            out[name] = tensor.unsqueeze(2)
            done[name] = "the patches of an image are tubelets of one frame"
        else:
            out[name] = tensor
    return out, done


@dataclass(frozen=True)
class Placed:
    """Where tokens stand in a model, once its stored tables are looked at."""

    tensors: dict[str, Tensor]
    positions: PositionKind
    grid: Grid | None  # that a stored table is of; None where the file stores none
    done: dict[str, str]  # name: what was done


def placed(
    tensors: dict[str, Tensor], part: str, otherwise: PositionKind, beside: Beside
) -> Placed:
    """Takes the stored tables of `part` (encoder, reader) and of decoders out of our tensors.

    Tables that equal a computed one become that; others are kept as (N, D), with the class
    token's row added to the token. Raises WeightsError for tables without a place.
    """
    tensors, done = dict(tensors), {}
    name, token = f"{part}.position_table", f"{part}.cls_token"
    tubelet, patch = tensors[f"{part}.patch_embed.proj.weight"].shape[2:4]
    parts = {
        end: tensors.pop(f"{name}.{end}").flatten(0, -2)
        for end in ("spatial", "temporal", "class")
        if f"{name}.{end}" in tensors
    }
    whole = tensors.pop(name).flatten(0, -2) if name in tensors else None
    first = parts.get("class")
    fitting: list[Grid] = []
    if "spatial" in parts and "temporal" in parts:
        whole = (parts["temporal"][:, None] + parts["spatial"]).flatten(0, 1)
        side = math.isqrt(len(parts["spatial"]))
        fitting = grids(len(whole), (len(parts["temporal"]), side, side))
        done[name] = "the sum of its tables of time and of space"
    elif whole is not None:
        if token in tensors:
            first, whole = whole[:1], whole[1:]
        steps = (1,) if tubelet == 1 else STEPS
        sides = ((step, math.isqrt(len(whole) // step)) for step in steps)
        asked = asked_grid(beside, tubelet, patch)
        fitting = grids(len(whole), asked, *((step, side, side) for step, side in sides))
    if first is not None and token in tensors:
        tensors[token] = tensors[token] + first.reshape(1, 1, -1)
        done[token] = "its own position is added to it"
    if whole is None:
        if otherwise == "table":
            raise WeightsError(f"{name} is missing: such a file stores a table of positions")
        return Placed(tensors, otherwise, None, done)
    grid, kind = recognised(whole, fitting)
    if kind == "table":
        tensors[name] = whole
        done.setdefault(name, "kept as the table of its grid")
    else:
        done[name] = COMPUTED
    for inner in [name for name in tensors if name.endswith(".position_table")]:
        if inner.startswith("decoders."):
            table = tensors.pop(inner).flatten(0, -2)
            if kind != "sincos3d" or not near(table, sincos3d(grid, table.shape[1])):
                raise WeightsError(
                    f"{inner}: a decoder's table of positions that is none of the computed ones; "
                    f"such a decoder has no place here"
                )
            done[inner] = COMPUTED
    return Placed(tensors, kind, grid, done)


def asked_grid(beside: Beside, tubelet: int, patch: int) -> Grid | None:
    """The grid that the file's own frames and size make; None where it does not say them."""
    if beside.size is None or (beside.frames is None and tubelet > 1):
        return None
    height, width = beside.size
    return (beside.frames or 1) // tubelet, height // patch, width // patch


def grids(count: int, *tried: Grid | None) -> list[Grid]:
    """Those that a table of so many positions may be of; raises WeightsError where none fits."""
    fitting = [grid for grid in tried if grid is not None and size_of(grid) == count]
    if not fitting:
        raise WeightsError(
            f"a table of {count} positions: of no square frames, and the file does not say its size"
        )
    return fitting


def recognised(table: Tensor, fitting: Sequence[Grid]) -> tuple[Grid, PositionKind]:
    """(the grid of a table, the computed kind it equals or "table")."""
    width = table.shape[1]
    for grid in fitting:
        if width % 16 == 0 and near(table, sincos3d(grid, width)):
            return grid, "sincos3d"
    if near(table, sinusoid(len(table), width)):
        return fitting[0], "sinusoid"
    return fitting[0], "table"


def near(table: Tensor, computed: Tensor) -> bool:
    """Whether a stored table is the computed one, as far as its own precision tells."""
    halves = (torch.float16, torch.bfloat16)
    coarse = any(torch.equal(table, table.to(half).float()) for half in halves)
    close = COARSE if coarse else CLOSE
    return table.shape == computed.shape and torch.allclose(table, computed, atol=close, rtol=0)
