"""This file decides what a model costs: multiply-adds counted by formula, in the poster's
convention (METHOD.md 3.1: one multiply-add is one FLOP; LayerNorm 5 an element; softmax, GELU,
additions and the selection are not counted)."""

from dataclasses import dataclass

import torch

from everest.backbones.registry import make
from everest.blocks import NORM
from everest.build import selector_of
from everest.config import BackboneSpec, ModelConfig, TargetSpec
from everest.selection import Grid, size_of
from everest.targets.hog import Hog
from everest.targets.mlp import HIDDEN
from everest.targets.trajectory import Trajectories
from everest.vit import VitConfig

GIGA = 1e9


@dataclass(frozen=True)
class Cost:
    """Multiply-adds of one clip's forward pass, in units of 1e9."""

    embed: float  # all tokens
    encoder: float
    decoder: float
    head: float

    @property
    def total(self) -> float:
        """Of the model itself, without its teachers: the poster's figure."""
        return self.embed + self.encoder + self.decoder + self.head


def blocks(tokens: int, width: int, depth: int) -> float:
    """Linear layers, both attention products and two norms a block."""
    products = 12 * tokens * width**2 + 2 * tokens**2 * width
    return depth * (products + 2 * NORM * tokens * width)


def cost_of(config: ModelConfig) -> Cost:
    """The cost of the model's clip: (frames, size, keep, visible) as its config says."""
    if config.backbone is not None:
        return backbone_cost(config, config.backbone)
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
        head = features * outputs(config) + NORM * features
    for spec in config.decoders:
        read = visible + masked
        decoder += visible * vit.width * spec.width + blocks(read, spec.width, spec.depth)
        decoder += NORM * masked * spec.width
        decoder += masked * sum(head_of(target, spec.width, vit) for target in spec.targets)
    if config.kind == "autoencoder":
        encoder += NORM * visible * vit.width
    return Cost(*(part / GIGA for part in (embed, encoder, decoder, head)))


def outputs(config: ModelConfig) -> int:
    """Numbers that a classifier gives a clip: one a class, and one for a column of numbers."""
    return sum(max(len(names), 1) for names in config.classes.values())


def backbone_cost(config: ModelConfig, spec: BackboneSpec) -> Cost:
    """The cost of a supervised model's view: what it says of itself, and its last layer."""
    with torch.device("meta"):
        reader = make(spec)
    parts = reader.cost(config.clip.frames, *config.clip.size)
    embed = parts.pop("embed")
    head = reader.features * outputs(config)
    return Cost(embed / GIGA, sum(parts.values()) / GIGA, 0.0, head / GIGA)


def head_of(target: TargetSpec, width: int, vit: VitConfig) -> float:
    """Multiply-adds of a target's head, a token."""
    if target.name == "hog":
        return HIDDEN * (width + Hog.numbers(vit.patch, vit.channels))
    if target.name == "trajectory":
        return HIDDEN * (width + Trajectories.dim)
    dim = target.dim or vit.channels * vit.tubelet * vit.patch**2
    return width * dim


def reading_cost(vit: VitConfig, grid: Grid) -> float:
    """Multiply-adds, in units of 1e9, of an encoder that reads a whole clip; no final norm."""
    tokens = size_of(grid)
    area = vit.channels * vit.tubelet * vit.patch**2
    read = tokens + vit.class_token
    return (tokens * area * vit.width + blocks(read, vit.width, vit.depth)) / GIGA
