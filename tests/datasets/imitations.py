"""This file decides how tests imitate official sets: annotation lines as released, tiny videos."""

import functools
import tempfile
from pathlib import Path

from everest.index import Index, read_index
from filming import write_film

CODECS = {".mp4": "libx264", ".avi": "mpeg4", ".webm": "libvpx"}


@functools.cache
def film(suffix: str) -> bytes:
    """A video of 16 frames at 25 a second, 64x32 pixels."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"film{suffix}"
        return write_film(path, 16, codec=CODECS[suffix]).read_bytes()


def put_videos(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(film(path.suffix.lower()))


def put(root: Path, name: str, text: str) -> Path:
    """A file with exactly this text: no line end is changed."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def read(name: str, root: Path, **options: object) -> Index:
    """The index of `name:root`; no file is opened unless asked."""
    asked = {"labelled": True, "probe": False, **options}
    return read_index([f"{name}:{root}"], **asked)  # type: ignore[arg-type]


def told(index: Index) -> str:
    return "\n".join(index.reading)


def labels(index: Index, column: str = "label") -> dict[str, str | None]:
    """File name -> class name."""
    names = index.classes[column]
    found = {}
    for row in index.rows:
        number = row.labels[column]
        assert isinstance(number, int)
        found[Path(row.path).name] = names[number] if number >= 0 else None
    return found


def splits(index: Index) -> dict[str, str | None]:
    return {Path(row.path).name: row.split for row in index.rows}
