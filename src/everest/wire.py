"""This file decides what a worker process and its parent say to each other."""

from __future__ import annotations

import ctypes
import os
import pickle
import select
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from typing import Any

# Kinds of message. A parent sends its function first, then items; the rest is a worker's.
WORK, ITEM, READY, ALIVE, RESULT, FAILURE, FAULT = range(7)
# What the world does to `work`; any other exception is a fault of the program.
EXPECTED = (ValueError, OSError, MemoryError, EOFError)
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def pack(value: object) -> Sequence[Any]:
    """A value -> its pickle and, uncopied, the memory of its arrays."""
    arrays: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=arrays.append)
    return [head, *(array.raw() for array in arrays)]


def unpack(parts: Sequence[Any]) -> Any:
    """The value of packed parts; its arrays use the memory of the parts."""
    return pickle.loads(parts[0], buffers=parts[1:])


def send(connection: socket.socket, kind: int, parts: Sequence[Any] = ()) -> None:
    """Sends one message; raises OSError where the other side has gone."""
    sizes = [len(part) for part in parts]
    connection.sendall(struct.pack(f"<BI{len(parts)}Q", kind, len(parts), *sizes))
    for part in parts:
        connection.sendall(part)


def receive(connection: socket.socket) -> tuple[int, Sequence[bytearray]]:
    """Waits for one message -> its kind and parts; raises EOFError at the end of all messages."""
    kind, count = struct.unpack("<BI", _exactly(connection, 5))
    sizes = struct.unpack(f"<{count}Q", _exactly(connection, 8 * count))
    return kind, [_exactly(connection, size) for size in sizes]


def _exactly(connection: socket.socket, size: int) -> bytearray:
    taken = bytearray(size)
    view, at = memoryview(taken), 0
    while at < size:
        got = connection.recv_into(view[at:])
        if got == 0:
            raise EOFError("the other side has closed the connection")
        at += got
    return taken


def phrase(error: BaseException) -> str:
    """One phrase for a failure."""
    return str(error) or ("not enough memory" if isinstance(error, MemoryError) else repr(error))


def pack_fault(error: Exception) -> Sequence[Any]:
    """An exception and where it was raised."""
    where = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # its class alone knows what it needs
        error = RuntimeError(phrase(error))
    return pack((error, where))


def unpack_fault(parts: Sequence[Any]) -> Exception:
    """The exception of pack_fault, with a note of where it was raised."""
    error, where = unpack(parts)
    error.add_note(f"raised in a worker process:\n{where}")
    return error


def serve(descriptor: int, interval: float) -> None:
    """The life of a worker process: applies the function it is sent to the items it is sent.

    It gives a sign of life at most every `interval` seconds.
    """
    connection = socket.socket(fileno=descriptor)
    if sys.platform == "linux":
        # The kernel ends this process with its parent even while a decoder holds the interpreter.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_end_with_parent, args=(descriptor,), daemon=True).start()
    last = time.monotonic()

    def alive() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > interval:
            last = now
            send(connection, ALIVE)

    try:
        work = unpack(receive(connection)[1])
        send(connection, READY)
        while True:
            item = unpack(receive(connection)[1])
            try:
                kind, parts = RESULT, pack(work(item, alive))
            except EXPECTED as error:
                kind, parts = FAILURE, pack(phrase(error))
            send(connection, kind, parts)
    except (EOFError, ConnectionError):
        os._exit(1)  # the parent has gone
    except Exception as error:
        send(connection, FAULT, pack_fault(error))


def _end_with_parent(descriptor: int) -> None:
    """Ends this process when the parent's end closes, whatever `work` is doing."""
    closed = select.poll()
    closed.register(descriptor, 0)  # a hang-up is told though no event is asked for
    closed.poll()
    os._exit(1)
