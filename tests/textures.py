"""This file decides the small clips and models that tests of the method read.

B clips; C channels; T frames; H, W pixels.
"""

import torch
from torch import Tensor

from everest.clips import Clips
from everest.keys import make_key
from everest.selection import Look
from everest.vit import VideoTransformer, VitConfig

PATCH, TUBELET = 8, 2


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Independent grey levels: uint8 of any shape."""
    return torch.randint(0, 256, shape, generator=generator(seed), dtype=torch.uint8)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def keys_of(count: int, seed: int = 0) -> Tensor:
    """(count,) int64: the keys of so many clips of one epoch."""
    return torch.tensor([make_key(seed, 0, clip, 0) for clip in range(count)])


def clips_of(
    video: Tensor,
    *,
    labels: dict[str, Tensor] | None = None,
    weight: Tensor | None = None,
    seed: int = 0,
) -> Clips:
    count = len(video)
    return Clips(
        video=video,
        labels=labels or {},
        weight=torch.ones(count) if weight is None else weight,
        key=keys_of(count, seed),
        row=torch.arange(count),
        extra={},
    )


def noisy_clips(count: int = 3, frames: int = 8, sides: tuple[int, int] = (16, 24)) -> Clips:
    """Clips of noise, (count, 3, frames, *sides): a grid of frames/2 x sides/8."""
    return clips_of(noise(count, 3, frames, *sides))


def small_config(**changes: object) -> VitConfig:
    settings = {"patch": PATCH, "tubelet": TUBELET, "steps": 4, **changes}
    return VitConfig(24, 2, 3, **settings)  # type: ignore[arg-type]


def small_vit(**changes: object) -> VideoTransformer:
    """A transformer of width 24, depth 2, 3 heads, whose parameters are all away from 0."""
    return with_drawn_weights(VideoTransformer(small_config(**changes)))


def with_drawn_weights(model: VideoTransformer, seed: int = 0) -> VideoTransformer:
    """Biases and norms start at 0 and 1, which would hide what a test looks for."""
    source = generator(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=source))
    return model


def look_at(patches: Tensor, *, width: int = 5, seed: int = 0) -> Look:
    """A look at patches (B, t, h, w, P), embedded by drawn weights (width, P)."""
    weight = torch.randn(width, patches.shape[-1], generator=generator(seed)) / 255
    return Look(patches, keys_of(len(patches), seed), weight)
