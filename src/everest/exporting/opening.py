"""This file decides how an exported file is run: in onnxruntime, or by torch.export.

B clips; C channels; T frames; H, W pixels.
"""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from everest.exporting.external import ForeignData, external_of

ABOUT = "everest"  # under which name a file says what it is: JSON


class Opened(Protocol):
    """An exported file that can be asked."""

    about: dict[str, Any]  # what it says of itself: clip, classes, kinds, outputs

    def __call__(self, video: np.ndarray) -> dict[str, np.ndarray]:
        """(B, C, T, H, W) uint8 -> its outputs by name."""
        ...


@dataclass
class OnnxFile:
    about: dict[str, Any]
    session: Any

    def __call__(self, video: np.ndarray) -> dict[str, np.ndarray]:
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(None, {"video": video}), strict=True))


@dataclass
class ProgramFile:
    about: dict[str, Any]
    run: Any

    @torch.inference_mode()
    def __call__(self, video: np.ndarray) -> dict[str, np.ndarray]:
        given = self.run(torch.from_numpy(video))
        return {
            name: output.numpy() for name, output in zip(self.about["outputs"], given, strict=True)
        }


def open_onnx(path: str | Path) -> OnnxFile:
    """An .onnx file in onnxruntime, on the processor. Raises ForeignData for one that is damaged,
    that is not of this package, or that names files which are not its neighbours."""
    import onnxruntime

    path = Path(path)
    external_of(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has no class of its own that is public
        raise ForeignData(f"{path}: onnxruntime does not take it ({error})") from error
    about = session.get_modelmeta().custom_metadata_map.get(ABOUT)
    if about is None:
        raise ForeignData(f"{path}: does not say what its video is: no export of this package")
    return OnnxFile(json.loads(about), session)


def open_program(path: str | Path) -> ProgramFile:
    """A .pt2 file. torch.export.load may run code that such a file holds: only for one's own."""
    extra = {f"{ABOUT}.json": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own deprecated names
        program = torch.export.load(str(path), extra_files=extra)
    return ProgramFile(json.loads(extra[f"{ABOUT}.json"]), program.module())
