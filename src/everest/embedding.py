"""This file decides how videos become vectors: row by row, in groups that are done for good.

N windows; F numbers of a vector. The clips of a group fill whole batches, and which rows make a
group depends on the list alone; so an embedding that goes on gives the vectors, to the last bit, of
one that was not stopped.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from everest import build, pooling
from everest.embeddings import About, Embeddings
from everest.frame_folders import RATE
from everest.index import Row
from everest.pooling import Pool
from everest.selection import Budget
from everest.stopping import between_batches
from everest.unfinished import Done, Unfinished, key_of
from everest.windows import VIEWS, rows_of, seconds_of, span_seconds

if TYPE_CHECKING:
    from everest.run import Run

BATCH = 8  # clips
GROUP = 8  # rows: whole batches, however many clips a row has


@dataclass(frozen=True)
class Asked:
    """What vectors are wanted."""

    window: str | float | None = None
    hop: str | float | None = None
    keep: Budget | None = None
    pool: Pool = "mean"
    frame_rate: float = RATE  # frames a second, of folders of frames

    @property
    def views(self) -> int:
        """Clips of a row: a whole file is the mean of several, its tokens are of one."""
        return VIEWS if self.window is None and self.pool != "tokens" else 1


def embed(
    run: "Run",
    videos: str | Sequence[str],
    asked: Asked,
    *,
    workers: int = 0,
    part: Path | None = None,
    progress: Callable[[int, int, int], None] | None = None,
) -> Embeddings:
    """One vector a file or window. `part` keeps what is done until all is; `progress` is told
    (rows done, rows in all, rows that were there before). Raises ValueError where nothing can be
    read as a source, or the model cannot be asked so."""
    keep = asked.keep
    if keep is None and run.kind == "autoencoder":
        keep = build.default_keep(run.config)
    run.keep(keep)
    try:
        rows = rows_of(videos, asked.window, asked.hop, asked.frame_rate)
        about = about_of(run, asked, keep)
        done = embed_rows(run, rows, asked, about, workers, Unfinished(part), progress)
    finally:
        run.keep(None)  # what is asked next reads and hides as the model was made to
    return gathered(run, rows, done, about)


def about_of(run: "Run", asked: Asked, keep: Budget | None) -> About:
    path = Path(run.source)
    return About(
        run=str(path.absolute()) if path.exists() else run.source,
        weights=digest_of(run),
        pool=asked.pool,
        keep=keep,
        window=seconds_of(asked.window, "window"),
        hop=seconds_of(asked.hop, "hop"),
        frame_rate=asked.frame_rate,
        grid=run.grid if asked.pool == "tokens" else None,
    )


def digest_of(run: "Run") -> str:
    """The SHA-256 of a model's tensors."""
    found = hashlib.sha256()
    for name, tensor in sorted(run.model.state_dict().items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def embed_rows(
    run: "Run",
    rows: Sequence[Row],
    asked: Asked,
    about: About,
    workers: int,
    unfinished: Unfinished,
    progress: Callable[[int, int, int], None] | None,
) -> list[Done]:
    """What became of each row."""
    place = run.placed()
    # A model that was moved since has the same vectors but for their last bits.
    told = {**about.to_json(), "run": "", "device": place.device.type, "precision": place.precision}
    groups = [rows[first : first + GROUP] for first in range(0, len(rows), GROUP)]
    keys = [key_of(told, group) for group in groups]
    left = [number for number, key in enumerate(keys) if key not in unfinished.groups]
    before = len(rows) - sum(len(groups[number]) for number in left)
    todo = [row for number in left for row in groups[number]]
    waiting: list[Done] = []
    try:
        for done in read_rows(run, todo, asked, workers):
            waiting.append(done)
            number = left[0]
            if len(waiting) == len(groups[number]):
                unfinished.put(keys[number], waiting)
                waiting = []
                left = left[1:]
                if progress is not None:
                    left_rows = sum(len(groups[number]) for number in left)
                    progress(len(rows) - left_rows, len(rows), before)
    finally:
        unfinished.store()
    return [done for key in keys for done in unfinished.groups[key]]


def read_rows(run: "Run", rows: Sequence[Row], asked: Asked, workers: int) -> Iterator[Done]:
    """A Done each, in order."""
    reader, taken = pooling.pooled(run.model, asked.pool)
    place = run.placed()
    place.place(reader)
    reader.eval()
    loader = run.loader(rows, workers)
    views = asked.views
    # Listed before any is read: whether a clip of a damaged file is tried must not depend on how
    # far ahead the processes read.
    items = list(loader.evaluation_items(views, 1))
    seen = 0
    got: list[tuple[np.ndarray, np.ndarray | None]] = []
    try:
        for read in loader.read(iter(items), BATCH):
            between_batches()
            clips = loader.collate(read)
            with place.autocast():
                vectors, positions = pooling.ask(reader, taken, place.bring(clips))
            for slot, (item, clip) in enumerate(read):
                if clip is not None:
                    got.append((vectors[slot], None if positions is None else positions[slot]))
                seen += 1
                if seen == views:
                    yield done_of(got, loader.bad.get(item.row, ""), asked.pool)
                    seen, got = 0, []
    finally:
        loader.close()


def done_of(got: list[tuple[np.ndarray, np.ndarray | None]], reason: str, pool: Pool) -> Done:
    """The clips of a row that could be read -> what became of it."""
    if not got:
        return Done(None, None, reason or "cannot be read")
    if pool == "tokens":
        return Done(*got[0], reason)
    return Done(pooling.together([vector for vector, _ in got], pool)[None], None, reason)


def gathered(run: "Run", rows: Sequence[Row], done: Sequence[Done], about: About) -> Embeddings:
    known = [
        (row, found, found.vectors)
        for row, found in zip(rows, done, strict=True)
        if found.vectors is not None
    ]
    counts = [len(vectors) for _, _, vectors in known]
    spans = np.array([span_seconds(row) for row, _, _ in known]).reshape(-1, 2)
    bad = {row.path: found.reason for row, found in zip(rows, done, strict=True) if found.reason}
    places = [found.positions for _, found, _ in known if found.positions is not None]
    return Embeddings(
        np.concatenate([vectors for _, _, vectors in known])
        if known
        else np.zeros((0, run.width), np.float32),
        [row.path for (row, _, _), count in zip(known, counts, strict=True) for _ in range(count)],
        np.repeat(spans[:, 0], counts),
        np.repeat(spans[:, 1], counts),
        [
            {"path": path, "reason": why.removeprefix(path).lstrip(": ") or why}
            for path, why in sorted(bad.items())
        ],
        about,
        np.concatenate(places) if places else None,
    )
