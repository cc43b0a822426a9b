"""This file decides how files of the Flax framework are read, without it: a tree as flat names.

A checkpoint is one message of MessagePack (its public specification): maps of names, with arrays
as an extension whose bytes are a message of (shape, kind of number, raw numbers). Only what such
trees hold is read; nothing is run, and nothing is made that is larger than the file.
"""

import math
import mmap
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from everest.convert import bounds
from everest.convert.read import WeightsError

Array = TypeVar("Array")
DEEPEST = 64  # maps within maps
ARRAY, COMPLEX, SCALAR = 1, 2, 3  # Flax's extensions
CHUNKED = "__msgpack_chunked_array__"  # arrays above a gigabyte are kept in pieces
PLACES = ("optimizer/target/params/", "optimizer/target/", "params/", "target/")
ENDINGS = (".msgpack", ".flax", ".npz")
LONGEST = 256  # bytes that a map's beginning and its first name take at most
NUMBERS: dict[str, tuple[torch.dtype, int]] = {  # kinds of numbers, and their bytes
    "float32": (torch.float32, 4),
    "float64": (torch.float64, 8),
    "float16": (torch.float16, 2),
    "bfloat16": (torch.bfloat16, 2),
    "int64": (torch.int64, 8),
    "int32": (torch.int32, 4),
    "int16": (torch.int16, 2),
    "int8": (torch.int8, 1),
    "uint8": (torch.uint8, 1),
    "bool": (torch.bool, 1),
}
# How numbers of a fixed length are packed, by their first byte from 0xCA on.
FIXED = dict(enumerate((">f", ">d", ">B", ">H", ">I", ">Q", ">b", ">h", ">i", ">q"), start=0xCA))
CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
# What is as long as a number in front of it says: that number's form, by the first byte.
TEXT = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}
BYTES = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I"}
LISTS = {0xDC: ">H", 0xDD: ">I"}
MAPS = {0xDE: ">H", 0xDF: ">I"}
EXTENSIONS = {0xC7: ">B", 0xC8: ">H", 0xC9: ">I"}
SHORT_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}


