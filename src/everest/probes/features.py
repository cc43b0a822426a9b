"""This file decides which features of a clip the probes read, and reads them once.

B clips of a batch; t, h, w the token grid; V tokens read; D width of a token; N clips that could be
read; F numbers of a pooled vector: D, or t * D.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from everest.build import Model
from everest.classify import VideoClassifier
from everest.machine import Machine
from everest.masked import MaskedVideoAutoencoder
from everest.predicting import EvaluationBatches
from everest.selection import Grid
from everest.vit import VideoTransformer, step_shares

Pool = Literal["mean", "steps"]
LARGEST = 65504.0  # of float16, in which tokens are stored


@dataclass(frozen=True)
class Features:
    """The frozen features of the clips that could be read."""

    rows: np.ndarray  # (N,) their index rows, ascending
    vectors: np.ndarray  # (N, F) float32
    tokens: "Tokens | None"  # of all clips, where they were stored
    missing: int  # rows that could not be read


def trunk(model: Model) -> MaskedVideoAutoencoder:
    """What reads tokens in a model: an autoencoder as it is, a classifier without its head."""
    if isinstance(model, VideoClassifier):
        if not isinstance(model.reader, VideoTransformer) or model.select is None:
            raise ValueError(
                "a supervised model gives one vector a clip and no tokens to probe; give a run of "
                "--model vit-..."
            )
        return MaskedVideoAutoencoder(model.reader, model.select, (), model.frames)
    return model


def step_means(tokens: Tensor, positions: Tensor, grid: Grid) -> Tensor:
    """(B, V, D), (B, V) -> (B, t * D) float32: the mean of each time step, 0 where it kept none."""
    return (step_shares(positions, grid) @ tokens.float()).flatten(1)


@dataclass(frozen=True)
class Tokens:
    """The tokens of all views of each clip, in files; by index row."""

    values: np.ndarray  # (rows, L, D) float16
    steps: np.ndarray  # (rows, L) uint16: the time step of each


@dataclass
class TokenStore:
    """Tokens of many clips on disk: memory holds a batch of them, however many there are."""

    folder: Path
    rows: int
    views: int
    values: np.ndarray | None = None  # (rows, views, V, D)
    steps: np.ndarray | None = None  # (rows, views, V)
    got: dict[int, list[int]] = field(default_factory=dict)  # row -> views read

    def make(self, count: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """The files, or ValueError where the disk has no room for all clips."""
        shape = (self.rows, self.views, count)
        needed = 2 * int(np.prod(shape)) * (width + 1)
        free = shutil.disk_usage(self.folder).free
        if needed > 0.95 * free:
            raise ValueError(
                f"--attentive: the tokens of {self.rows:,} clips take {needed / 1e9:.1f} GB in "
                f"{self.folder} and {free / 1e9:.1f} GB are free; give a smaller --keep, fewer "
                f"--views, or set TMPDIR to a larger disk"
            )
        files = np.lib.format.open_memmap
        return (
            files(self.folder / "tokens.npy", "w+", np.float16, (*shape, width)),
            files(self.folder / "steps.npy", "w+", np.uint16, shape),
        )

    def put(self, row: int, view: int, tokens: np.ndarray, steps: np.ndarray) -> None:
        """(V, D), (V,) of one view."""
        if self.values is None or self.steps is None:
            self.values, self.steps = self.make(*tokens.shape)
        self.values[row, view] = tokens.clip(-LARGEST, LARGEST)
        self.steps[row, view] = steps
        self.got.setdefault(row, []).append(view)

    def whole(self) -> Tokens | None:
        """All that was put; a view that could not be read is another of its clip again."""
        if self.values is None or self.steps is None:
            return None
        for row, views in self.got.items():
            for view in set(range(self.views)) - set(views):
                self.values[row, view] = self.values[row, views[0]]
                self.steps[row, view] = self.steps[row, views[0]]
        return Tokens(
            self.values.reshape(self.rows, -1, self.values.shape[-1]),
            self.steps.reshape(self.rows, -1),
        )


@torch.inference_mode()
def read_features(
    model: nn.Module,
    batches: EvaluationBatches,
    machine: Machine,
    grid: Grid,
    *,
    pool: Pool,
    views: int = 1,
    batch: int = 8,
    store: TokenStore | None = None,
) -> Features:
    """Every row once, its views averaged; the tokens of all views go to the store.

    `model` is a masked autoencoder that hides nothing, or what wraps one: it is only called.
    """
    model.eval()
    sums: dict[int, np.ndarray] = {}
    counts: dict[int, int] = {}
    seen: dict[int, int] = {}  # row -> views that came by, read or not
    for clips in batches.evaluation(batch, views=views):
        with machine.autocast():
            out = model(machine.bring(clips))
        vectors = out["features"]
        if pool == "steps":
            vectors = step_means(out["tokens"], out["visible"], grid)
        found = vectors.float().cpu().numpy()
        for slot, row in enumerate(clips.row.tolist()):
            view = seen.get(row, 0)
            seen[row] = view + 1
            if not clips.weight[slot] > 0:
                continue
            sums[row] = sums[row] + found[slot] if row in sums else found[slot].copy()
            counts[row] = counts.get(row, 0) + 1
            if store is not None:
                steps = out["visible"][slot] // (grid[1] * grid[2])
                store.put(row, view, out["tokens"][slot].float().cpu().numpy(), steps.cpu().numpy())
    rows = np.array(sorted(sums), dtype=np.int64)
    vectors = (
        np.stack([sums[row] / counts[row] for row in sorted(sums)])
        if sums
        else np.zeros((0, 0), np.float32)
    )
    tokens = store.whole() if store is not None else None
    return Features(rows, vectors, tokens, len(seen) - len(rows))
