"""This file decides what the demo measures beside the runs: one frame alone, and full tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from everest import build, machine, measuring, video
from everest.config import SelectConfig
from everest.index import Index, Row
from everest.measuring import StepCost
from everest.metrics import interval
from everest.run import load

FRAME_SIDE = 32  # pixels that a single frame is shrunk to
STILL_LEVEL = 0.999  # of the interval that chance must lie in
CLIPS = 16  # of a measured step


@dataclass(frozen=True)
class OneFrame:
    """A classifier that sees the middle frame alone."""

    name: str  # of the classifier
    top1: float
    low: float  # exact 99.9 % interval
    high: float
    chance: float  # share of the most frequent class among the test clips

    @property
    def at_chance(self) -> bool:
        return self.low <= self.chance <= self.high


def middle_frames(rows: Sequence[Row]) -> np.ndarray:
    """(clips, numbers): the middle frame of each, grey and small."""
    from PIL import Image

    found = []
    for row in rows:
        frame = video.read(row.path, [row.frames // 2])[0]
        grey = Image.fromarray(frame).convert("L").resize((FRAME_SIDE, FRAME_SIDE))
        found.append(np.asarray(grey, np.float32).ravel() / 255)
    return np.stack(found)


def one_frame(index: Index, train: Sequence[Row], test: Sequence[Row]) -> list[OneFrame]:
    """A linear and a nearest-neighbour classifier on single frames, each with its own interval:
    none is picked by its test figure."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.neighbors import KNeighborsClassifier

    column = next(iter(index.classes))
    wanted = np.array([row.labels[column] for row in test])
    known = np.array([row.labels[column] for row in train])
    seen, asked = middle_frames(train), middle_frames(test)
    chance = float(np.bincount(wanted).max() / len(wanted))
    found = []
    for name, classifier in (
        ("linear", RidgeClassifier(alpha=10.0)),
        ("nearest", KNeighborsClassifier(5)),
    ):
        classifier.fit(seen, known)
        right = int((classifier.predict(asked) == wanted).sum())
        bounds = interval(right, len(test), STILL_LEVEL)
        found.append(OneFrame(name, right / len(test), *bounds, chance))
    return found


@dataclass(frozen=True)
class FullTokens:
    """One training step by the method beside the same step on full tokens."""

    name: str
    ours: StepCost
    full: StepCost

    def told(self, seconds: float) -> str:
        """What a job of `seconds` would have taken and held."""
        from everest.console import duration

        ratio = self.full.seconds / self.ours.seconds
        return (
            f"{self.name} on full tokens: {ratio:.2f} times the time ({duration(seconds * ratio)} "
            f"instead of {duration(seconds)}) and {self.full.kept / 2**20:.0f} MiB of activations "
            f"instead of {self.ours.kept / 2**20:.0f}"
        )


def full_tokens(run: str | Path) -> FullTokens:
    """Measures a step of a finished run's model and of its full-token twin: VideoMAE for a
    pre-training, all tokens read for a classifier. Weights are fresh: they change no cost."""
    config = load(run).config
    place = machine.choose()
    if config.kind == "autoencoder":
        name = "pre-training (VideoMAE)"
        twin = replace(config, select=SelectConfig("tube", 1.0, 0.1), pairs=None)
    else:
        name = "fine-tuning"
        twin = replace(config, select=SelectConfig("all"), pairs=None)
    models = [place.place(build.build(one)).train() for one in (config, twin)]
    clips = [
        measuring.blank_clips(CLIPS, one.vit.channels, build.candidate_frames(one), one.clip.size)
        for one in (config, twin)
    ]
    return FullTokens(name, *measuring.step_costs(models, clips, place))
