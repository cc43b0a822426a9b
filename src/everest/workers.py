"""This file decides how a program has one function applied to many items, whatever befalls it."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from everest import wire
from everest.pool import Failure, Pool

__all__ = ["Failure", "Workers"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers(Generic[Item, Result]):
    """Applies `work(item, alive)` to items in `count` processes, or in this one if `count` is 0.

    `work` is pickled once, so it has to be importable; it calls `alive()` as it gets on. A process
    that dies, or gives no sign of life for `deadline` seconds, is replaced; the item that it hung
    at, or that two processes died at, becomes a Failure (in this process there is no deadline).
    Processes start with the first map; they end with close(), with this process however it ends,
    and when a map is left before its end.
    """

    def __init__(
        self,
        work: Callable[[Item, Callable[[], None]], Result],
        *,
        count: int,
        deadline: float = 30.0,
    ) -> None:
        if count < 0 or not deadline > 0:
            raise ValueError(
                f"count {count}, deadline {deadline}: must be 0 or more processes and more than 0 "
                "seconds"
            )
        self._work = work
        self._count = count
        self._deadline = deadline
        self._pool: Pool | None = None
        self._finalizer: weakref.finalize | None = None

    def map(self, items: Iterable[Item], *, ahead: int = 4) -> Iterator[Result | Failure]:
        """Yields one result or Failure an item, in the order of items.

        At most `ahead * count` items are taken before their results are asked for. ValueError,
        OSError, MemoryError and EOFError raised by `work` become Failures; others are raised here.
        """
        if self._count == 0:
            for item in items:
                yield self._apply(item)
            return
        if self._pool is None:
            self._pool = Pool(self._work, self._count, self._deadline)
            self._finalizer = weakref.finalize(self, self._pool.close)
        pool, source, more, finished = self._pool, iter(items), True, False
        tickets: deque[int] = deque()
        try:
            while True:
                while more and len(tickets) < max(1, ahead) * self._count:
                    try:
                        item = next(source)
                    except StopIteration:
                        more = False
                    else:
                        tickets.append(pool.put(item))
                if not tickets:
                    break
                yield pool.take(tickets.popleft())
            finished = True
        finally:
            if not finished:
                self.close()

    def _apply(self, item: Item) -> Result | Failure:
        try:
            return self._work(item, lambda: None)
        except wire.EXPECTED as error:
            return Failure(wire.phrase(error))

    def close(self) -> None:
        """Ends the processes at once; a later map starts new ones."""
        if self._finalizer is not None:
            self._finalizer()
        self._pool = self._finalizer = None

    def __enter__(self) -> Workers[Item, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
