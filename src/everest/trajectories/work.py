"""This file decides how a whole video becomes a file of trajectories: the work of a process."""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from everest import video
from everest.trajectories.files import About, Settings, Writer
from everest.trajectories.flow import DenseFlow, Motion
from everest.trajectories.following import LENGTH, follow, lost_map


@dataclass(frozen=True)
class Task:
    video: str
    place: Path  # of its file


@dataclass(frozen=True)
class Done:
    frames: int
    seconds: float  # from the first frame to the last
    bytes: int  # of the file


class VideoTrajectories:
    """Computes and writes the trajectories of one video after the other."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __call__(self, task: Task, alive: Callable[[], None]) -> Done:
        """Raises VideoError for a video that cannot be read to its end."""
        import cv2

        try:
            return self.compute(task, alive)
        except cv2.error as error:  # of one video, whatever it is: the others go on
            raise video.VideoError(f"{task.video}: motion cannot be found ({error})") from error

    def compute(self, task: Task, alive: Callable[[], None]) -> Done:
        import cv2

        find = DenseFlow(self.settings.compensate)
        motions: deque[Motion] = deque(maxlen=LENGTH)
        before, frames, seconds = None, 0, 0.0
        with Writer(task.place) as writer:
            for when, picture in video.stream(task.video, short_side=self.settings.short_side):
                after = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
                if before is not None:
                    motions.append(find(before, after))
                if len(motions) == LENGTH:
                    writer.add(follow(motions))
                before = after
                frames, seconds = frames + 1, when
                alive()
            if before is None:
                raise video.VideoError(f"{task.video}: no frame can be decoded")
            height, width = before.shape
            for _ in range(min(frames, LENGTH)):
                writer.add(lost_map((height, width)))
            name = os.path.basename(task.video)
            writer.finish(About(name, frames, height, width, self.settings))
        return Done(frames, seconds, task.place.stat().st_size)
