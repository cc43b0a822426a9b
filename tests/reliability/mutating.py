"""This file decides how videos are damaged: by a seed, in their header, in their body, or cut.

As a program: mutating.py FOLDER COUNT [SEED] writes so many damaged videos (scripts/mutate_videos).
"""

import random
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from filming import numbered, write_film

# name -> codec, format of pixels, frames: an index in front (mp4 as filming writes it) and behind.
BASES: dict[str, tuple[str, str, int]] = {
    "fast.mp4": ("libx264", "yuv420p", 12),
    "mpeg4.mp4": ("mpeg4", "yuv420p", 10),
    "plain.mkv": ("libx264", "yuv420p", 12),
    "vp9.webm": ("libvpx-vp9", "yuv420p", 6),
    "plain.avi": ("mpeg4", "yuv420p", 12),
    "jpeg.avi": ("mjpeg", "yuvj420p", 6),
    "stream.ts": ("mpeg2video", "yuv420p", 10),
    "plain.gif": ("gif", "rgb8", 8),
    "hevc.mkv": ("libx265", "yuv420p", 8),
    "flash.flv": ("flv", "yuv420p", 8),
}
KINDS = ("cut", "header", "body")


@dataclass(frozen=True)
class Mutant:
    path: Path
    base: str
    kind: str


def bases(folder: Path) -> dict[str, bytes]:
    """Whole videos; a codec that this FFmpeg cannot encode is left out, and one of mp4 stands a
    second time with its index behind the frames."""
    import av

    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    noise = np.random.default_rng(0)
    for name, (codec, pixels, frames) in BASES.items():
        pictures = [
            numbered(index, 64, 48) // 2 + noise.integers(0, 99, (48, 64, 3), np.uint8)
            for index in range(frames)
        ]
        options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
        try:
            path = write_film(folder / name, pictures, codec=codec, pix_fmt=pixels, options=options)
        except (av.error.FFmpegError, ValueError):
            continue
        found[name] = path.read_bytes()
    with av.open(str(folder / "fast.mp4")) as source, av.open(str(folder / "slow.mp4"), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    found["slow.mp4"] = (folder / "slow.mp4").read_bytes()
    return found


def mutated(whole: bytes, kind: str, draw: random.Random) -> bytes:
    if kind == "cut":
        return whole[: draw.randrange(0, len(whole))]
    content = bytearray(whole)
    reach = min(1024, len(whole)) if kind == "header" else len(whole)
    for _ in range(draw.choice((1, 2, 8, 64))):
        content[draw.randrange(reach)] = draw.randrange(256)
    return bytes(content)


def mutants(folder: Path, count: int, seed: int = 0) -> list[Mutant]:
    """Writes damaged videos, the same for the same seed."""
    draw, found = random.Random(seed), []
    whole = bases(folder / "bases")
    names = sorted(whole)
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        base, kind = names[number % len(names)], KINDS[draw.randrange(3)]
        path = folder / "videos" / f"{number:05}-{kind}-{base}"
        path.write_bytes(mutated(whole[base], kind, draw))
        found.append(Mutant(path, base, kind))
    return found


if __name__ == "__main__":
    made = mutants(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if sys.argv[3:] else 0)
    print(f"{len(made)} damaged videos in {Path(sys.argv[1]) / 'videos'}")
