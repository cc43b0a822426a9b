"""This file decides how a video on standard input is read: as it comes, or through a file that
lasts as long as it is needed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from typing import Any

import av
import numpy as np

from everest.decoder import MAX_PIXELS, OPTIONS, VideoError, in_words
from everest.pictures import Converter

BLOCK = 1 << 20  # bytes
AT_MOST = 8 << 30  # bytes kept in a file
NAME = "standard input"
# Parts of an MP4 or MOV, of which those before its table of frames are passed over.
BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"styp")
# What is looked at before the first frame: little, so that a live stream is told soon.
LOOKED_AT = {"analyzeduration": "500000"}  # microseconds


class Ahead:
    """A stream whose first bytes are looked at before it is read; it cannot go back."""

    def __init__(self, stream: BufferedIOBase) -> None:
        self.stream = stream
        self.head = b""

    def peek(self, size: int) -> bytes:
        """The first bytes, as many as there are up to `size`; no more is waited for."""
        while len(self.head) < size and (more := self.stream.read(size - len(self.head))):
            self.head += more
        return self.head[:size]

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, as soon as some are there; none at the end."""
        if self.head:
            size = len(self.head) if size < 0 else size
            found, self.head = self.head[:size], self.head[size:]
            return found
        return self.stream.read1(size)


def plays_as_it_comes(stream: Ahead) -> bool:
    """Whether a video is decoded without going back: all but an MP4 or MOV whose table of frames
    does not stand before the frames."""
    place = 0
    while place < BLOCK:
        head = stream.peek(place + 16)[place:]
        size, kind = int.from_bytes(head[:4]), head[4:8]
        if kind not in BOXES:
            return place == 0  # another format; or an MP4 that is not understood
        if kind in (b"moov", b"mdat"):
            return kind == b"moov"
        if size == 1:
            size = int.from_bytes(head[8:16])
        if size < 8:
            return False
        place += size
    return False


@contextmanager
def in_file(stream: Ahead) -> Iterator[str]:
    """All of the stream as a file; raises ValueError where that is more than AT_MOST."""
    descriptor, path = tempfile.mkstemp(prefix="standard-input-", suffix=".mp4")
    try:
        written = 0
        with os.fdopen(descriptor, "wb") as file:
            while block := stream.read(BLOCK):
                written += len(block)
                if written > AT_MOST:
                    raise ValueError(
                        f"-: {NAME} brings more than {AT_MOST >> 30} GB; give the video as a file, "
                        f"or as a stream such as MPEG-TS or Matroska with --window"
                    )
                file.write(block)
        yield path
    finally:
        os.unlink(path)


class Coming:
    """The pictures of a stream, in order."""

    def __init__(self, stream: Ahead) -> None:
        try:
            self.container: Any = av.open(
                stream, options=OPTIONS | LOOKED_AT, metadata_errors="replace"
            )
        except Exception as error:
            raise VideoError(f"-: {NAME}: {in_words(error)}") from error
        found = self.container.streams.video
        if not found:
            raise VideoError(f"-: {NAME} holds no video stream that can be decoded")
        self.video = found[0]
        context = self.video.codec_context
        context.options = {"max_pixels": str(MAX_PIXELS)}
        context.thread_count = 1  # several would hold frames back
        rate = self.video.average_rate or self.video.guessed_rate
        self.fps = float(rate) if rate else 25.0

    def pictures(self, short_side: int | None) -> Iterator[np.ndarray]:
        """(H, W, 3) uint8 each; raises VideoError where one cannot be decoded."""
        convert = Converter("-", short_side)
        try:
            for frame in self.container.decode(self.video):
                yield convert(frame)
        except VideoError:
            raise
        except av.error.FFmpegError as error:
            raise VideoError(f"-: {NAME}: a frame cannot be decoded: {in_words(error)}") from error
        finally:
            self.container.close()