class Message:
    """One message, read from its start on; raises ValueError where it breaks the format."""

    def __init__(self, content: memoryview, depth: int = 0) -> None:
        self.content = content
        self.place = 0
        self.depth = depth

    def bytes(self, count: int) -> memoryview:
        """The next ones: a view, not a copy."""
        piece = self.content[self.place : self.place + count]
        if len(piece) < count:
            raise ValueError(f"it ends at byte {len(self.content)} within a value")
        self.place += count
        return piece

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.bytes(struct.calcsize(form)))[0]

    def whole(self) -> Any:
        """The message's value, which must be all there is."""
        value = self.value()
        if self.place != len(self.content):
            raise ValueError(f"{len(self.content) - self.place} bytes follow it")
        return value

    def value(self) -> Any:
        first = self.number(">B")
        if first < 0x80:
            return first
        if first >= 0xE0:
            return first - 0x100
        if first < 0x90:
            return self.map(first & 0x0F)
        if first < 0xA0:
            return self.list(first & 0x0F)
        if first < 0xC0:
            return self.text(first & 0x1F)
        if first in CONSTANTS:
            return CONSTANTS[first]
        if first in FIXED:
            return self.number(FIXED[first])
        if first in SHORT_EXTENSIONS:
            return self.extension(SHORT_EXTENSIONS[first])
        sized: tuple[tuple[dict[int, str], Callable[[int], Any]], ...] = (
            (TEXT, self.text),
            (BYTES, self.bytes),
            (LISTS, self.list),
            (MAPS, self.map),
            (EXTENSIONS, self.extension),
        )
        for forms, read in sized:
            if first in forms:
                return read(self.number(forms[first]))
        raise ValueError(f"byte {self.place - 1} begins no value")

    def text(self, count: int) -> str:
        return str(self.bytes(count), "utf-8")

    def inside(self, count: int) -> None:
        """Enters `count` values, of at least a byte each."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise ValueError(f"more than {DEEPEST} maps lie within each other")
        if count > len(self.content) - self.place:
            raise ValueError(f"it promises {count} values and ends before")

    def list(self, count: int) -> tuple[Any, ...]:
        self.inside(count)
        values = tuple(self.value() for _ in range(count))
        self.depth -= 1
        return values

    def map(self, count: int) -> Any:
        self.inside(count)
        found: dict[str, Any] = {}
        for _ in range(count):
            name = self.value()
            if not isinstance(name, str) or name in found:
                raise ValueError(f"a map has {name!r} where a new name must stand")
            found[name] = self.value()
        self.depth -= 1
        return joined(found) if CHUNKED in found else found

    def extension(self, count: int) -> Any:
        kind, content = self.number(">b"), self.bytes(count)
        if kind == COMPLEX:
            return None
        if kind not in (ARRAY, SCALAR):
            raise ValueError(f"extension {kind} is none of Flax's")
        return stored(Message(content, self.depth).whole())


class Stored(NamedTuple):
    """An array as it lies in the file, in one piece or several."""

    shape: tuple[int, ...]
    kind: str
    pieces: tuple[memoryview, ...]

    def tensor(self) -> Tensor:
        """Raises ValueError for numbers of a kind that parameters do not have."""
        if self.kind not in NUMBERS:
            raise ValueError(f"an array of {self.kind}: {', '.join(NUMBERS)} are read")
        numbers, size = NUMBERS[self.kind]
        raw = bytearray().join(self.pieces)
        if math.prod(self.shape) * size != len(raw):
            raise ValueError(f"an array of {self.kind} {self.shape} with {len(raw)} bytes")
        flat = torch.frombuffer(raw, dtype=numbers) if raw else torch.zeros(0, dtype=numbers)
        return flat.reshape(self.shape)


def stored(parts: Any) -> Stored:
    """Of (shape, kind of number, raw numbers)."""
    match parts:
        case (tuple() as shape, str() as kind, memoryview() as raw):
            if all(isinstance(side, int) and side >= 0 for side in shape):
                return Stored(shape, kind, (raw,))
    raise ValueError("an array that is not (shape, kind, numbers)")


def joined(parts: Mapping[str, Any]) -> Stored:
    """The array that was kept in pieces: `shape` and `chunks` are maps of numbers from 0 on."""
    match parts:
        case {"shape": dict() as shape, "chunks": dict() as chunks}:
            sides: Any = tuple(shape.get(str(number)) for number in range(len(shape)))
            pieces = [chunks.get(str(number)) for number in range(len(chunks))]
            kept = [piece for piece in pieces if isinstance(piece, Stored)]
            if kept and len(kept) == len(pieces) and all(isinstance(n, int) for n in sides):
                return Stored(sides, kept[0].kind, tuple(part for p in kept for part in p.pieces))
    raise ValueError("an array in pieces without its shape or one of its pieces")


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Stored]:
    """Every array of a tree, its names joined with "/"."""
    out: dict[str, Stored] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            out |= flat(value, f"{prefix}{name}/")
        elif isinstance(value, Stored):
            out[prefix + name] = value
    return out


def parameters(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Those of a train state's arrays that are the model's, by names without the place; or all."""
    for place in PLACES:
        if any(name.startswith(place) for name in arrays):
            return {
                name.removeprefix(place): value
                for name, value in arrays.items()
                if name.startswith(place)
            }
    return dict(arrays)


def is_flax(path: Path) -> bool:
    """Whether a file is one of these, by its ending or, without one, by a map at its beginning."""
    if not path.is_file() or path.suffix:
        return path.is_file() and path.suffix in ENDINGS
    with path.open("rb") as file:
        message = Message(memoryview(file.read(LONGEST)))
    try:
        first = message.number(">B")
        if first in MAPS:
            message.number(MAPS[first])
        elif not 0x80 < first < 0x90:
            return False
        name = message.value()
    except ValueError:
        return False
    return isinstance(name, str) and name.isidentifier()


def read_flax(path: str | Path) -> dict[str, Tensor]:
    """The parameters of a Flax train state, or of a `.npz` of its flat tree, by names with "/".

    Of a train state those under `optimizer/target`, `params` or `target` alone, not the moments
    of its optimiser. Raises WeightsError for anything else, for a cut file and for one without
    parameters.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; give a Flax checkpoint or a .npz of its tree")
    try:
        if path.suffix == ".npz":
            bomb = bounds.packed_too_tight(path)
            if bomb:
                raise WeightsError(f"{path}: {bomb}")
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                names = parameters({name: name for name in archive.files})
                tensors = {name: torch.from_numpy(archive[at]) for name, at in names.items()}
        else:
            with path.open("rb") as file:
                # Pages that hold an optimiser's moments are never read.
                content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            tree = Message(content).whole()
            arrays = flat(tree) if isinstance(tree, dict) else {}
            tensors = {name: value.tensor() for name, value in parameters(arrays).items()}
    except WeightsError:
        raise
    except (
        ValueError, TypeError, OSError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error
    ) as error:  # fmt: skip
        raise WeightsError(f"{path}: not a whole Flax checkpoint ({error})") from error
    if not tensors:
        raise WeightsError(
            f"{path}: holds no parameters; looked for maps of arrays under {', '.join(PLACES)} "
            f"and at the top"
        )
    return tensors
