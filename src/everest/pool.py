"""This file decides how processes are started, given items, watched and replaced."""

from __future__ import annotations

import json
import math
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from everest import wire

# Signals that a terminal or a scheduler sends to a whole group: the parent decides what follows.
PARENTS_OWN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# A larger item is sent to an idle process only: it could fill the socket while the process fills it
# in the other direction, and both would wait for ever.
SMALL = 32_768  # bytes
START = 60.0  # seconds that a process may take to import what it needs
FAILED_STARTS = 3  # in a row: the next would fail as well
DEATHS = 2  # of processes at one item: a single one may be the machine's fault, not the item's
CODE = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from everest.wire import serve
serve(int(sys.argv[2]), float(sys.argv[3]))
"""


@dataclass(frozen=True)
class Failure:
    """Stands where a result would, had the item not failed."""

    reason: str  # one phrase


@dataclass(eq=False)
class _Worker:
    """A process as its parent sees it."""

    process: subprocess.Popen[bytes]
    socket: socket.socket
    seen: float  # time.monotonic() of its last sign of life
    ready: bool = False
    tickets: deque[int] = field(default_factory=deque)  # it is working on the first


class Pool:
    """The processes, and a thread that hands items to them and takes what they send."""

    def __init__(self, work: Callable[..., Any], count: int, deadline: float) -> None:
        self._work = wire.pack(work)
        if b"__main__" in self._work[0]:
            raise ValueError(
                f"{work!r}: defined in the script itself, where other processes cannot import it; "
                "put it into a module, or use 0 processes"
            )
        self._count = count
        self._deadline = deadline
        self._owner = os.getpid()
        self._changed = threading.Condition()  # guards the next four
        self._items: dict[int, Sequence[Any]] = {}  # packed, until their results are there
        self._queue: deque[int] = deque()
        self._results: dict[int, Any] = {}
        self._deaths: dict[int, int] = {}  # by the ticket that a process was working on
        self._fault: BaseException | None = None
        self._given = 0  # tickets
        self._closing = False
        self._failed_starts = 0
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._bell, self._rope = socket.socketpair()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="everest-workers", daemon=True)
        self._thread.start()

    def put(self, item: object) -> int:
        packed = wire.pack(item)
        with self._changed:
            ticket, self._given = self._given, self._given + 1
            self._items[ticket] = packed
            self._queue.append(ticket)
        self._rope.send(b"\0")
        return ticket

    def take(self, ticket: int) -> Any:
        with self._changed:
            while ticket not in self._results and self._fault is None:
                self._changed.wait()
            if ticket not in self._results and self._fault is not None:
                raise self._fault
            return self._results.pop(ticket)

    def close(self) -> None:
        if os.getpid() != self._owner:  # in a fork of the parent: the processes are not ours
            return
        self._closing = True
        if threading.current_thread() is self._thread:  # the garbage collector runs anywhere
            return
        for worker in list(self._workers):
            worker.process.kill()
        self._rope.send(b"\0")
        self._thread.join()
        self._selector.close()
        self._bell.close()
        self._rope.close()

    def _run(self) -> None:
        # Processes inherit the mask of the thread that starts them.
        signal.pthread_sigmask(signal.SIG_BLOCK, PARENTS_OWN)
        try:
            for _ in range(self._count):
                self._start()
            while not self._closing:
                self._hand_out()
                for key, _ in self._selector.select(self._patience()):
                    if key.data is None:
                        self._bell.recv(4096)
                    else:
                        self._hear(key.data)
                for worker in [worker for worker in self._workers if self._left(worker) <= 0]:
                    worker.process.kill()
                    self._replace(worker, f"no new frame for {self._deadline:g} s")
        except BaseException as error:  # raised where results are waited for
            with self._changed:
                self._fault = error
                self._changed.notify_all()
        finally:
            for worker in self._workers:
                worker.process.kill()
            for worker in self._workers:
                self._bury(worker)

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(max(self._deadline, 1.0))
        path = json.dumps([entry for entry in sys.path if isinstance(entry, str)])
        interval = min(0.25, self._deadline / 8)
        threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", CODE, path, str(theirs.fileno()), str(interval)],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=2,  # standard output is for the results of the parent
                env={**os.environ, **dict.fromkeys(threads, "1")},
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        worker = _Worker(process, ours, time.monotonic())
        self._workers.append(worker)
        self._selector.register(ours, selectors.EVENT_READ, worker)
        self._say(worker, wire.WORK, self._work)

    def _hand_out(self) -> None:
        # A second item waits in each process, so that it need not wait for this thread.
        for depth in (0, 1):
            for worker in list(self._workers):
                if not worker.ready or len(worker.tickets) != depth:
                    continue
                with self._changed:
                    if not self._queue:
                        return
                    parts = self._items[self._queue[0]]
                    if depth == 1 and sum(map(len, parts)) > SMALL:
                        return
                    ticket = self._queue.popleft()
                if depth == 0:
                    worker.seen = time.monotonic()
                worker.tickets.append(ticket)
                self._say(worker, wire.ITEM, parts)

    def _say(self, worker: _Worker, kind: int, parts: Sequence[Any]) -> None:
        try:
            wire.send(worker.socket, kind, parts)
        except OSError:
            pass  # it is dying: its socket will tell

    def _hear(self, worker: _Worker) -> None:
        try:
            kind, parts = wire.receive(worker.socket)
        except TimeoutError:
            worker.process.kill()
            self._replace(worker, f"no new frame for {self._deadline:g} s")
            return
        except (OSError, EOFError):
            self._replace(worker, None)
            return
        worker.seen = time.monotonic()
        if kind == wire.READY:
            worker.ready, self._failed_starts = True, 0
        elif kind == wire.FAULT:
            raise wire.unpack_fault(parts)
        elif kind != wire.ALIVE:
            value = wire.unpack(parts)
            self._settle(
                worker.tickets.popleft(), Failure(value) if kind == wire.FAILURE else value
            )

    def _settle(self, ticket: int, value: object) -> None:
        with self._changed:
            del self._items[ticket]
            self._deaths.pop(ticket, None)
            self._results[ticket] = value
            self._changed.notify_all()

    def _left(self, worker: _Worker) -> float:
        """Seconds that a process may go on in silence."""
        if worker.ready and not worker.tickets:
            return math.inf
        allowed = self._deadline if worker.ready else max(START, self._deadline)
        return worker.seen + allowed - time.monotonic()

    def _patience(self) -> float | None:
        least = min(map(self._left, self._workers), default=math.inf)
        return None if least == math.inf else max(0.0, least)

    def _replace(self, worker: _Worker, reason: str | None) -> None:
        code = self._bury(worker)
        self._workers.remove(worker)
        has_died = reason is None
        if self._closing:
            return
        if reason is None:
            how = f"died (signal {-code})" if code < 0 else f"ended (exit code {code})"
            reason = f"the reading process {how}"
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts == FAILED_STARTS:
                raise RuntimeError(f"worker processes do not start: {reason}")
        if worker.tickets:
            ticket = worker.tickets[0]
            deaths = self._deaths[ticket] = self._deaths.get(ticket, 0) + 1
            if not has_died or deaths >= DEATHS:
                self._settle(worker.tickets.popleft(), Failure(reason))
            with self._changed:
                self._queue.extendleft(reversed(worker.tickets))
        self._start()

    def _bury(self, worker: _Worker) -> int:
        """Waits for a process that is ending -> its exit code, negative for a signal."""
        self._selector.unregister(worker.socket)
        worker.socket.close()
        for seconds in (5.0, 5.0):
            try:
                return worker.process.wait(seconds)
            except subprocess.TimeoutExpired:
                worker.process.kill()
        return -signal.SIGKILL  # it waits for a disk that does not answer
