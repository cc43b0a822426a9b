"""This file decides what reading processes do in tests of reliability; it imports little."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any


def timed_scan(path: str, alive: Callable[[], None]) -> tuple[str | None, float, float]:
    """(why it is bad or None, seconds, MB this process has had in memory at most) of a video."""
    import resource

    from everest.checking import scan_facts

    begun = time.monotonic()
    facts = scan_facts(path, alive)
    took = time.monotonic() - begun
    return facts.bad, took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def dying(item: str, alive: Callable[[], None]) -> str:
    """The item; at a path this process ends by SIGKILL, at one called `once` the first time."""
    if os.path.isabs(item) and not (item.endswith("once") and os.path.exists(item)):
        with open(item, "ab") as file:
            file.write(b"x")
        os.kill(os.getpid(), signal.SIGKILL)
    return item


HOOK = """
import os, signal, sys, time
if any("everest.wire" in word for word in sys.orig_argv):
    real = os.stat
    def stat(path, *words, **more):
        name = os.path.basename(os.fsdecode(path)) if isinstance(path, (str, bytes)) else ""
        if name.startswith("segv"):
            os.kill(os.getpid(), signal.SIGSEGV)
        if name.startswith("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        if name.startswith("exit"):
            os._exit(3)
        if name.startswith("hang"):
            time.sleep(600)
        if name.startswith("once") and not os.path.exists(os.environ["DIED"]):
            open(os.environ["DIED"], "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return real(path, *words, **more)
    os.stat = stat
"""


def hooked(folder: Any, variables: Any) -> None:
    """From now on reading processes die or hang at files of certain names: a module that Python
    loads at its start sees to it."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HOOK)
    variables.setenv("PYTHONPATH", str(folder) + os.pathsep + os.environ.get("PYTHONPATH", ""))
    variables.setenv("DIED", str(folder / "died"))
