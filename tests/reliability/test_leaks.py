"""Long videos, many opens and sudden ends leave nothing behind (tests 20, 21 and 28 of the
reliability table)."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from bounded import measured, resident
from runs import children_of, living

from everest.video import VideoError, probe, read, scan, stream
from filming import write_film
from tiny import TINY_PRETRAIN, LabelledSet

FLAT = 50.0  # MB


def long_film(path: Path, frames: int, every: int = 1) -> Path:
    """A film of small pictures, `every` 1/25 s apart."""
    with av.open(str(path), "w") as container:
        track = container.add_stream("mpeg4", rate=25)
        assert isinstance(track, av.VideoStream)
        track.width, track.height, track.pix_fmt = 32, 32, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        for index in range(frames):
            picture.pts = index * every
            container.mux(track.encode(picture))
        container.mux(track.encode(None))
    return path


def uses(path: Path, last: int) -> list[Any]:
    """All that is done with a video: looked at, decoded, read at its end, streamed."""
    info = scan(path)
    wide = read(path, np.linspace(0, last, 16).astype(int))
    streamed = sum(1 for _ in stream(path, start=info.seconds - 1.0))
    return [probe(path).frames, info.frames, wide.shape[0], streamed, info.seconds]


@pytest.mark.slow
def test_20_a_long_clip_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    """20. 100,000-frame clip, 10 h header: memory flat (+- 50 MB)."""
    short = long_film(tmp_path / "short.mp4", 1000)
    long = long_film(tmp_path / "long.mp4", 100_000)
    day = long_film(tmp_path / "day.mkv", 1000, every=900)
    base = measured(lambda: uses(short, 999))
    for path, frames, last in ((long, 100_000, 99_999), (day, 1000, 999)):
        found = measured(lambda path=path, last=last: uses(path, last))
        assert found.result[:3] == [frames, frames, 16]
        assert found.grown - base.grown <= FLAT
    assert found.result[4] == pytest.approx(36_000, rel=0.001)


@pytest.mark.slow
def test_21_ten_thousand_opens_leave_nothing_behind(tmp_path: Path) -> None:
    """21. 10,000 opens, half bad: descriptors back to start, memory +- 20 MB after the first
    1,000."""
    good = write_film(tmp_path / "good.mp4", 6)
    whole = good.read_bytes()
    broken = []
    for number in range(50):
        path = tmp_path / f"bad{number}.mp4"
        path.write_bytes(whole[: 20 + number * (len(whole) // 2) // 50])
        broken.append(path)

    def opens() -> tuple[int, int, float, int]:
        descriptors = len(os.listdir("/proc/self/fd"))
        failed, before = 0, 0.0
        for number in range(5000):
            read(good, [0, 3])
            try:
                read(broken[number % 50], [0, 3])
            except VideoError:
                failed += 1
            if number == 500:
                gc.collect()
                before = resident()
        gc.collect()
        return descriptors, len(os.listdir("/proc/self/fd")), resident() - before, failed

    first, last, grown, failed = measured(opens).result
    assert failed >= 4500
    assert first == last
    assert abs(grown) <= 20


@pytest.mark.slow
def test_28_a_killed_run_leaves_no_process_and_no_shared_memory(
    labelled: LabelledSet, tmp_path: Path
) -> None:
    """28. Main process killed -9 with workers running: no process and no /dev/shm file left after
    10 s."""
    out = tmp_path / "run"
    words = ["pretrain", labelled.videos, "--out", out, "--epochs", 400, *TINY_PRETRAIN]
    words += ["--workers", 4, "--clips-per-video", 12]
    shared = Path("/dev/shm")
    before = set(shared.iterdir()) if shared.exists() else set()
    with (tmp_path / "said").open("w") as said:
        run = subprocess.Popen(
            [sys.executable, "-m", "everest", *map(str, words)], stdout=said, stderr=said
        )
    try:
        until = time.monotonic() + 120
        metrics = out / "metrics.jsonl"
        while not metrics.exists() or not metrics.stat().st_size:
            assert run.poll() is None, (tmp_path / "said").read_text()
            assert time.monotonic() < until
            time.sleep(0.05)
        children = children_of(run.pid)
        assert len(children) >= 4
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert living(children, 10.0) == []
    if shared.exists():
        own = [path for path in set(shared.iterdir()) - before if is_of(path, children)]
        assert own == []


def is_of(path: Path, pids: list[int]) -> bool:
    """Whether a file of shared memory may be of these processes: others use that folder too."""
    return any(str(pid) in path.name for pid in pids) or "everest" in path.name
