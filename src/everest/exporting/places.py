"""This file decides where an export may be written; it is there as a whole or not at all."""

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from everest.exporting.script import script_name

HUGGING_FACE = "hf:"
NEEDED = {  # form -> modules it needs, and the extra that brings them
    "onnx": (("onnx", "onnxruntime", "onnxscript"), "export"),
    "pt2": ((), ""),
    "hf": (("transformers",), "hf"),
}


@dataclass(frozen=True)
class Place:
    """Where an export goes, in which form."""

    form: Literal["onnx", "pt2", "hf"]
    path: Path  # a file, or with hf a folder

    @property
    def files(self) -> tuple[Path, ...]:
        """All that an export to a file may write."""
        name = self.path.name
        names = [name, *([f"{name}.data"] if self.form == "onnx" else []), script_name(name)]
        return tuple(self.path.with_name(each) for each in names)


def place_of(out: str, *, overwrite: bool) -> Place:
    """Raises ValueError for another ending, a place that cannot be written, one that is taken
    unless it may be overwritten, and for packages that the form needs and that are not there."""
    if out.startswith(HUGGING_FACE):
        place = Place("hf", Path(out.removeprefix(HUGGING_FACE)))
        if out == HUGGING_FACE:
            raise ValueError("--out hf: names no folder; give hf:DIR")
    elif out.lower().endswith((".onnx", ".pt2")):
        place = Place("onnx" if out.lower().endswith(".onnx") else "pt2", Path(out))
    else:
        raise ValueError(
            f"--out {out}: an export ends in .onnx (onnxruntime) or .pt2 (torch.export), or is "
            f"hf:DIR (transformers)"
        )
    modules, extra = NEEDED[place.form]
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"--out {out}: needs {', '.join(missing)}; pip install 'everest-video[{extra}]'"
        )
    if place.form == "hf":
        return place  # a folder is checked as conversions are
    parent = place.path.absolute().parent
    if not parent.is_dir():
        raise ValueError(f"--out {out}: there is no folder {parent}; make it")
    for file in place.files:
        if file.is_dir():
            raise ValueError(f"--out {file}: is a folder; give another name")
        if os.path.lexists(file) and not overwrite:
            raise ValueError(f"--out {file}: is there already; give another name, or --overwrite")
    return place


@contextmanager
def whole(place: Place) -> Iterator[Path]:
    """A folder beside the place, to write in; its files go there at the end, or none does."""
    parent = place.path.absolute().parent
    part = Path(tempfile.mkdtemp(prefix=f".{place.path.name}.", suffix=".part", dir=parent))
    try:
        yield part
        made = {file.name for file in part.iterdir()}
        for file in place.files:
            if file.name not in made:
                file.unlink(missing_ok=True)  # of an export before this one
        mode = (part / place.path.name).stat().st_mode
        for name in sorted(made, key=place.path.name.__eq__):  # what names the others comes last
            (part / name).chmod(mode)  # onnxruntime writes weights that its user alone can read
            os.replace(part / name, parent / name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
