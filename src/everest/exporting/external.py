"""This file decides which files beside itself an ONNX file may name: none but its neighbours.

A tensor of an ONNX file may lie in another file, under a path that the file says. Three holes were
patched for it in onnx, the last in 1.21.0 (RELIABILITY: parent folders, symlinks, hardlinks); here
nothing is opened before all such paths are looked at.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class ForeignData(ValueError):
    """An ONNX file that is damaged, or that names what it must not."""


def tensors_of(graph: Any) -> Iterator[Any]:
    """All TensorProtos of a graph or function, those of its branches included."""
    yield from getattr(graph, "initializer", ())
    for sparse in getattr(graph, "sparse_initializer", ()):
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from tensors_of(inner)


def external_of(path: Path) -> dict[str, int]:
    """Files that an ONNX file names -> bytes that it reads of each, at least.

    Raises ForeignData for a path that is not the plain name of a regular file beside it with no
    other name, for a part past its end, and for a file that is not ONNX.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, UnicodeDecodeError) as error:
        raise ForeignData(f"{path}: is no ONNX file, or a damaged one ({error})") from error
    if not model.graph.node:
        raise ForeignData(f"{path}: is no ONNX file: it holds no computation")
    ends: dict[str, int] = {}
    for graph in (model.graph, *model.functions):
        for tensor in tensors_of(graph):
            if tensor.data_location != onnx.TensorProto.EXTERNAL:
                continue
            said = {entry.key: entry.value for entry in tensor.external_data}
            name = said.get("location", "")
            try:
                begin, length = int(said.get("offset", 0)), int(said.get("length", 0))
            except ValueError as error:
                raise ForeignData(f"{path}: says no number of bytes ({error})") from error
            if begin < 0 or length < 0:
                raise ForeignData(f"{path}: names bytes {begin} to {begin + length} of {name}")
            ends[name] = max(ends.get(name, 0), begin + length)
    for name, end in ends.items():
        refuse_foreign(path, name, end)
    return ends


def refuse_foreign(path: Path, name: str, end: int) -> None:
    """Raises ForeignData unless `name` is a neighbour of the file, and of at least `end` bytes."""
    plain = name == os.path.basename(name) and "\\" not in name and ":" not in name
    if not plain or name in ("", ".", "..") or "\0" in name:
        raise ForeignData(
            f"{path}: names {name!r} as a file of its weights; only a plain name beside it is read"
        )
    try:
        found = os.lstat(path.parent / name)
    except OSError as error:
        raise ForeignData(
            f"{path}: its weights lie in {name}, which is not beside it: keep both files together"
        ) from error
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        kind = "a link" if stat.S_ISLNK(found.st_mode) else "no file of its own"
        if stat.S_ISREG(found.st_mode):
            kind = "a file with another name too (a hard link)"
        raise ForeignData(f"{path}: names {name}, which is {kind}: copy the file itself beside it")
    if found.st_size < end:
        raise ForeignData(
            f"{path}: reads {end:,} bytes of {name}, which has {found.st_size:,}: it was cut"
        )
