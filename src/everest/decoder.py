"""This file decides which files are opened as videos, and in which words others are refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any

import av

# FFmpeg is told to open no other container, so that a playlist (HLS, DASH, ffconcat, SDP, a
# pattern of pictures) never gets to open the files or addresses that it names.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,apng,mpegts,mpeg,mpegvideo,ogg,flv,live_flv,asf,"
    "asf_o,rm,nut,nuv,mxf,dv,h261,h263,h264,hevc,vvc,m4v,av1,obu,ivf,vc1,yuv4mpegpipe,wtv"
)
MAX_PIXELS = 8192 * 4352  # a frame of 8K video; a header may claim any size
MAX_STREAMS = 100
OPTIONS = {
    "format_whitelist": CONTAINERS,
    "protocol_whitelist": "file",
    "max_streams": str(MAX_STREAMS),
    "max_pixels": str(MAX_PIXELS),
}
STARTS = {  # first bytes of what is often found under the name of a video
    b"#extm3u": "a playlist, not a video",
    b"ffconcat": "a playlist, not a video",
    b"v=0": "a playlist, not a video",
    b"<mpd": "a playlist, not a video",
    b"version https://git-lfs": "a git-lfs pointer, not the video itself: run `git lfs pull`",
    b"<!doctype": "a web page, not a video",
    b"<html": "a web page, not a video",
    b"\x89png": "a picture, not a video",
    b"\xff\xd8\xff": "a picture, not a video",
    b"pk\x03\x04": "an archive, not a video",
}


class VideoError(ValueError):
    """A file that cannot be read as a video; the message starts with its path."""


class Source:
    """A file, opened within `with`, and its first stream of moving pictures.

    Whatever a decoder raises becomes a VideoError that names the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(os.fspath(path))  # a relative `http:a.mp4` would be an address
        self.key = ("", 0, 0)  # path, bytes and time of change: the same key, the same content
        self.container: Any = None
        self.stream: Any = None
        self._at_start = False

    def __enter__(self) -> Source:
        # Opening a pipe would block for ever, time limit or not: look before.
        try:
            found = os.stat(self.path)
        except (OSError, ValueError) as error:
            raise VideoError(f"{self.path}: {in_words(error)}") from error
        if not stat.S_ISREG(found.st_mode):
            kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, a socket or a device"
            raise VideoError(f"{self.path}: {kind}, not a video file")
        if found.st_size == 0:
            raise VideoError(f"{self.path}: an empty file (0 bytes)")
        self.key = (self.path, found.st_size, found.st_mtime_ns)
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        if self.container is not None:
            self.container.close()
            self.container = None

    def _open(self) -> None:
        self.__exit__()
        width = height = streams = 0
        try:
            self.container = av.open(self.path, options=OPTIONS, metadata_errors="replace")
            streams = len(self.container.streams)
            self.stream = _video_stream(self.container)
            if self.stream is not None:
                context = self.stream.codec_context
                context.options = {"max_pixels": str(MAX_PIXELS)}
                context.thread_count = 1  # worker processes give parallelism
                width, height = context.width, context.height
        except Exception as error:
            self.__exit__()
            raise VideoError(f"{self.path}: {known_start(self.path) or in_words(error)}") from error
        refusal = None
        if self.stream is None:
            refusal = "holds no video stream that can be decoded"
        elif streams >= MAX_STREAMS:  # FFmpeg stops at that many, and some frames would be lost
            refusal = f"claims {MAX_STREAMS} streams or more"
        elif width * height > MAX_PIXELS:
            refusal = f"claims frames of {width}x{height}, more than {MAX_PIXELS:,} pixels"
        if refusal:
            self.__exit__()
            raise VideoError(f"{self.path}: {refusal}")
        self._at_start = True

    def packets(self, seek: int | None = None) -> Iterator[Any]:
        """Packets from the start, or from the key frame at or before a timestamp."""
        try:
            if seek is None and not self._at_start:
                self._open()
            elif seek is not None:
                if self._at_start:
                    # Encoders name themselves at the start alone; a decoder that has not seen it
                    # does not work around their faults (x264 4:4:4 came out wrong, say).
                    self.decode(next(iter(self.container.demux(self.stream))))
                self.container.seek(seek, backward=True, stream=self.stream)
            self._at_start = False
            yield from self.container.demux(self.stream)
        except VideoError:
            raise
        except Exception as error:
            raise VideoError(f"{self.path}: {in_words(error)}") from error

    def decode(self, packet: Any) -> list[Any]:
        """The frames that a packet completes, in the order of showing."""
        try:
            return packet.decode()
        except Exception as error:
            cause = in_words(error)
            if isinstance(error, av.error.InvalidDataError):
                cause = "damaged"
            elif isinstance(error, av.error.ArgumentError):
                cause = f"damaged, or larger than {MAX_PIXELS:,} pixels{told_size(self.path)}"
            raise VideoError(f"{self.path}: a frame cannot be decoded: {cause}") from error

    def decode_all(self) -> Iterator[Any]:
        """Frames from the first to the last."""
        for packet in self.packets():
            yield from self.decode(packet)


def in_words(error: BaseException) -> str:
    """The cause of a failure, for a reader who does not know the decoder."""
    if isinstance(error, av.error.InvalidDataError):
        return "damaged, or not a video"
    if isinstance(error, av.error.ArgumentError):
        return "not in a format that is read as video"
    if isinstance(error, av.error.PatchWelcomeError):
        return "uses a feature that no decoder here has"
    if isinstance(error, EOFError):
        return "ends before its first frame, or damaged"
    if isinstance(error, MemoryError):
        return f"needs more memory than there is, or claims more than {MAX_STREAMS} streams"
    if isinstance(error, OSError | av.error.FFmpegError) and error.strerror:
        return error.strerror
    return f"{error} ({type(error).__name__})"


def _video_stream(container: Any) -> Any | None:
    """The first stream of moving pictures that has a decoder; a song's cover is not one."""
    for stream in container.streams.video:
        cover = stream.disposition & av.stream.Disposition.attached_pic
        if stream.codec_context is not None and not cover:
            return stream
    return None


def told_size(path: str) -> str:
    """The size that a GIF claims, which a decoder that refuses it does not pass on."""
    try:
        with open(path, "rb") as file:
            start = file.read(10)
    except OSError:
        return ""
    if start[:4] != b"GIF8" or len(start) < 10:
        return ""
    width, height = (int.from_bytes(start[at : at + 2], "little") for at in (6, 8))
    return f" (it claims {width}x{height})"


def known_start(path: str) -> str | None:
    """What a file is that FFmpeg did not open, by its first bytes."""
    try:
        with open(path, "rb") as file:
            start = file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    except OSError:
        return None
    if start.startswith(b"<?xml") and b"<mpd" in start:
        return "a playlist, not a video"
    for known, kind in STARTS.items():
        if start.startswith(known):
            return kind
    if start and all(byte >= 32 or byte in b"\t\r\n" for byte in start):
        return "a text file, not a video"
    return None
