"""This file decides how a video that is still coming is cut into windows, and each is predicted as
soon as it is whole.

T frames of a clip; h, w pixels of the model's input.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from everest import data, keys
from everest.cache import FrameCache
from everest.clips import Clips
from everest.frames import span_of
from everest.index import Row
from everest.predicting import ask, paired, vote
from everest.reading import ClipReader, Request
from everest.windows import windows

if TYPE_CHECKING:
    from everest.run import Guess, Run


class Window(NamedTuple):
    """A stretch of what has come, whole."""

    start: float  # seconds
    end: float
    fps: float
    pictures: list[np.ndarray]  # (h, w, 3) uint8 each


def row_of(frames: int, fps: float) -> Row:
    return Row("-", {}, None, None, None, None, frames, fps)


def windows_of(
    pictures: Iterable[np.ndarray], fps: float, window: float, hop: float | None
) -> Iterator[Window]:
    """The windows, in seconds, that the same video would have as a file (`windows.windows`); each
    comes with its last picture, and what is left at the end as there."""
    hop = hop or window
    kept: deque[tuple[int, np.ndarray]] = deque()
    number = total = 0
    endless = 1 << 60
    for index, picture in enumerate(pictures):
        total = index + 1
        start = number * hop
        first, count = span_of(endless, fps, start, start + window)
        while kept and kept[0][0] < first:
            kept.popleft()
        if index >= first:
            kept.append((index, picture))
        while total >= first + count:
            yield Window(start, start + window, fps, between(kept, first, count))
            number += 1
            start = number * hop
            first, count = span_of(endless, fps, start, start + window)
    if not total:
        return
    for row in windows(row_of(total, fps), window, hop)[number:]:
        assert row.start is not None and row.end is not None
        first, count = span_of(total, fps, row.start, row.end)
        yield Window(row.start, row.end, fps, between(kept, first, count))


def between(kept: Iterable[tuple[int, np.ndarray]], first: int, count: int) -> list[np.ndarray]:
    return [picture for index, picture in kept if first <= index < first + count]


def framer(run: "Run") -> Callable[[np.ndarray], np.ndarray]:
    """What makes a picture the model's input: (H, W, 3) -> (h, w, 3) uint8, its crop in the
    middle. Small pictures are what is kept of a window, however large the video is."""
    framing = data.still_sampling(run.config).evaluation
    reader = ClipReader(FrameCache(None))
    request = Request("-", (0,), 0, framing)
    return lambda picture: reader.clip_of(request, picture[None]).pixels[0]


@torch.inference_mode()
def guesses_of(run: "Run", coming: Iterable[Window], path: str) -> "Iterator[Guess]":
    """A guess a window, as soon as it is there."""
    from everest.run import guess_of

    model = run.classifier()
    sampling, place = data.still_sampling(run.config), run.placed()
    model.eval()
    for window in coming:
        row = row_of(len(window.pictures), window.fps)
        (indices,) = sampling.evaluation_frames(row, 1)
        pixels = np.stack([window.pictures[index] for index in indices])  # (T, h, w, 3)
        clips = Clips(
            video=torch.from_numpy(pixels).permute(3, 0, 1, 2)[None],
            labels={},
            weight=torch.ones(1),
            key=torch.tensor([keys.make_key(sampling.seed, -1, 0, 0)]),
            row=torch.zeros(1, dtype=torch.int64),
            extra={},
        )
        out = ask(model, paired(clips), place)
        said = {}
        for column in model.columns:
            answer = vote(model, column, out[f"logits.{column}"])[0]
            if model.reader.average == "logits":
                head = model.head_of[column]
                answer = head.probabilities(torch.from_numpy(answer[None]))[0].numpy()
            said[column] = answer
        yield guess_of(run.config, path, (window.start, window.end), said)
