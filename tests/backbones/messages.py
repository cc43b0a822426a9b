"""This file decides how a test writes a tree as MessagePack, as Flax's checkpoints are written."""

import struct
from collections.abc import Mapping
from typing import Any

from torch import Tensor


def packed(value: Any) -> bytes:
    """A message of maps, lists, text, numbers, bytes and tensors, by the format's specification."""
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int() if 0 <= value < 0x80:
            return bytes([value])
        case int():
            return b"\xd3" + struct.pack(">q", value)
        case float():
            return b"\xcb" + struct.pack(">d", value)
        case str():
            raw = value.encode()
            return sized(len(raw), 0xA0, 32, b"\xda", b"\xdb") + raw
        case bytes():
            return b"\xc6" + struct.pack(">I", len(value)) + value
        case Tensor():
            return extension(1, array(value))
        case Mapping():
            inner = b"".join(packed(name) + packed(value[name]) for name in value)
            return sized(len(value), 0x80, 16, b"\xde", b"\xdf") + inner
        case tuple() | list():
            return sized(len(value), 0x90, 16, b"\xdc", b"\xdd") + b"".join(map(packed, value))
    raise TypeError(f"{type(value)} is not packed")


def sized(count: int, fixed: int, below: int, short: bytes, long: bytes) -> bytes:
    if count < below:
        return bytes([fixed | count])
    if count < 1 << 16:
        return short + struct.pack(">H", count)
    return long + struct.pack(">I", count)


def array(tensor: Tensor, kind: str | None = None) -> bytes:
    """(shape, kind of number, raw numbers) of a tensor."""
    raw = bytes(tensor.contiguous().flatten().view(-1).numpy().tobytes())
    return packed([list(tensor.shape), kind or str(tensor.dtype).removeprefix("torch."), raw])


def extension(kind: int, content: bytes) -> bytes:
    return b"\xc9" + struct.pack(">Ib", len(content), kind) + content
