"""This file decides how tests measure what a piece of work costs: in a process of its own."""

import os
import pickle
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cost:
    """What came of work in a process of its own."""

    result: Any
    seconds: float
    grown: float  # MB that its memory grew by at most, beyond what it began with


def measured(work: Callable[[], Any], *, threads: int = 1) -> Cost:
    """Runs work in a fork; its result has to be a plain value. A death is an AssertionError."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ours)
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")  # the peak is counted from here on
            before, begun = peak(), time.monotonic()
            result = work()
            answer = pickle.dumps((result, time.monotonic() - begun, peak() - before))
            with os.fdopen(theirs, "wb") as pipe:
                pipe.write(answer)
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        answer = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == 0, f"the work ended with {code}"
    return Cost(*pickle.loads(answer))


def peak() -> float:
    """MB that this process has had in memory at most."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident() -> float:
    """MB that this process has in memory now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / (1 << 20)
