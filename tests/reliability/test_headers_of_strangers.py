"""Video headers that claim too much are refused in little memory (test 18)."""

import re
import struct
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from bounded import measured

from everest.video import VideoError, probe, read
from filming import numbered, write_film

SHARE = 300.0  # MB of memory that a refusal may take, beside twice its file


# Headers that claim too much


def gif_bomb(folder: Path) -> Path:
    path = folder / "bomb.gif"
    side = struct.pack("<HH", 16000, 16000)
    path.write_bytes(
        b"GIF89a" + side + b"\x80\0\0" + b"\0\0\0\xff\xff\xff" + b"," + bytes(4) + side
        + b"\0\x02\x02\x44\x01\0;"
    )  # fmt: skip
    return path


def many_streams(folder: Path) -> Path:
    path = folder / "streams.mkv"
    with av.open(str(path), "w") as container:
        tracks = [container.add_stream("mpeg4", rate=25) for _ in range(1000)]
        frame = av.VideoFrame.from_ndarray(numbered(0, 32, 32), format="rgb24")
        for track in tracks:
            track.width, track.height, track.pix_fmt = 32, 32, "yuv420p"
        for track in tracks[:3]:
            container.mux(track.encode(frame))
    return path


def timed(folder: Path, seconds: float, frames: int) -> Path:
    """A film of so many frames whose timestamps claim so many seconds: its header says that a unit
    of time is a second."""
    scale = 12800  # units a second that FFmpeg writes for 25 frames a second
    each = round(25 * seconds / (frames - 1) / scale)
    path = write_film(
        folder / "long.mp4", frames, shown=[each * index for index in range(frames)], codec="mpeg4"
    )
    return scaled(path, lambda units: 1)


def scaled(path: Path, change: Callable[[int], int]) -> Path:
    """Rewrites the scale of time in the headers of a .mp4."""
    content = path.read_bytes()
    for box, skip in ((b"mvhd", 16), (b"mdhd", 16)):
        place = content.index(box) + skip
        (units,) = struct.unpack(">I", content[place : place + 4])
        content = content[:place] + struct.pack(">I", change(units)) + content[place + 4 :]
    path.write_bytes(content)
    return path


def too_fast(folder: Path) -> Path:
    """10^6 frames a second by its header."""
    return scaled(write_film(folder / "fast.mp4", 6, codec="mpeg4"), lambda units: units * 40_000)


HEADERS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a GIF of 16000x16000": (gif_bomb, "16000x16000"),
    "1,000 streams": (many_streams, "100 streams or more"),
    "10^9 seconds": (lambda folder: timed(folder, 1e9, 2), r"1\.?\d*e\+09 s"),
    "10^6 frames a second": (too_fast, r"1e\+06 frames a second"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", HEADERS)
def test_18_a_header_that_claims_too_much_is_refused_in_little_memory(
    kind: str, tmp_path: Path
) -> None:
    """18. Header bombs: GIF 16000x16000, 1,000 streams, duration 10^9 s, 10^6 fps: refused, memory
    <= 300 MB above base, size in the message."""
    make, told = HEADERS[kind]
    path = make(tmp_path)

    def attempt() -> list[str]:
        said = []
        for reading in (probe, lambda path: read(path, [0, 40])):
            try:
                reading(path)
            except VideoError as error:
                said.append(str(error))
        return said

    found = measured(attempt)
    assert found.result and found.result[0].startswith(str(path)), found
    assert re.search(told, found.result[0]), found
    assert found.grown <= 300
