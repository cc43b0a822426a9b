"""This file decides how much a weights file may unfold to: what is far larger than the file is a
bomb, and is refused before memory is taken."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

TIMES = 4  # a file's size, that what it holds may have at most, and
BESIDE = 64 << 20  # so many bytes
# Versions of torch from which on their weights-only reader runs nothing and corrupts nothing that
# is known, and what was found before.
HOLES = (((2, 6), "CVE-2025-32434"), ((2, 10), "CVE-2026-24747"))


def allowed(path: Path) -> int:
    """Bytes that the content of a file may take."""
    return TIMES * path.stat().st_size + BESIDE


def packed_too_tight(path: Path) -> str | None:
    """Why an archive is not unpacked; None where it is of a size to be believed, or none.

    Raises OSError, or zipfile.BadZipFile.
    """
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size <= allowed(path):
        return None
    return (
        f"its {path.stat().st_size:,} bytes unpack to {size:,}, which no weights do; nothing was "
        f"unpacked"
    )


def larger_than_told(tensors: Mapping[str, Tensor], path: Path) -> str | None:
    """Why tensors are not used: they have no numbers, or more than their file holds."""
    for name, value in tensors.items():
        if value.layout != torch.strided or value.is_meta or value.is_quantized:
            return f"{name} is no plain tensor"
    size = sum(value.numel() * value.element_size() for value in tensors.values())
    if size <= allowed(path):
        return None
    return f"it claims {size:,} bytes of numbers and has {path.stat().st_size:,}"


def unsafe_reader() -> str | None:
    """Which holes the reader of pickles of the torch that is installed has; None for none."""
    numbers = re.match(r"(\d+)\.(\d+)", torch.__version__)
    version = tuple(map(int, numbers.groups())) if numbers else (0, 0)
    holes = [name for safe, name in HOLES if version < safe]
    if not holes:
        return None
    safe = ".".join(map(str, HOLES[-1][0]))
    return (
        f"torch {torch.__version__} can be attacked by such a file ({', '.join(holes)}); install "
        f"torch {safe} or later, or take a .safetensors file"
    )
