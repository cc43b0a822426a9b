"""This file decides what stands in an exported file: a model as a function of a video alone.

B clips; C channels; T candidate frames of H, W pixels; t, h, w the token grid; V tokens read; s
time steps chosen; F features; K classes.
"""

import copy

import torch
from torch import Tensor, nn

from everest import build
from everest.build import Model
from everest.classify import VideoClassifier
from everest.clips import Clips
from everest.config import ModelConfig
from everest.selection import Look, RandomTokens, Selection, Tube

# A key would be a second input of the file, and another key another answer.
DRAWING = (RandomTokens, Tube)


def clips_of(video: Tensor) -> Clips:
    """(B, C, T, H, W) uint8 -> a batch; its key is 0, since nothing in an export is drawn."""
    B = video.shape[0]
    key = video.new_zeros(B, dtype=torch.int64)
    weight = video.new_ones(B, dtype=torch.float32)
    return Clips(video, {}, weight, key, key, {})


def shape_of(config: ModelConfig) -> tuple[int, int, int, int]:
    """(C, T, H, W) of the video that an export takes; T are the candidates of frame selection."""
    return config.vit.channels, build.candidate_frames(config), *config.clip.size


class Exported(nn.Module):
    """A model in evaluation, without what only learning needs: video -> its outputs, by `names`."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).cpu().float().eval().requires_grad_(False)
        self.names: tuple[str, ...]
        if isinstance(self.model, VideoClassifier):
            self.names = (*(f"logits.{column}" for column in self.model.columns), "features")
            chooses = self.model.select is not None
        else:
            self.model.decoders = nn.ModuleList()
            self.names = ("features",)
            chooses = True
        self.names += ("visible",) * chooses + ("steps",) * (self.model.frames is not None)

    def forward(self, video: Tensor) -> tuple[Tensor, ...]:
        """(B, C, T, H, W) uint8 -> logits.COLUMN (B, K), of numbers (B,); features (B, F); visible
        (B, V) and steps (B, s) int64, where tokens and frames are chosen."""
        out = self.model(clips_of(video))
        return tuple(out[name] for name in self.names)

    def look(self, video: Tensor) -> Look:
        """The candidates as frame selection sees them."""
        reads = self.model.reader if isinstance(self.model, VideoClassifier) else self.model.encoder
        look = reads.look(clips_of(video))
        assert isinstance(look, Look)
        return look

    @torch.inference_mode()
    def answer(
        self, video: Tensor, *, visible: Tensor | None = None, steps: Tensor | None = None
    ) -> dict[str, Tensor]:
        """All that the model gives, as it runs here; with tokens or time steps that are given, it
        reads these instead of its own."""
        select, frames = self.model.select, self.model.frames
        try:
            if visible is not None:
                self.model.select = Given(visible)
            if steps is not None:
                self.model.frames = GivenSteps(steps)  # type: ignore[assignment]
            out: dict[str, Tensor] = self.model(clips_of(video))
            return out
        finally:
            self.model.select, self.model.frames = select, frames


class Given:
    """Reads the tokens that it was given."""

    def __init__(self, visible: Tensor) -> None:
        self.visible = visible  # (B, V)

    def counts(self, grid: object) -> tuple[int, int]:
        return self.visible.shape[1], 0

    def __call__(self, look: object) -> Selection:
        return Selection(self.visible, self.visible[:, :0])


class GivenSteps:
    """Takes the time steps that it was given."""

    def __init__(self, steps: Tensor) -> None:
        self.steps = steps  # (B, s)

    def __call__(self, look: object, draws: bool) -> Tensor:
        return self.steps


def refuse_model(model: Model, source: str) -> None:
    """Raises ValueError for a model that is no fixed function of its video."""
    reader = model.reader if isinstance(model, VideoClassifier) else None
    if not getattr(reader, "exports", True):
        assert model.config.backbone is not None
        raise ValueError(
            f"{source}: {model.config.backbone.model} is not exported: it samples patches in a "
            f"loop of hundreds of choices, each waiting for the one before, from a start that is "
            f"drawn; export another model"
        )
    if isinstance(model.select, DRAWING):
        raise ValueError(
            f"{source}: draws which tokens it reads, and an export has to give one answer; read "
            f"all of them: --keep 1.0"
        )
