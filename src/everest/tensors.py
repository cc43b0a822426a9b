"""This file decides how tensors are written: safetensors, a file as a whole or not at all."""

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from everest.room import NoRoom


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Replaces the file; raises OSError naming it when there is no room."""
    beside = path.with_name(f".{path.name}.part")
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    try:
        save_file(whole, beside)
        os.replace(beside, path)
    except SafetensorError as error:
        if "os error 28" in str(error) or "os error 122" in str(error):
            needed = sum(value.nbytes for value in whole.values())
            raise NoRoom(path, needed, error) from error
        raise OSError(f"{path}: cannot be written ({error})") from error
    finally:
        beside.unlink(missing_ok=True)
