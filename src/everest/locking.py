"""This file decides who may write to a run folder: one process at a time, named in its lock."""

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

NAME = "run.lock"
Run = TypeVar("Run", bound=Callable[..., Any])


class Locked(ValueError):
    """A run folder that another process writes to; the message names it."""


# Open files by the folder's real path, and the thread that took each. The kernel lets go of the
# lock with the process, however it ends: what a killed one leaves behind is taken over.
held: dict[str, tuple[int, int]] = {}
guard = threading.Lock()


def holder(folder: Path) -> dict[str, Any] | None:
    """Who holds the lock of a folder: {pid, host, since}; None where nobody does. Changes
    nothing."""
    try:
        descriptor = os.open(folder / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if locked(descriptor) else described(descriptor)
    finally:
        os.close(descriptor)


def take(folder: Path) -> None:
    """Makes this process the one that writes to a folder; raises Locked, or OSError."""
    path = folder / NAME
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            # Who only looks whether it is held holds it for a moment.
            if not (locked(descriptor) or locked_later(descriptor)):
                raise Locked(refusal(folder, described(descriptor)))
            if is_still(path, descriptor):
                break
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # it was removed by who held it: look again
    own = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%F %T")}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, (json.dumps(own) + "\n").encode(), 0)
    with guard:
        held[os.path.realpath(folder)] = (descriptor, threading.get_ident())


def release(folder: Path) -> None:
    """Lets go of a folder that this thread has taken; of any other it does nothing."""
    key = os.path.realpath(folder)
    with guard:
        descriptor, thread = held.get(key, (-1, -1))
        if thread != threading.get_ident():
            return
        del held[key]
    try:
        (folder / NAME).unlink(missing_ok=True)  # while it is held: nobody else's is removed
    except OSError:
        pass  # a lock that nobody holds hinders nobody
    os.close(descriptor)


def releasing(run: Run) -> Run:
    """A run, called as run(index, recipe, settings, ...), that lets go of its folder at its end."""

    @wraps(run)
    def wrapped(index: Any, recipe: Any, settings: Any, **more: Any) -> Any:
        try:
            return run(index, recipe, settings, **more)
        finally:
            release(settings.out)

    return cast(Run, wrapped)


def locked(descriptor: int) -> bool:
    """Whether nobody else held the lock, and it is now held through this open file."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A disk that keeps no locks: who wrote the file is believed, where it may still run.
        return not may_run(described(descriptor))
    return True


def locked_later(descriptor: int) -> bool:
    time.sleep(0.1)
    return locked(descriptor)


def is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def described(descriptor: int) -> dict[str, Any]:
    """What a lock says of its holder; {} where it says nothing yet."""
    try:
        content = json.loads(os.pread(descriptor, 4096, 0))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def may_run(found: dict[str, Any]) -> bool:
    """Whether the process that a lock names may be running; of another machine it is not known."""
    pid = found.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return False
    if found.get("host") != socket.gethostname():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def refusal(folder: Path, found: dict[str, Any]) -> str:
    who = f"process {found.get('pid', 'unknown')} on {found.get('host', 'an unknown machine')}"
    since = f" since {found['since']}" if "since" in found else ""
    return (
        f"--out {folder}: {who} is writing to it{since} ({NAME}); wait for it or end it, or give "
        f"another folder"
    )
