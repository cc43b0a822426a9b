"""This file decides how a camera is watched: always the latest window, however slow a prediction
is."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import av
import numpy as np

from everest.guesses.coming import Window
from everest.pictures import Converter

FEWEST = 2  # pictures of a window


def opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise ValueError("--camera needs OpenCV: pip install 'everest-video[motion]'") from error
    return cv2


class Camera:
    """A camera that is read by a thread of its own while the `with` lasts.

    Raises ValueError where there is no such camera, or no OpenCV.
    """

    def __init__(
        self,
        number: int,
        window: float,
        short_side: int | None,
        frame: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        self.number, self.window = number, window  # seconds
        self.convert, self.frame = Converter(f"camera {number}", short_side), frame
        self.kept: deque[tuple[float, np.ndarray]] = deque()
        self.changed = threading.Condition()
        self.is_over = False
        self.failure: Exception | None = None
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        cv2 = opencv()
        # Its own words on a camera that is not there would stand beside ours.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        self.capture = cv2.VideoCapture(self.number)
        if not self.capture.isOpened():
            raise ValueError(
                f"--camera {self.number}: there is no such camera, or another program has it; the "
                f"first is --camera 0"
            )
        self.begun = time.monotonic()
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.is_over = True
        self.thread.join(timeout=5)
        self.capture.release()

    def clock(self) -> float:
        """Seconds since the camera was opened."""
        return time.monotonic() - self.begun

    def _watch(self) -> None:
        try:
            while not self.is_over:
                is_there, picture = self.capture.read()
                if not is_there:
                    break
                taken = av.VideoFrame.from_ndarray(picture, "bgr24")
                taken.time_base = Fraction(1, 1000)  # the converter asks for one
                framed = self.frame(self.convert(taken))
                with self.changed:
                    now = self.clock()
                    self.kept.append((now, framed))
                    while self.kept and self.kept[0][0] < now - self.window:
                        self.kept.popleft()
                    self.changed.notify()
        except Exception as error:  # told by the thread that waits for windows
            self.failure = error
        with self.changed:
            self.is_over = True
            self.changed.notify()

    def windows(self, hop: float, seconds: float | None) -> Iterator[Window]:
        """The last `window` seconds every `hop`, or as soon as the one before is done with; for so
        many `seconds`, or until the camera ends."""
        due = self.window
        while seconds is None or due <= seconds:
            with self.changed:
                while self.clock() < due and not self.is_over:
                    self.changed.wait(timeout=min(max(due - self.clock(), 0.01), 1))
                if self.failure is not None:
                    raise self.failure
                if self.clock() < due:
                    return
                end = self.clock()
                pictures = [picture for at, picture in self.kept if at >= end - self.window]
                is_over = self.is_over
            if len(pictures) >= FEWEST:
                yield Window(end - self.window, end, len(pictures) / self.window, pictures)
            if is_over:
                return
            due = max(due + hop, self.clock())
