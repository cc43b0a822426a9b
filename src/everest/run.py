"""This file decides what a finished run can be asked: embed, predict, look at tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from everest import build, data, evaluating, machine
from everest.classify import VideoClassifier
from everest.config import ModelConfig
from everest.console import Console
from everest.convert.report import KeyReport
from everest.convert.weights import model_of
from everest.embeddings import Embeddings
from everest.entries import shown
from everest.folder import RunFolder
from everest.index import Row
from everest.loading import Loader
from everest.masked import MaskedVideoAutoencoder
from everest.selection import Budget
from everest.starting import is_own, read_start
from everest.windows import VIEWS, rows_of, span_seconds


class Guess(NamedTuple):
    """What a classifier says of a clip or window."""

    path: str
    start: float  # seconds
    end: float
    labels: dict[str, list[tuple[str, float]]]  # column -> (label, probability), likeliest first


@dataclass
class Run:
    """A model that was trained, and its folder where it has one."""

    source: str
    model: MaskedVideoAutoencoder | VideoClassifier
    config: ModelConfig
    folder: RunFolder | None = None
    device: str = "auto"
    report: KeyReport | None = None  # of other people's weights: what was matched, assumed, left

    @property
    def kind(self) -> str:
        return self.config.kind

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; none for a bare weights file."""
        return self.folder.metrics() if self.folder else []

    @property
    def bad(self) -> list[dict[str, str]]:
        """Files of the run that could not be read."""
        return self.folder.read_json("data.json")["bad"] if self.folder else []

    def tell(self, console: Console) -> None:
        """Says how other people's weights were read: matched, assumed, left aside."""
        for line in self.report.lines() if self.report is not None else ():
            console.say(line)

    def keep(self, budget: Budget | None) -> None:
        """Sets how many tokens are read from now on (None: the model's own choice)."""
        if budget is None:
            self.model.select = build.selector_of(self.config.select)
            return
        select = build.reading_selector(self.config, budget)
        select.counts(self.grid)
        self.model.select = select

    @property
    def grid(self) -> tuple[int, int, int]:
        height, width = self.config.clip.size
        vit = self.config.vit
        return self.config.clip.frames // vit.tubelet, height // vit.patch, width // vit.patch

    def loader(self, rows: Sequence[Row], workers: int = 0) -> Loader:
        return Loader(rows, data.still_sampling(self.config), workers)

    def placed(self) -> machine.Machine:
        place = machine.choose(self.device)
        place.place(self.model)
        return place

    def embed(
        self,
        videos: str | Sequence[str],
        *,
        window: str | float | None = None,
        hop: str | float | None = None,
        keep: Budget | None = None,
        workers: int = 0,
    ) -> Embeddings:
        """One vector a file, or a window: the mean over the tokens read.

        A file without windows is the mean of up to five clips spread over it. An autoencoder reads
        all tokens its selector keeps (0.6 of them, by change, for EVEREST) and hides none.
        """
        if self.kind == "autoencoder":
            self.keep(keep if keep is not None else build.default_keep(self.config))
        else:
            self.keep(keep)
        rows = rows_of(videos, window, hop)
        views = VIEWS if window is None else 1
        try:
            vectors, bad = self.features(rows, views=views, workers=workers)
        finally:
            self.keep(None)  # what is asked next reads and hides as the model was made to
        known = [number for number, vector in enumerate(vectors) if vector is not None]
        spans = [span_seconds(rows[number]) for number in known]
        return Embeddings(
            np.stack([cast(np.ndarray, vectors[number]) for number in known])
            if known
            else np.zeros((0, self.width), np.float32),
            [rows[number].path for number in known],
            np.array([start for start, _ in spans]),
            np.array([end for _, end in spans]),
            bad,
        )

    @property
    def width(self) -> int:
        """Numbers of an embedding."""
        if isinstance(self.model, VideoClassifier):
            return self.model.reader.features
        return self.model.encoder.width

    @torch.inference_mode()
    def features(
        self, rows: Sequence[Row], *, views: int = 1, workers: int = 0, batch: int = 8
    ) -> tuple[list[np.ndarray | None], list[dict[str, str]]]:
        """A vector a row, None where it could not be read."""
        place = self.placed()
        self.model.eval()
        loader = self.loader(rows, workers)
        sums: list[np.ndarray | None] = [None] * len(rows)
        counts = [0] * len(rows)
        try:
            for clips in loader.evaluation(batch, views=views):
                with place.autocast():
                    out = self.model(place.bring(clips))
                vectors = out["features"].float().cpu().numpy()
                for slot in (clips.weight > 0).nonzero()[:, 0].tolist():
                    number = int(clips.row[slot])
                    before = sums[number]
                    sums[number] = vectors[slot] if before is None else before + vectors[slot]
                    counts[number] += 1
        finally:
            loader.close()
        averaged = [
            None if total is None else (total / count).astype(np.float32)
            for total, count in zip(sums, counts, strict=True)
        ]
        return averaged, loader.bad_files()

    def predict(
        self,
        videos: str | Sequence[str],
        *,
        window: str | float | None = None,
        hop: str | float | None = None,
    ) -> list[tuple[str, float]]:
        """[(label, probability), ...] of one file, likeliest first; windows are averaged."""
        guesses, bad = self.guesses(videos, window=window, hop=hop)
        if not guesses:
            raise ValueError(f"{shown(bad[0]['path'])}: {shown(bad[0]['reason'])}")
        column = next(iter(guesses[0].labels))
        sums: dict[str, float] = {}
        for guess in guesses:
            for label, share in guess.labels[column]:
                sums[label] = sums.get(label, 0.0) + share / len(guesses)
        return sorted(sums.items(), key=lambda pair: -pair[1])

    def guesses(
        self,
        videos: str | Sequence[str],
        *,
        window: str | float | None = None,
        hop: str | float | None = None,
        workers: int = 0,
    ) -> tuple[list[Guess], list[dict[str, str]]]:
        """(a guess a file or window, files that could not be read); raises ValueError where the
        model is no classifier."""
        if not isinstance(self.model, VideoClassifier):
            raise ValueError(
                f"{self.source}: a pre-trained autoencoder names no classes; fine-tune it first: "
                f"everest finetune DATA --init {self.source} --out runs/b"
            )
        rows = rows_of(videos, window, hop)
        loader = self.loader(rows, workers)
        views = VIEWS if window is None else 1
        try:
            found = evaluating.predict_rows(self.model, loader, self.placed(), views=views)
        finally:
            loader.close()
        guesses = []
        for place, number in enumerate(found.rows):
            labels = {}
            for column, names in self.config.classes.items():
                shares = found.probabilities[column][place]
                ranked = np.argsort(-shares, kind="stable")
                labels[column] = [(names[at], float(shares[at])) for at in ranked]
            guesses.append(Guess(rows[number].path, *span_seconds(rows[number]), labels))
        return guesses, loader.bad_files()


def load(
    source: str | Path | Run,
    *,
    device: str = "auto",
    family: str | None = None,
    allow_missing: bool = False,
) -> Run:
    """RUN -> Run: a run folder, an export, other people's weights file or folder, or hf:ID.

    `family` names whose file it is where it cannot tell (`everest convert --family`); what a file
    lacks is started anew where `allow_missing`. Raises WeightsError naming what was found instead.
    """
    if isinstance(source, Run):
        return source
    weights = read_start(str(source), family, allow_missing)
    path = Path(source)
    folder = RunFolder(path) if is_own(path) and (path / "recipe.json").is_file() else None
    return Run(str(source), model_of(weights), weights.config, folder, device, weights.report)
