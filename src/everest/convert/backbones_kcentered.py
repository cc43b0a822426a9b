"""This file decides which names of K-centered models' files are which of ours, and how others fit.

They are those of the backbone that reads the patches. No weights were released, so a file's names
alone never mean such a model: its layout is asked for by name. Source: BACKBONES.md 7.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from everest.backbones.kcentered import SIZES, KCentered, KCenteredConfig, ReaderName
from everest.convert.backbone_tables import Tables
from everest.convert.backbones import HEAD, READER, Inferred, Layout, parted, square
from everest.convert.backbones_timesformer import doubled
from everest.convert.infer import heads_of
from everest.convert.renaming import Family

INNER = f"{READER}backbone."
TABLES: dict[ReaderName, Tables] = {
    "joint": Tables(INNER, "time_embed", "smooth"),
    "motionformer": Tables(INNER, "temp_embed", "smooth"),
    "timesformer": Tables(INNER, "time_embed", "nearest"),
    "xvit": Tables(INNER, "temp_embed", "smooth"),
}
PARTS = ("cls_token", "pos_embed", "patch_embed.", "blocks.", "norm.")
MARKS: dict[ReaderName, tuple[str, ...]] = {
    "joint": ("time_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight"),
    "motionformer": ("temp_embed", "patch_embed.proj.weight", "blocks.0.attn.proj_q.weight"),
    "timesformer": ("time_embed", "patch_embed.proj.weight", "blocks.0.temporal_fc.weight"),
}


def layout(model: str) -> Layout:
    like = SIZES[model]
    tables = TABLES[like.reader]

    def infer(tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> Inferred:
        sizes = tables.sizes(tensors)
        config = replace(like, heads=told.get("heads", heads_of(sizes["width"])), **sizes)
        return Inferred(config, () if "heads" in told else ("heads",))

    family = Family(
        model,
        "classifier",
        {**{name: INNER + name for name in (*PARTS, tables.times)}, "head.": HEAD},
        MARKS[like.reader],
        mean=like.mean,
        std=like.std,
    )
    return Layout(family, KCentered, infer, parted)


def fitted(
    tensors: Mapping[str, Tensor], config: KCenteredConfig, wanted: KCenteredConfig
) -> dict[str, Tensor]:
    """Our tensors with tables for the wanted config, by the rule of the backbone."""
    return TABLES[config.reader].fitted(tensors, config, wanted)


def from_image(image: Mapping[str, Tensor], config: KCenteredConfig) -> dict[str, Tensor]:
    """An image transformer's tensors (`images.image_vit`) as a reader's of this config; what they
    leave out starts anew, as in the backbone alone."""
    image = doubled(image) if config.reader == "timesformer" else image
    tensors = {INNER + name: value for name, value in image.items()}
    side = config.patch * square(image["pos_embed"].shape[1] - 1, "pos_embed")
    return TABLES[config.reader].fitted(tensors, replace(config, size=(side, side)), config)


LAYOUTS = {model: layout(model) for model, like in SIZES.items() if like.reader in MARKS}
