"""This file decides which clips an epoch has, in which order, and brings them as batches.

The order and every draw are functions of (seed, epoch, clip, view): the number of reading
processes, the split of a batch and a resume change nothing. A clip that cannot be read keeps its
slot as zeros with weight 0, and is listed.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch

from everest import frames, keys
from everest.augment.mixing import Mixing
from everest.augment.neighbours import apart, repeated
from everest.balancing import balanced
from everest.cache import FrameCache
from everest.clips import Clips
from everest.index import Row
from everest.kinds import Column, values_of
from everest.reading import Clip, ClipReader, Framing, Request
from everest.sampling import Sampling
from everest.stopping import between_batches
from everest.trajectories.riding import lost_clip
from everest.workers import Failure, Workers

DEADLINE = 30.0  # seconds without a new frame
TEN_SECONDS = 10.0


@dataclass(frozen=True)
class Item:
    """One clip to read: a row of the index, which clip of it, and its key."""

    row: int
    key: int
    request: Request | None  # None: known to be bad
    further: tuple[int, ...] = ()  # keys of more clips of the same decode


@dataclass
class Loader:
    """Batches of clips of some rows, for training and for evaluation."""

    rows: Sequence[Row]
    sampling: Sampling
    workers: int = 0  # reading processes; 0 reads in this one
    cache: str | None = None
    clips_per_video: int | Literal["auto"] = 1
    repeats: int = 1  # clips of a decode, in training
    mixing: Mixing | None = None  # of a training batch
    columns: Mapping[str, Column] = field(default_factory=dict)  # of labels; else classes
    balance: str | None = None  # label column whose classes come equally often in training
    bad: dict[int, str] = field(default_factory=dict)  # row -> why
    failed: dict[int, int] = field(default_factory=dict)  # row found bad in training -> its epoch
    waited: float = 0.0  # seconds that training waited for clips

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ValueError(
                f"--workers {self.workers}: give the number of processes that read videos; 0 reads "
                f"them in the main one"
            )
        for number, row in enumerate(self.rows):
            if row.bad or not row.frames:
                self.bad[number] = row.bad or "holds no frame"
        self.reader = Workers(
            ClipReader(FrameCache(self.cache)), count=self.workers, deadline=DEADLINE
        )
        self.views = [
            (number, view)
            for number, row in enumerate(self.rows)
            for view in range(self.clips_of(row))
        ]

    def clips_of(self, row: Row) -> int:
        """Clips that an epoch takes of a row; auto: one a started 10 s."""
        if self.clips_per_video != "auto":
            return self.clips_per_video
        _, count = frames.span_of(max(row.frames, 1), row.fps, row.start, row.end)
        return max(int(-(-count // (TEN_SECONDS * row.fps))), 1) if row.fps else 1

    def __len__(self) -> int:
        return len(self.views)

    def close(self) -> None:
        self.reader.close()

    def bad_files(self) -> list[dict[str, str]]:
        """{path, reason} of each file that could not be read; the reason without the path."""
        found = {self.rows[number].path: why for number, why in self.bad.items()}
        return [
            {"path": path, "reason": why.removeprefix(path).lstrip(": ") or why}
            for path, why in sorted(found.items())
        ]

    def set_aside(self) -> dict[str, list[Any]]:
        """Rows that failed while they were read -> [why, epoch]; a saved state holds them."""
        return {str(number): [self.bad[number], epoch] for number, epoch in self.failed.items()}

    def restore(self, aside: dict[str, list[Any]]) -> None:
        """Sets aside what `set_aside` told before a resume."""
        for number, (why, epoch) in aside.items():
            self.bad[int(number)], self.failed[int(number)] = why, epoch

    def is_known_bad(self, number: int, epoch: int) -> bool:
        """Whether a row is not tried: it was found bad before this epoch. Within the epoch it goes
        on being tried, or how far ahead the processes read would decide what is."""
        return number in self.bad and self.failed.get(number, -1) < epoch

    def training_item(self, number: int, view: int, epoch: int) -> Item:
        row, sampling = self.rows[number], self.sampling
        key = keys.make_key(sampling.seed, epoch, number, view)
        further = tuple(
            keys.make_key(sampling.seed, epoch, number, view, repeat)
            for repeat in range(1, self.repeats)
        )
        if self.is_known_bad(number, epoch):
            return Item(number, key, None, further)
        request = Request(
            row.path,
            tuple(sampling.training_frames(row, key)),
            key,
            sampling.training,
            trajectories=sampling.trajectories,
            further=further,
        )
        return Item(number, key, request, further)

    def evaluation_items(self, views: int, crops: int) -> Iterator[Item]:
        sampling = self.sampling
        for number, row in enumerate(self.rows):
            if number in self.bad:
                for view in range(views * crops):
                    yield Item(number, keys.make_key(sampling.seed, -1, number, view), None)
                continue
            for view, indices in enumerate(sampling.evaluation_frames(row, views)):
                for crop in range(crops):
                    key = keys.make_key(sampling.seed, -1, number, view * crops + crop)
                    request = Request(
                        row.path,
                        tuple(indices),
                        key,
                        sampling.evaluation,
                        crop,
                        crops,
                        sampling.trajectories,
                    )
                    yield Item(number, key, request)

    def epoch(self, epoch: int, batch: int, *, start: int = 0) -> Iterator[Clips]:
        """The batches of an epoch from step `start` on; the last part of a batch is left out.

        A step takes `batch` clips, and with repeats so many times more.
        """
        order = self.order(epoch)
        steps = len(order) // batch
        chosen = order[start * batch : steps * batch]
        items = (self.training_item(*view, epoch) for view in chosen)
        for read in self.read(items, batch, epoch):
            clips = self.collate(self.side_by_side(read))
            yield clips if self.mixing is None else self.mixing(clips)

    def order(self, epoch: int) -> list[tuple[int, int]]:
        """(row, view) of each clip of an epoch."""
        seed = self.sampling.seed
        if self.balance is None:
            order = keys.order(keys.make_key(seed, epoch), "epoch", len(self.views))
            return [self.views[place] for place in order]
        found = []
        for place, turn in balanced(self.labels_of(self.balance), seed, epoch):
            number, view = self.views[place]
            # A clip that comes again is another view: other frames, another crop.
            found.append((number, view + turn * self.clips_of(self.rows[number])))
        return found

    def labels_of(self, column: str) -> list[int]:
        """The class of each clip of an epoch, in the order of the rows."""
        labels = [self.rows[number].labels[column] for number, _ in self.views]
        return [label if isinstance(label, int) else -1 for label in labels]

    def evaluation(self, batch: int, *, views: int = 1, crops: int = 1) -> Iterator[Clips]:
        """Every row's views once, in order; the last batch may be smaller."""
        for read in self.read(self.evaluation_items(views, crops), batch):
            yield self.collate(read)
            between_batches()

    def read(
        self, items: Iterable[Item], batch: int, epoch: int | None = None
    ) -> Iterator[list[tuple[Item, Clip | None]]]:
        """The items in their order with what was read, `batch` at a time."""
        pending: list[Item] = []

        def requests() -> Iterator[Request]:
            for item in items:
                pending.append(item)
                if item.request is not None:
                    yield item.request

        results = self.reader.map(requests())
        ready: list[tuple[Item, Clip | None]] = []
        while True:
            begun = time.perf_counter()
            result = next(results, None)
            self.waited += time.perf_counter() - begun
            while pending:
                item = pending.pop(0)
                if item.request is None:
                    ready.append((item, None))
                    continue
                if result is None:  # all is read; only known bad ones are left
                    pending.insert(0, item)
                    break
                if isinstance(result, Failure):
                    self.bad[item.row] = result.reason
                    if epoch is not None:
                        self.failed.setdefault(item.row, epoch)
                    ready.append((item, None))
                else:
                    ready.append((item, result))
                break
            while len(ready) >= batch:
                yield ready[:batch]
                del ready[:batch]
            if result is None:
                break
        if ready:
            yield ready

    def side_by_side(
        self, read: Sequence[tuple[Item, Clip | None]]
    ) -> list[tuple[Item, Clip | None]]:
        """A batch's clips in the places they have in it, those of one decode each for itself."""
        found: list[tuple[Item, Clip | None]] = []
        for place, repeat in repeated(len(read), self.repeats):
            item, clip = read[place]
            if repeat:
                item = replace(item, key=item.further[repeat - 1])
                clip = None if clip is None else clip.further[repeat - 1]
            found.append((item, clip))
        if self.mixing is None:
            return found
        return [found[place] for place in apart([item.row for item, _ in found])]

    def collate(self, clips: Sequence[tuple[Item, Clip | None]]) -> Clips:
        size = self.sampling.training.size
        video = np.zeros((len(clips), self.sampling.frames, *size, 3), np.uint8)
        for slot, (_, clip) in enumerate(clips):
            if clip is not None:
                video[slot] = clip.pixels
        numbers = [item.row for item, _ in clips]
        columns = sorted({column for row in self.rows[:1] for column in row.labels})
        known = {column: self.columns.get(column, Column()) for column in columns}
        return Clips(
            video=torch.from_numpy(video).permute(0, 4, 1, 2, 3),
            labels={
                name: torch.from_numpy(
                    values_of([self.rows[number].labels[name] for number in numbers], column)
                )
                for name, column in known.items()
            },
            weight=torch.tensor([0.0 if clip is None else 1.0 for _, clip in clips]),
            key=torch.tensor([item.key for item, _ in clips]),
            row=torch.tensor(numbers),
            extra=self.extra_of([clip for _, clip in clips]),
        )

    def extra_of(self, clips: Sequence[Clip | None]) -> dict[str, torch.Tensor]:
        """What the clips carry beside their pixels: (B, t, ...); nothing is known of a clip that
        could not be read."""
        wanted = self.sampling.trajectories
        if wanted is None:
            return {}
        nothing = lost_clip(self.sampling.frames // wanted.tubelet, wanted.points)
        maps = [nothing if clip is None else clip.extra["trajectory"] for clip in clips]
        return {"trajectory": torch.from_numpy(np.stack(maps))}


def evaluation_framing(training: Framing) -> Framing:
    """How evaluation frames a clip that training frames so: the centre, never mirrored and
    unchanged."""
    return replace(training, crop="center", flip=0.0, changes=None)
