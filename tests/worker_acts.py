"""This file decides what worker processes do in tests; it imports little, for they do too."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

Alive = Callable[[], None]


def act(item: object, alive: Alive) -> object:
    """Does what an item says."""
    match item:
        case "hang":
            time.sleep(60)
        case "hang holding the interpreter":
            ctypes.PyDLL(None).sleep(60)
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(3)
        case "damaged":
            raise ValueError("a.mp4: damaged")
        case "no memory":
            raise MemoryError
        case "bug":
            raise KeyError("a fault of the program")
        case "slow but alive":
            for _ in range(20):
                time.sleep(0.05)
                alive()
        case "modules":
            return sorted(sys.modules)
        case "pid":
            return os.getpid()
        case "threads":
            return os.environ["OMP_NUM_THREADS"]
        case "print":
            print("not for the standard output")
    return item


def double(item: Any, alive: Alive) -> Any:
    alive()
    return item * 2


def picture(item: int, alive: Alive) -> dict[str, Any]:
    import numpy as np

    return {"clip": np.full((4, 64, 64, 3), item, np.uint8), "name": np.array(item)}


def sleepy(item: float, alive: Alive) -> float:
    time.sleep(item)
    return item
