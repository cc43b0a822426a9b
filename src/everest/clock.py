"""This file decides how the speed of an epoch is measured: apart from what must repeat exactly."""

import time


class Clock:
    """Counts the clips and steps of an epoch; its figures go to timings.jsonl."""

    def __init__(self, waited: float) -> None:
        self.begun = time.perf_counter()
        self.waited = waited
        self.clips = 0
        self.steps = 0
        self.first = 0.0  # seconds of the first step, which makes all that is made once

    def count(self, clips: int) -> None:
        self.clips += clips
        self.steps += 1
        if self.steps == 1:
            self.first = time.perf_counter() - self.begun

    def each(self) -> float:
        """Seconds a step, without the first one."""
        return (time.perf_counter() - self.begun - self.first) / (self.steps - 1)

    def figures(self, waited: float) -> dict[str, float]:
        seconds = max(time.perf_counter() - self.begun, 1e-9)
        return {
            "seconds": seconds,
            "clips_per_second": self.clips / seconds,
            "data_wait": (waited - self.waited) / seconds,
            "cpu_seconds": time.process_time(),
        }
