"""This file decides how a model becomes a file: a program of torch.export, and that as ONNX."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from everest.config import ModelConfig
from everest.exporting.module import Exported, shape_of
from everest.exporting.opening import ABOUT

OPSET = 20  # of ONNX: known to onnxruntime since 1.17
SINGLE_FILE_MOST = 1_500_000_000  # bytes of weights; above, they lie beside: ONNX ends at 2 GiB
NOISY = "torch.onnx._internal.exporter._registration"  # warns that there is no torchvision


class NotExportable(ValueError):
    """A model that torch.export or ONNX does not take."""

    exit_code = 1


def about_of(config: ModelConfig, module: Exported) -> dict[str, Any]:
    """What a file says of itself: all that its video has to be, and what its outputs are."""
    channels, frames, height, width = shape_of(config)
    clip = config.clip
    return {
        "kind": config.kind,
        "frames": frames,
        "size": [height, width],
        "channels": channels,
        "stride": clip.stride,
        "fps": clip.fps,
        "short_side": clip.short_side,
        "fit": clip.fit,
        "sampling": clip.sampling,
        "outputs": list(module.names),
        "classes": {name: list(names) for name, names in config.classes.items()},
        "kinds": dict(config.kinds),
    }


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing is said of torch's own deprecated names, nor of a torchvision that is not there."""
    logger = logging.getLogger(NOISY)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def program_of(module: Exported, video: Tensor, *, dynamic: bool) -> torch.export.ExportedProgram:
    """The model as torch.export sees it; `dynamic`: for any number of clips.

    Raises NotExportable with torch's first sentence.
    """
    # One clip would be taken for a constant.
    video = torch.cat((video, video)) if dynamic and len(video) == 1 else video
    module.answer(video)  # tables that are made for a grid are there before they are looked at
    any_batch = ({0: torch.export.Dim.DYNAMIC},) if dynamic else None
    try:
        with quiet(), torch.no_grad():
            return torch.export.export(module, (video,), dynamic_shapes=any_batch)
    except Exception as error:  # torch has many classes for what it cannot follow
        what = "any number of clips" if dynamic else "this model"
        hint = "; leave out --dynamic-batch" if dynamic else ""
        first = str(error).strip().splitlines()[0]
        raise NotExportable(f"torch.export does not take {what}: {first}{hint}") from error


def stable_sort(values: Any, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:
    """torch's stable sort in ONNX: of equal values TopK takes the earlier first, by its rules."""
    from onnxscript import opset20 as op

    size = op.Shape(values, start=dim, end=dim + 1 or None)
    return op.TopK(values, size, axis=dim, largest=int(descending), sorted=1)


def write_program(program: torch.export.ExportedProgram, about: dict[str, Any], path: Path) -> None:
    with quiet():
        torch.export.save(program, str(path), extra_files={f"{ABOUT}.json": json.dumps(about)})


def write_onnx(
    program: torch.export.ExportedProgram, about: dict[str, Any], path: Path, video: Tensor
) -> None:
    """PATH, and of large models PATH.data with their weights. Raises NotExportable."""
    sizes = [tensor.numel() * tensor.element_size() for tensor in program.state_dict.values()]
    try:
        with quiet(), torch.no_grad():
            made = torch.onnx.export(
                program,
                (video,),
                input_names=["video"],
                output_names=about["outputs"],
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
                custom_translation_table={torch.ops.aten.sort.stable: stable_sort},
            )
            assert made is not None
            made.model.metadata_props[ABOUT] = json.dumps(about)
            made.save(str(path), external_data=sum(sizes) > SINGLE_FILE_MOST)
    except torch.onnx.errors.OnnxExporterError as error:
        causes = str(error.__cause__ or error).strip().splitlines()
        raise NotExportable(f"ONNX does not take this model: {causes[0]}") from error
