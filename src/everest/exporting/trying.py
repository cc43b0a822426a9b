"""This file decides on which clip an export is tried, and says which."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from everest import draw
from everest.entries import shown
from everest.exporting.module import shape_of
from everest.index import SourceError
from everest.windows import rows_of

if TYPE_CHECKING:
    from everest.run import Run

TRIES = 5  # held-out files that are opened before noise is taken


@dataclass(frozen=True)
class Trial:
    """What an export is tried on: (1, C, T, H, W) uint8, and what it is."""

    video: Tensor
    told: str


def trial_of(run: "Run", clip: str | Path | None) -> Trial:
    """The middle of a given file, else of a clip that the run held out, else noise.

    Raises ValueError for a given file that cannot be read.
    """
    if clip is not None:
        return Trial(read(run, str(clip)), shown(str(clip)))
    for path in held_out(run):
        try:
            return Trial(read(run, path), f"{shown(path)}, which the run held out")
        except ValueError:  # a source that is gone, a file that is damaged: the next one
            continue
    return Trial(noise(run), "noise, for the run names no held-out clip that can be read")


def read(run: "Run", path: str) -> Tensor:
    """The clip in the middle of a file, as evaluation reads it; raises ValueError."""
    rows = rows_of([path], None, None)
    if not rows:
        raise SourceError(f"{shown(path)}: holds no video")
    loader = run.loader(rows[:1])
    try:
        clips = next(loader.evaluation(1))
    finally:
        loader.close()
    if not clips.weight[0] > 0:
        raise SourceError(f"{shown(path)}: {shown(loader.bad_files()[0]['reason'])}")
    return clips.video.contiguous()


def held_out(run: "Run") -> Iterator[str]:
    """The first files that a run neither learnt from nor found bad, where they still are."""
    if run.folder is None or not (run.folder.path / "data.json").is_file():
        return
    paths = dict.fromkeys(entry["path"] for entry in run.folder.read_json("data.json")["held_out"])
    there = (path for path in paths if Path(path).exists())
    for _, path in zip(range(TRIES), there, strict=False):
        yield path


def noise(run: "Run") -> Tensor:
    """(1, C, T, H, W) uint8, each level equally likely."""
    shape = shape_of(run.config)
    key = torch.zeros(1, dtype=torch.int64)
    levels = draw.uniform(key, "export.noise", torch.Size(shape).numel()) * 256
    return levels.to(torch.uint8).view(1, *shape)


def several(video: Tensor) -> Tensor:
    """(1, ...) -> (3, ...): the clip, mirrored, and backwards, to try a batch with."""
    return torch.cat((video, video.flip(4), video.flip(2)))
