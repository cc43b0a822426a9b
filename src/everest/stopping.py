"""This file decides how a run is told to stop: SIGINT and SIGTERM save first, SIGUSR1 only saves,
a second Ctrl-C stops at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import ClassVar, Self

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Stopped(Exception):
    """A run that was told to stop, after it saved."""

    def __init__(self, code: int, told: str) -> None:
        super().__init__(told)
        self.code = code


class BrokenOff(BaseException):
    """An evaluation that is not finished, because the run was told to stop; no fault, so that what
    is passed over where a report goes wrong does not end here."""


def between_batches() -> None:
    """Called between the batches of an evaluation; raises BrokenOff where a run that is told to
    stop does not wait for its end."""
    if Signals.breaking is not None and Signals.breaking.stop is not None:
        raise BrokenOff


class Signals:
    """While active, signals set what the loop looks at between steps."""

    breaking: ClassVar["Signals | None"] = None  # whose evaluations break off when told to stop

    def __init__(self) -> None:
        self.stop: int | None = None  # the exit code asked for
        self.save = False
        self.before: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
                self.before[number] = signal.signal(number, self.told)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextmanager
    def breaking_off(self) -> Iterator[None]:
        """Within it an evaluation ends with BrokenOff soon after a signal to stop."""
        before, Signals.breaking = Signals.breaking, self
        try:
            yield
        finally:
            Signals.breaking = before

    def told(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGUSR1:
            self.save = True
        elif self.stop is not None and number == signal.SIGINT:
            os._exit(130)  # twice: at once; the state saved before is whole
        else:
            self.stop = EXIT_CODES[signal.Signals(number)]
