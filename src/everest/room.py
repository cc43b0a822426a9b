"""This file decides how a small file is written, as a whole or not at all, and what is said where a
disk has no room."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)


class NoRoom(OSError):
    """A file that its disk has no room for; names it, the bytes needed and those free."""

    def __init__(self, path: Path, needed: int, cause: object) -> None:
        try:
            free = f"{shutil.disk_usage(path.parent).free:,}"
        except OSError:
            free = "unknown"
        super().__init__(
            f"{path}: cannot be written ({cause}): {needed:,} bytes needed, {free} free; make "
            f"room there"
        )


@contextmanager
def writing(path: Path, needed: int) -> Iterator[None]:
    """While a file of so many bytes is written: NoRoom where the disk is full."""
    try:
        yield
    except NoRoom:
        raise
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise NoRoom(path, needed, error.strerror) from error


def write_text(path: Path, text: str) -> None:
    """Replaces a small file as a whole, or not at all."""
    beside = path.with_name(f".{path.name}.part")
    with writing(path, len(text)):
        try:
            with beside.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
