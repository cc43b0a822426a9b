"""This file decides what of an ONNX file becomes 8-bit: the weights of its matrix products, but for
those that decide which tokens and frames are read."""

import logging
import warnings
from contextlib import chdir, nullcontext
from pathlib import Path
from typing import Any

from everest.exporting import making

CHOICES = ("visible", "steps")  # outputs that stay as they are


def deciding(graph: Any, outputs: tuple[str, ...]) -> list[str]:
    """Names of the nodes that some outputs of a graph come from."""
    makers = {name: node for node in graph.node for name in node.output}
    waiting = [name for name in outputs if name in makers]
    found: dict[str, Any] = {}
    while waiting:
        node = makers[waiting.pop()]
        if node.name in found:
            continue
        found[node.name] = node
        waiting += [name for name in node.input if name in makers]
    return list(found)


def vectors(graph: Any) -> list[str]:
    """Names of the products with what is no matrix: a vector's weights have no channels."""
    is_matrix = {tensor.name: len(tensor.dims) == 2 for tensor in graph.initializer}
    return [
        node.name
        for node in graph.node
        if node.op_type == "MatMul" and not is_matrix.get(node.input[1], True)
    ]


def write_int8(path: Path, out: Path) -> None:
    """Writes an ONNX file, given its absolute path, again with 8-bit weights, whose products
    take 8-bit inputs scaled as they come.

    Weights are unsigned: with signed ones processors without VNNI cut sums off, and the outputs
    would be a machine's own.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = onnx.load(str(path), load_external_data=False).graph
    is_large = whole_size(path) > making.SINGLE_FILE_MOST
    # onnx looks for the data's plain name in the working folder, and refuses one that is there.
    place = chdir(out.parent) if is_large else nullcontext()
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it recommends a pre-processing that is done already
    try:
        with place, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quantize_dynamic(
                path,
                out,
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                weight_type=QuantType.QUInt8,
                nodes_to_exclude=[*deciding(graph, CHOICES), *vectors(graph)],
                use_external_data_format=is_large,
            )
    finally:
        logging.root.setLevel(level)


def whole_size(path: Path) -> int:
    """Bytes of an ONNX file, with those beside it."""
    beside = path.with_name(f"{path.name}.data")
    return path.stat().st_size + (beside.stat().st_size if beside.exists() else 0)
