"""This file decides which names of a released XViT are which of ours, and how others fit it.

D the width; t the frames that mix with each other; h, w the grid of a frame.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from everest.backbones.stretching import stretched_places
from everest.backbones.xvit import XViT, XViTConfig
from everest.convert.backbones import HEAD, READER, Inferred, Layout, parted, square
from everest.convert.infer import depth_of, heads_of
from everest.convert.read import WeightsError
from everest.convert.renaming import Family

PARTS = ("cls_token", "pos_embed", "temp_embed", "patch_embed.", "blocks.", "norm.")
DEAD = "a head that its forward pass never reaches"
XVIT = Family(
    "xvit",
    "classifier",
    {
        **{f"base_model.{name}": READER + name for name in PARTS},
        "consensus.cls_token": f"{READER}consensus.cls_token",
        "consensus.temporal_encoder.0.": f"{READER}consensus.block.",
        "consensus.mlp_head.0.": f"{READER}consensus.norm.",
        "consensus.mlp_head.1.": f"{READER}consensus.fc.",
        "consensus.mlp_head.4.": HEAD,
    },
    (
        "base_model.temp_embed",
        "base_model.pos_embed",
        "base_model.patch_embed.proj.weight",
        "consensus.mlp_head.4.weight",
    ),
    aside={"new_fc.": DEAD, "base_model.head.": DEAD},
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)


def infer(tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> Inferred:
    """The config of our tensors; heads are 64 wide, as in the released models."""
    width, channels, patch, _ = tensors[f"{READER}patch_embed.proj.weight"].shape
    side = patch * square(tensors[f"{READER}pos_embed"].shape[1] - 1, "pos_embed")
    config = XViTConfig(
        width=width,
        depth=depth_of(dict(tensors), f"{READER}blocks."),
        heads=told.get("heads", heads_of(width)),
        frames=tensors[f"{READER}temp_embed"].shape[1],
        size=(side, side),
        patch=patch,
        channels=channels,
    )
    return Inferred(config, () if "heads" in told else ("heads",))


def fitted(
    tensors: Mapping[str, Tensor], config: XViTConfig, wanted: XViTConfig
) -> dict[str, Tensor]:
    """Our tensors with tables for the wanted config: places bicubically; raises WeightsError for
    another number of frames that mix, as times have no rule."""
    if config.frames != wanted.frames:
        raise WeightsError(
            f"positions of {config.frames} frames: XViT has no rule that fits them to "
            f"{wanted.frames}; give a multiple of {config.frames} frames instead"
        )
    name = f"{READER}pos_embed"
    table = stretched_places(tensors[name][0], config.grid[1:], wanted.grid[1:], "bicubic")
    return {**tensors, name: table[None]}


def from_image(image: Mapping[str, Tensor], config: XViTConfig) -> dict[str, Tensor]:
    """An image transformer's tensors (`images.image_vit`) as a reader's of this config.

    Times, the frames' layer and the head are not in them: they start anew.
    """
    tensors = {READER + name: value for name, value in image.items()}
    side = square(image["pos_embed"].shape[1] - 1, "pos_embed")
    table = stretched_places(image["pos_embed"][0], (side, side), config.grid[1:], "bicubic")
    tensors[f"{READER}pos_embed"] = table[None]
    tensors[f"{READER}temp_embed"] = torch.zeros(1, config.frames, 1, config.width)
    return tensors


LAYOUTS = (Layout(XVIT, XViT, infer, parted),)
