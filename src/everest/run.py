"""This file decides what a finished run can be asked: embed, predict, look at tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch

from everest import build, data, embedding, machine, predicting
from everest.classify import VideoClassifier
from everest.config import ModelConfig
from everest.console import Console
from everest.convert.backbones import BackboneReport
from everest.convert.report import KeyReport
from everest.convert.weights import model_of
from everest.embeddings import Embeddings
from everest.entries import shown
from everest.folder import RunFolder
from everest.frame_folders import RATE
from everest.index import Row
from everest.kinds import columns_of, kind_of
from everest.loading import Loader
from everest.masked import MaskedVideoAutoencoder
from everest.pooling import Pool
from everest.selection import Budget
from everest.starting import is_own, read_start
from everest.windows import VIEWS, rows_of, span_seconds

if TYPE_CHECKING:
    from everest.exporting.writing import Written


class Guess(NamedTuple):
    """What a classifier says of a clip or window."""

    path: str
    start: float  # seconds
    end: float
    labels: dict[str, list[tuple[str, float]]]  # column -> (label, probability), likeliest first
    numbers: dict[str, float]  # column of numbers -> value


def guess_of(
    config: ModelConfig, path: str, span: tuple[float, float], said: dict[str, np.ndarray]
) -> Guess:
    """The guess of one clip or window; `said` by column: (K,) probabilities, or a number."""
    labels, numbers = {}, {}
    for column, names in config.classes.items():
        if kind_of(config.kinds, column) == "number":
            numbers[column] = float(said[column])
            continue
        ranked = np.argsort(-said[column], kind="stable")
        labels[column] = [(names[at], float(said[column][at])) for at in ranked]
    return Guess(path, *span, labels, numbers)


@dataclass
class Run:
    """A model that was trained, and its folder where it has one."""

    source: str
    model: MaskedVideoAutoencoder | VideoClassifier
    config: ModelConfig
    folder: RunFolder | None = None
    device: str = "auto"
    # Of other people's weights: what was matched, assumed, left.
    key_report: KeyReport | BackboneReport | None = None

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

    def report(
        self,
        out: str | Path | None = None,
        *,
        clips: Literal["auto", "anew", "none"] = "auto",
        quiet: bool = False,
    ) -> Path:
        """Writes the run as one HTML file (RUN/report.html) and returns its path.

        `clips` are the pictures and features of held-out clips: made with the model where the run
        has none yet, made anew, or left as they are. Raises ValueError for bare weights.
        """
        from everest.commands.report import report

        if self.folder is None:
            raise ValueError(f"{self.source}: weights without a run folder have no report")
        place = None if out is None else Path(out)
        console = Console(quiet=quiet)
        return report([self.folder.path], place, clips=clips, device=self.device, console=console)

    def export(
        self,
        out: str | Path,
        *,
        dynamic_batch: bool = False,
        int8: bool = False,
        clip: str | Path | None = None,
        data: str | Path | Sequence[str | Path] = (),
        keep: Budget | None = None,
        overwrite: bool = False,
    ) -> "Written":
        """Writes the model as an .onnx or .pt2 file, or "hf:DIR" for transformers, and tries it on
        `clip`, a video; `data` are (labelled) videos that `int8` is measured on. Raises ValueError
        where it cannot be, or where its outputs differ by more than 1e-3.
        """
        from everest.exporting.writing import ExportOptions, export

        options = ExportOptions(dynamic_batch, int8, clip, data, keep, overwrite)
        return export(self, out, options)

    def tell(self, console: Console) -> None:
        """Says how other people's weights were read: matched, assumed, left aside."""
        for line in self.key_report.lines() if self.key_report is not None else ():
            console.say(line)

    def keep(self, budget: Budget | None) -> None:
        """Sets how many tokens are read from now on (None: the model's own choice)."""
        if self.config.backbone is not None:
            if budget not in (None, 1.0):
                raise ValueError(
                    f"keep {budget}: {self.config.backbone.model} cannot read a part of the "
                    f"tokens; leave it out"
                )
            return
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
        columns = columns_of(self.config.classes, self.config.kinds)
        return Loader(rows, data.still_sampling(self.config), workers, columns=columns)

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
        pool: Pool = "mean",
        workers: int = 0,
        frame_rate: float = RATE,
    ) -> Embeddings:
        """One vector a file, or a window: the mean over the tokens read.

        A file without windows is the mean of five clips spread over it. An autoencoder reads all
        tokens its selector keeps (0.6 of them, by change, for EVEREST) and hides none. `pool` max
        takes the largest of each number, tokens gives a vector a token of the clip in the middle.
        """
        asked = embedding.Asked(window, hop, keep, pool, frame_rate)
        return embedding.embed(self, videos, asked, workers=workers)

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
        """[(label, probability), ...] of one file, likeliest first; windows are averaged.

        It is of the first label column that has classes; `guesses` has all columns. Raises
        ValueError where the file cannot be read, or no column has classes.
        """
        guesses, bad = self.guesses(videos, window=window, hop=hop)
        if not guesses:
            raise ValueError(f"{shown(bad[0]['path'])}: {shown(bad[0]['reason'])}")
        column = next(iter(guesses[0].labels), None)
        if column is None:
            raise ValueError(
                f"{self.source}: predicts numbers and no classes; guesses() gives them by column"
            )
        sums: dict[str, float] = {}
        for guess in guesses:
            for label, share in guess.labels[column]:
                sums[label] = sums.get(label, 0.0) + share / len(guesses)
        return sorted(sums.items(), key=lambda pair: -pair[1])

    def classifier(self) -> VideoClassifier:
        """The model; raises ValueError where it names no classes."""
        if not isinstance(self.model, VideoClassifier):
            raise ValueError(
                f"{self.source}: a pre-trained autoencoder names no classes; fine-tune it first: "
                f"everest finetune DATA --init {self.source} --out runs/b"
            )
        return self.model

    def guesses(
        self,
        videos: str | Sequence[str],
        *,
        window: str | float | None = None,
        hop: str | float | None = None,
        workers: int = 0,
        frame_rate: float = RATE,
    ) -> tuple[list[Guess], list[dict[str, str]]]:
        """(a guess a file or window, files that could not be read); raises ValueError where the
        model is no classifier."""
        model = self.classifier()
        rows = rows_of(videos, window, hop, frame_rate)
        loader = self.loader(rows, workers)
        views = VIEWS if window is None else 1
        try:
            found = predicting.predict_rows(model, loader, self.placed(), views=views)
        finally:
            loader.close()
        guesses = [
            guess_of(
                self.config,
                rows[number].path,
                span_seconds(rows[number]),
                {column: said[place] for column, said in found.probabilities.items()},
            )
            for place, number in enumerate(found.rows)
        ]
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
