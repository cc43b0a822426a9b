"""This file decides what a model costs: multiply-adds counted by formula, in the poster's
convention (METHOD.md 3.1: one multiply-add is one FLOP; LayerNorm 5 an element; softmax, GELU,
additions and the selection are not counted)."""

from dataclasses import dataclass

from everest.build import selector_of
from everest.config import ModelConfig

GIGA = 1e9
NORM = 5  # per element


@dataclass(frozen=True)
class Cost:
    """Multiply-adds of one clip's forward pass, in units of 1e9."""

    embed: float  # all tokens
    encoder: float
    decoder: float
    head: float

    @property
    def total(self) -> float:
        return self.embed + self.encoder + self.decoder + self.head


def blocks(tokens: int, width: int, depth: int) -> float:
    """Linear layers, both attention products and two norms a block."""
    products = 12 * tokens * width**2 + 2 * tokens**2 * width
    return depth * (products + 2 * NORM * tokens * width)


def cost_of(config: ModelConfig) -> Cost:
    """The cost of the model's clip: (frames, size, keep, visible) as its config says."""
    vit, (height, width) = config.vit, config.clip.size
    grid = (config.clip.frames // vit.tubelet, height // vit.patch, width // vit.patch)
    total = grid[0] * grid[1] * grid[2]
    visible, masked = selector_of(config.select).counts(grid)
    area = vit.channels * vit.tubelet * vit.patch**2
    embed = total * area * vit.width
    encoder = blocks(visible, vit.width, vit.depth)
    decoder = head = 0.0
    if config.kind == "classifier":
        features = vit.width * (vit.steps if vit.pool == "steps" else 1)
        head = sum(features * len(names) for names in config.classes.values()) + NORM * features
    for spec in config.decoders:
        read = visible + masked
        decoder += visible * vit.width * spec.width + blocks(read, spec.width, spec.depth)
        decoder += NORM * masked * spec.width + masked * spec.width * area
    if config.kind == "autoencoder":
        encoder += NORM * visible * vit.width
    return Cost(*(part / GIGA for part in (embed, encoder, decoder, head)))
