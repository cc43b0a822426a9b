"""This file decides which frames of its video a row of the index gives."""

from dataclasses import dataclass
from typing import Literal

from everest import frames, keys
from everest.index import Row
from everest.reading import Framing
from everest.trajectories.riding import Wanted


@dataclass(frozen=True)
class Sampling:
    """How a row of the index becomes a clip."""

    frames: int  # read a clip: more than the model's, with frame selection
    stride: float  # source frames
    fps: float | None  # frames a second, instead of a stride
    training: Framing
    evaluation: Framing
    draw: Literal["window", "end"] = "window"  # how a training clip is placed
    seed: int = 0
    trajectories: Wanted | None = None  # what clips carry beside their pixels
    together: int | None = None  # frames of a segment, with segment sampling; None: dense

    def training_frames(self, row: Row, key: int) -> list[int]:
        """Indices into the file of the frames that the key draws."""
        first, count = frames.span_of(row.frames, row.fps, row.start, row.end)
        stride = self.stride_of(row)
        if self.together is None:
            choose = frames.window if self.draw == "window" else frames.drawn_end
            found = choose(count, self.frames, stride, keys.uniform(key, "clip.start"))
        else:
            segments = range(self.frames // self.together)
            places = [keys.uniform(key, "clip.segment", number) for number in segments]
            found = frames.segments(count, places, together=self.together, stride=stride)
        return frames.shifted(found, first)

    def evaluation_frames(self, row: Row, views: int) -> list[list[int]]:
        """The same of each view, spread over the video."""
        first, count = frames.span_of(row.frames, row.fps, row.start, row.end)
        stride = self.stride_of(row)
        if self.together is None:
            found = frames.views(count, self.frames, stride, views)
        else:
            segments = self.frames // self.together
            found = frames.segment_views(
                count, segments, views, together=self.together, stride=stride
            )
        return [frames.shifted(indices, first) for indices in found]

    def stride_of(self, row: Row) -> float:
        return self.stride if self.fps is None else max(row.fps / self.fps, 1e-6)
