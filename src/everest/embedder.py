"""This file decides how a model is a step of a scikit-learn pipeline.

N videos; D numbers of a vector.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags

from everest.entries import shown
from everest.frame_folders import RATE
from everest.pooling import Pool
from everest.run import Run, load
from everest.selection import Budget


# scikit-learn knows its own by their base: nothing else makes it a step of a pipeline.
class VideoEmbedder(TransformerMixin, BaseEstimator):
    """Turns paths of videos into vectors: `VideoEmbedder("runs/a").fit_transform(paths)`.

    A path is a file or a folder of frames; its vector is that of `Run.embed`, the mean of five
    clips. `run` is a run folder, an export, a weights file or a loaded run: nothing is learnt here,
    `fit` loads it. `bad` says what becomes of a video that cannot be read: "raise" a ValueError, or
    "nan", a row of NaN.
    """

    def __init__(
        self,
        run: str | Path | Run | None = None,
        *,
        keep: Budget | None = None,
        pool: Pool = "mean",
        bad: Literal["raise", "nan"] = "raise",
        frame_rate: float = RATE,
        workers: int = 0,
        device: str = "auto",
    ) -> None:
        self.run = run
        self.keep = keep
        self.pool = pool
        self.bad = bad
        self.frame_rate = frame_rate
        self.workers = workers
        self.device = device

    def fit(self, paths: Sequence[str | Path] | None = None, y: object = None) -> Self:
        """Loads the model; the paths are not looked at. Raises ValueError for what cannot work."""
        if self.run is None:
            raise ValueError('VideoEmbedder() without a model: give one, VideoEmbedder("runs/a")')
        if self.pool not in ("mean", "max"):
            raise ValueError(f"pool {self.pool!r}: one vector a video is their mean or max")
        if self.bad not in ("raise", "nan"):
            raise ValueError(f'bad {self.bad!r}: "raise", or "nan" for a row of NaN')
        self.run_ = load(self.run, device=self.device)
        return self

    def transform(self, paths: Sequence[str | Path]) -> np.ndarray:
        """(N,) paths -> (N, D) float32, in their order."""
        if not self.__sklearn_is_fitted__():
            self.fit()
        asked = [os.path.abspath(os.fspath(path)) for path in np.asarray(paths, object).ravel()]
        known, why = self.read(list(dict.fromkeys(asked)))
        missing = [path for path in dict.fromkeys(asked) if path not in known]
        if missing and self.bad == "raise":
            reason = why.get(missing[0], "is not one video")
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            raise ValueError(
                f'{shown(missing[0])}: {shown(reason)}{more}; leave it out, or use bad="nan"'
            )
        width = len(next(iter(known.values()))) if known else self.run_.width
        nothing = np.full(width, np.nan, np.float32)
        vectors = [known.get(path, nothing) for path in asked]
        return np.stack(vectors) if vectors else np.zeros((0, width), np.float32)

    def read(self, paths: list[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """(vectors, reasons of those that cannot be read), by path."""
        there = [path for path in paths if os.path.exists(path)]
        why = {path: "no such file" for path in set(paths) - set(there)}
        if not there:
            return {}, why
        try:
            found = self.run_.embed(
                there,
                keep=self.keep,
                pool=self.pool,
                workers=self.workers,
                frame_rate=self.frame_rate,
            )
        except ValueError as error:
            if self.bad == "raise":
                raise
            return {}, dict.fromkeys(there, str(error))
        why |= {entry["path"]: entry["reason"] for entry in found.bad}
        return dict(zip(found.paths, found.vectors, strict=True)), why

    def __sklearn_is_fitted__(self) -> bool:
        return "run_" in vars(self)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags
