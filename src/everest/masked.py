"""This file decides the masked autoencoder: the one path of all methods.

B clips; V visible and M masked tokens; D width of the encoder, E of a decoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from everest.clips import Clips
from everest.config import ModelConfig, write_model
from everest.pairs import InformativePairs
from everest.positions import sinusoid
from everest.selection import Grid, Look, Selection, Selector, size_of, take
from everest.targets import Target
from everest.vit import EPS, Block, start_linear


class Encoder(Protocol):
    """What a masked autoencoder is built on."""

    width: int  # of a token
    norm: nn.Module  # the final norm, apart: features of teachers are read before it

    def look(self, clips: Clips) -> Look: ...
    def embed(self, patches: Tensor) -> Tensor: ...
    def encode(self, tokens: Tensor, positions: Tensor, grid: Grid, key: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class DecoderConfig:
    width: int
    depth: int
    heads: int


class Decoder(nn.Module):
    """Predicts its targets at the masked tokens from the features of the visible ones."""

    positions: Tensor

    def __init__(self, config: DecoderConfig, reads: int, targets: dict[Target, float]) -> None:
        super().__init__()
        self.config = config
        self.targets = targets  # with their weights in the loss
        self.embed = nn.Linear(reads, config.width, bias=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, name=f"decoder.{number}")
            for number in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, eps=EPS)
        self.heads = nn.ModuleList(target.head(config.width) for target in targets)
        self.register_buffer("positions", torch.zeros(0, config.width), persistent=False)
        self.apply(start_linear)
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(
        self, features: Tensor, selection: Selection, grid: Grid, key: Tensor
    ) -> list[Tensor]:
        """(B, V, D) -> a target each: (B, M, dim)."""
        if len(self.positions) < size_of(grid):
            self.positions = sinusoid(size_of(grid), self.config.width).to(features.device)
        seen = self.embed(features) + self.positions[selection.visible]
        rows = torch.cat((seen, self.mask_token + self.positions[selection.masked]), dim=1)
        for block in self.blocks[:-1]:
            rows = block(rows, key)
        # The visible rows of the last block are used by nothing: only masked ones ask there.
        rows = self.norm(self.blocks[-1](rows, key, first=selection.visible.shape[1]))
        return [head(rows) for head in self.heads]

    def loss(self, predictions: list[Tensor], wanted: list[Tensor]) -> Tensor:
        """-> (B,): the weighted sum over targets."""
        losses = [
            weight * target.loss(predicted, want)
            for (target, weight), predicted, want in zip(
                self.targets.items(), predictions, wanted, strict=True
            )
        ]
        return torch.stack(losses).sum(dim=0)


class MaskedVideoAutoencoder(nn.Module):
    """Hides tokens and learns to predict them: VideoMAE, EVEREST, MVD and MME by their parts."""

    config: ModelConfig  # set by build(): what config.json says

    def __init__(
        self,
        encoder: Encoder,
        select: Selector,
        decoders: Sequence[Decoder],
        frames: InformativePairs | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoders = nn.ModuleList(decoders)
        self.select = select
        self.frames = frames

    def choose(self, clips: Clips) -> tuple[Clips, Look, Tensor | None]:
        """The clip that is read: as it came, or its informative pairs."""
        look = self.encoder.look(clips)
        if self.frames is None:
            return clips, look, None
        steps = self.frames(look, draws=self.training)
        return clips.at(steps, clips.video.shape[2] // look.grid[0]), look.at(steps), steps

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes an export: model.safetensors and config.json."""
        write_model(self, self.config, folder)

    def forward(self, clips: Clips) -> dict[str, Tensor]:
        """-> loss (B,), visible, masked, steps (with frame selection).

        In evaluation also features (B, D), scores (B, t, h, w) where there is change to score,
        prediction.I.NAME (B, M, dim), and two losses to hold the first against: loss_constant of
        a predictor that says 0, loss_other of the same model reading another clip's visible
        tokens (NaN in a batch of one). With nothing masked no decoder runs and there is no loss.
        """
        clips, look, steps = self.choose(clips)
        selection = self.select(look)
        tokens = self.encoder.embed(take(look.patches.flatten(1, 3), selection.visible))
        features = self.encoder.norm(
            self.encoder.encode(tokens, selection.visible, look.grid, clips.key)
        )
        out = {"visible": selection.visible, "masked": selection.masked}
        if steps is not None:
            out["steps"] = steps
        if not self.training:
            out["features"] = features.float().mean(dim=1)
            if look.grid[0] > 1:
                out["scores"] = look.change()
        if selection.masked.shape[1] == 0:
            return out
        loss = clips.weight.new_zeros(len(clips.weight))
        controls = {"loss_constant": loss.clone(), "loss_other": loss.clone()}
        for number, decoder in enumerate(self.decoders):
            assert isinstance(decoder, Decoder)
            predictions = decoder(features, selection, look.grid, clips.key)
            wanted = [target(clips, look, selection.masked) for target in decoder.targets]
            loss = loss + decoder.loss(predictions, wanted)
            if not self.training:
                for target, predicted in zip(decoder.targets, predictions, strict=True):
                    out[f"prediction.{number}.{target.name}"] = predicted
                zeros = [torch.zeros_like(want) for want in wanted]
                controls["loss_constant"] += decoder.loss(zeros, wanted)
                controls["loss_other"] += self.loss_other(
                    decoder, features, selection, look, wanted
                )
        out["loss"] = loss
        return out if self.training else {**out, **controls}

    def loss_other(
        self,
        decoder: Decoder,
        features: Tensor,
        selection: Selection,
        look: Look,
        wanted: list[Tensor],
    ) -> Tensor:
        """(B,): the loss with the features, and their places, of the clip before in the batch."""
        if len(features) == 1:
            return torch.full_like(look.key, torch.nan, dtype=torch.float32)
        swapped = Selection(selection.visible.roll(1, 0), selection.masked)
        return decoder.loss(decoder(features.roll(1, 0), swapped, look.grid, look.key), wanted)
