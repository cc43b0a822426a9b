"""This file decides how tests of reliability start runs that are killed, told to stop, or put upon.

Runs are forks of a process that has imported everything: they start in an instant, and what befalls
one does not touch the test.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PATIENCE = 120.0  # seconds that anything may take on a busy machine
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    ["everest.training", "everest.api", "everest.commands.pretrain", "everest.commands.finetune"]
)
Hook = Callable[..., None]


def _run(words: Sequence[str], told: str, hooks: Sequence[tuple[Hook, tuple[Any, ...]]]) -> None:
    """The life of a run: what it says goes to a file."""
    import torch

    torch.set_num_threads(1)
    descriptor = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.environ.pop("PYTHONWARNINGS", None)
    for hook, arguments in hooks:
        hook(*arguments)
    from everest.cli import main

    code = main(list(words))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Started:
    """A run in a process of its own."""

    def __init__(self, process: BaseProcess, told: Path) -> None:
        self.process = process
        self.told_in = told

    @property
    def said(self) -> str:
        return self.told_in.read_text() if self.told_in.exists() else ""

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def tell(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait_for(self, sign: Callable[[], bool], every: float = 0.002) -> None:
        limit = time.monotonic() + PATIENCE
        while not sign():
            assert self.process.is_alive(), self.said
            assert time.monotonic() < limit, self.said
            time.sleep(every)

    def end(self, seconds: float = PATIENCE) -> int:
        """Waits for its end -> its exit code, negative for a signal."""
        self.process.join(seconds)
        alive = self.process.is_alive()
        if alive:
            self.process.kill()
            self.process.join()
        assert not alive, f"it goes on after {seconds:g} s: {self.said}"
        assert self.process.exitcode is not None
        return self.process.exitcode


def start(words: Sequence[object], told: Path, *hooks: tuple[Any, ...]) -> Started:
    """Starts `everest WORDS`; each hook is a function of a module and its arguments, called in the
    new process before the command."""
    pairs = [(hook[0], tuple(hook[1:])) for hook in hooks]
    environment = os.environ.copy()
    process = context.Process(
        target=_with_environment, args=(environment, [str(word) for word in words], told, pairs)
    )
    process.start()
    return Started(process, told)


def _with_environment(
    environment: dict[str, str], words: Sequence[str], told: Path, hooks: Any
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.setpgid(0, 0)  # a killed run is to leave nothing behind even in its group
    _run(words, str(told), hooks)


def ended(words: Sequence[object], told: Path, *hooks: tuple[Any, ...]) -> tuple[int, str]:
    """Runs a command to its end -> (exit code, what it said)."""
    started = start(words, told, *hooks)
    code = started.end()
    return code, started.said


# What happens to a run: hooks


def saving_every(seconds: float) -> None:
    """States within epochs come as often as that."""
    from everest import fitting

    fitting.SAVE_SECONDS = seconds


def slow_steps(seconds: float) -> None:
    from everest import fitting

    before = fitting.step

    def step(*words: Any) -> Any:
        time.sleep(seconds)
        return before(*words)

    fitting.step = step  # type: ignore[assignment]


def killed_at_act(folder: str, number: int) -> None:
    """Ends this process by SIGKILL at the n-th act on files below a folder, before it is done."""
    count = [0]
    watched(folder, lambda act, path: _kill_at(count, number))


def _kill_at(count: list[int], number: int) -> None:
    count[0] += 1
    if count[0] == number:
        os.kill(os.getpid(), signal.SIGKILL)


def killed_in_save(save: int, act: int) -> None:
    """Ends this process by SIGKILL at the n-th act on files of its m-th save."""
    from everest import checkpoint

    before, saves = checkpoint.save_state, [0]

    def save_state(folder: Path, *words: Any) -> Path:
        saves[0] += 1
        if saves[0] == save:
            killed_at_act(str(folder), act)
        return before(folder, *words)

    checkpoint.save_state = save_state


def watched(folder: str, told: Callable[[str, str], None]) -> None:
    """Tells of every act on files below a folder just before it is done; cannot be undone, so for
    processes that end with it."""
    root = os.path.realpath(folder)
    acts = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}

    def audit(event: str, words: tuple[Any, ...]) -> None:
        if event in acts and isinstance(words[0], str | bytes | os.PathLike):
            path = os.fsdecode(words[0])
            if os.path.realpath(path).startswith(root):
                told(event, path)

    sys.addaudithook(audit)
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if path.startswith(root):
            told("fsync", path)
        sync(descriptor)

    os.fsync = fsync
    from everest import tensors

    save_file = tensors.save_file

    def saved(content: Any, path: Path) -> None:
        told("write", str(path))
        save_file(content, path)
        told("written", str(path))

    tensors.save_file = saved


def living(pids: Sequence[int], seconds: float) -> list[int]:
    """Those of some processes that are not gone within so many seconds."""
    until = time.monotonic() + seconds
    while (left := [pid for pid in pids if is_running(pid)]) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def is_running(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def children_of(pid: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
    found, new = [], [pid]
    while new:
        new = [child for child, parent in parents.items() if parent in new]
        found += new
    return found
