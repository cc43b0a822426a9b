"""This file decides how what is still coming, on standard input or from a camera, is predicted."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from itertools import islice
from typing import cast

from everest import data
from everest.guesses.camera import Camera
from everest.guesses.coming import framer, guesses_of, windows_of
from everest.guesses.standard_input import Ahead, Coming, in_file, plays_as_it_comes
from everest.run import Guess, Run
from everest.windows import seconds_of

CAMERA_WINDOW = "2s"


@contextmanager
def standard_input(
    run: Run, window: str | None, hop: str | None, seconds: float | None, *, whole: bool
) -> Iterator[tuple[Iterable[Guess] | None, str]]:
    """(guesses of windows as they come, "-"), or (None, a file for a while): of a video that is
    needed `whole`, or without windows, or that cannot be decoded as it comes.

    It ends after so many `seconds`. Raises ValueError where it is no video.
    """
    length, step = seconds_of(window, "window"), seconds_of(hop, "hop")
    stream = Ahead(cast(BufferedIOBase, sys.stdin.buffer))
    if length is None or whole or not plays_as_it_comes(stream):
        if seconds is not None:
            raise ValueError(
                "--seconds: this video has to be read to its end; it is of a video that is told as "
                "it comes, such as MPEG-TS with --window"
            )
        with in_file(stream) as path:
            try:
                yield None, path
            except ValueError as error:  # the file's name would mean nothing to anyone
                raise ValueError(str(error).replace(path, "standard input")) from error
        return
    video, side = Coming(stream), data.still_sampling(run.config).evaluation.short_side
    most = None if seconds is None else int(seconds * video.fps)
    pictures = islice(map(framer(run), video.pictures(side)), most)
    yield guesses_of(run, windows_of(pictures, video.fps, length, step), "-"), "-"


def from_camera(
    run: Run, number: int, window: str | None, hop: str | None, seconds: float | None
) -> Iterator[Guess]:
    """Guesses of windows as they come, 2 s each where no length is given; raises ValueError where
    there is no such camera."""
    length = seconds_of(window or CAMERA_WINDOW, "window")
    assert length is not None
    step = seconds_of(hop, "hop") or length
    side = data.still_sampling(run.config).evaluation.short_side
    with Camera(number, length, side, framer(run)) as camera:
        yield from guesses_of(run, camera.windows(step, seconds), f"camera {number}")
