"""This file decides the masked autoencoder: the one path of all methods.

B clips; V visible and M masked tokens; D width of the encoder, E of a decoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from everest.blocks import EPS, Block, start_linear
from everest.cells import RunningCells, seen
from everest.clips import Clips
from everest.config import ModelConfig, write_model
from everest.pairs import InformativePairs
from everest.positions import Computed, Positions
from everest.selection import Grid, Look, Selection, Selector, size_of, take
from everest.targets import Target


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
    bias: bool = False  # of the layer that reads the encoder's features
    positions: Computed = "sinusoid"


class Decoder(nn.Module):
    """Predicts its targets at the masked tokens from the features of the visible ones."""

    def __init__(self, config: DecoderConfig, reads: int, targets: dict[Target, float]) -> None:
        super().__init__()
        self.config = config
        self.targets = targets  # with their weights in the loss
        self.embed = nn.Linear(reads, config.width, bias=config.bias)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, name=f"decoder.{number}")
            for number in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, eps=EPS)
        self.heads = nn.ModuleList(target.head(config.width) for target in targets)
        self.positions = Positions(config.positions, config.width)
        self.apply(start_linear)
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(
        self, features: Tensor, selection: Selection, grid: Grid, key: Tensor
    ) -> list[Tensor]:
        """(B, V, D) -> a target each: (B, M, dim)."""
        seen = self.embed(features) + self.positions(selection.visible, grid)
        hidden = self.mask_token + self.positions(selection.masked, grid)
        rows = torch.cat((seen, hidden), dim=1)
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

    @property
    def targets(self) -> list[Target]:
        """Of all decoders."""
        decoders = [decoder for decoder in self.decoders if isinstance(decoder, Decoder)]
        return [target for decoder in decoders for target in decoder.targets]

    def frozen(self) -> list[nn.Module]:
        """The teachers of its targets: no parameters of this module."""
        return [teacher for target in self.targets for teacher in target.frozen()]

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes an export: model.safetensors and config.json."""
        write_model(self, self.config, folder)

    def forward(self, clips: Clips) -> dict[str, Tensor]:
        """-> loss (B,), visible, masked, steps (with frame selection).

        In evaluation also tokens (B, V, D), after the final norm, features (B, D), which is their
        mean, scores (B, t, h, w) where there is change to score,
        prediction.I.NAME (B, M, dim), and two losses to hold the first against: loss_constant of
        a predictor that sees nothing, loss_other of the same model reading another clip's visible
        tokens (NaN in a batch of one). With nothing masked no decoder runs and there is no loss,
        nor where a target's teacher or maps are not at hand, but for training: ValueError then.
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
            out["tokens"] = features
            out["features"] = features.float().mean(dim=1)
            if look.grid[0] > 1:
                out["scores"] = look.change()
        if selection.masked.shape[1] == 0:
            return out
        loss = clips.weight.new_zeros(len(clips.weight))
        controls = {"loss_constant": loss.clone(), "loss_other": loss.clone()}
        known = self.training or self.can_be_taught(clips)
        for number, decoder in enumerate(self.decoders):
            assert isinstance(decoder, Decoder)
            predictions = decoder(features, selection, look.grid, clips.key)
            if not self.training:
                for target, predicted in zip(decoder.targets, predictions, strict=True):
                    out[f"prediction.{number}.{target.name}"] = predicted
            if not known:
                continue
            wanted = self.wanted(decoder, clips, look, selection)
            loss = loss + decoder.loss(predictions, wanted)
            if not self.training:
                constants = [
                    target.constant(want)
                    for target, want in zip(decoder.targets, wanted, strict=True)
                ]
                controls["loss_constant"] += decoder.loss(constants, wanted)
                controls["loss_other"] += self.loss_other(
                    decoder, features, selection, look, wanted
                )
        if not known:
            return out
        out["loss"] = loss
        return out if self.training else {**out, **controls}

    def can_be_taught(self, clips: Clips) -> bool:
        """Whether all targets can be made of these clips: a teacher or a map may not be there."""
        return all(target.possible(clips) for target in self.targets)

    def wanted(
        self, decoder: Decoder, clips: Clips, look: Look, selection: Selection
    ) -> list[Tensor]:
        """A target each: (B, M, dim), NaN where there is nothing to predict."""
        wanted = [target(clips, look, selection.masked) for target in decoder.targets]
        if isinstance(self.select, RunningCells):  # what is read is nothing to predict
            read = seen(selection, size_of(look.grid))[:, :, None]
            wanted = [want.masked_fill(read, torch.nan) for want in wanted]
        return wanted

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
