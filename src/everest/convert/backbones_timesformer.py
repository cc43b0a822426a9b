"""This file decides which names of TimeSformer's files are which of ours, and how others fit it.

Source: BACKBONES.md 2.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from everest.backbones.timesformer import TimeSformer, TimeSformerConfig
from everest.convert.backbone_tables import Tables
from everest.convert.backbones import HEAD, READER, Inferred, Layout, parted, square
from everest.convert.infer import heads_of
from everest.convert.renaming import Family

TABLES = Tables(READER, "time_embed", "nearest")
TIMESFORMER = Family(
    "timesformer",
    "classifier",
    {
        **{
            name: READER + name
            for name in ("cls_token", "pos_embed", "time_embed", "patch_embed.", "blocks.", "norm.")
        },
        "head.": HEAD,
    },
    ("time_embed", "blocks.0.temporal_attn.qkv.weight", "blocks.0.temporal_fc.weight"),
    mean=(0.45, 0.45, 0.45),
    std=(0.225, 0.225, 0.225),
)
HF_BLOCK = "timesformer.encoder.layer.{i}"
TIMESFORMER_HF = replace(
    TIMESFORMER,
    name="timesformer-hf",  # TimesformerForVideoClassification
    beginnings={
        "timesformer.embeddings.cls_token": f"{READER}cls_token",
        "timesformer.embeddings.position_embeddings": f"{READER}pos_embed",
        "timesformer.embeddings.time_embeddings": f"{READER}time_embed",
        "timesformer.embeddings.patch_embeddings.projection.": f"{READER}patch_embed.proj.",
        **{
            f"{HF_BLOCK}.{theirs}.": f"{READER}blocks.{{i}}.{ours}."
            for theirs, ours in (
                ("layernorm_before", "norm1"),
                ("temporal_layernorm", "temporal_norm1"),
                ("layernorm_after", "norm2"),
                ("attention.attention", "attn"),
                ("temporal_attention.attention", "temporal_attn"),
                ("attention.output.dense", "attn.proj"),
                ("temporal_attention.output.dense", "temporal_attn.proj"),
                ("temporal_dense", "temporal_fc"),
                ("intermediate.dense", "mlp.fc1"),
                ("output.dense", "mlp.fc2"),
            )
        },
        "timesformer.layernorm.": f"{READER}norm.",
        "classifier.": HEAD,
    },
    marks=(
        "timesformer.embeddings.time_embeddings",
        "timesformer.encoder.layer.0.temporal_dense.weight",
    ),
)


def infer(tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> Inferred:
    """The config of our tensors; where it is not told, heads are those of a ViT of its width."""
    sizes = TABLES.sizes(tensors)
    config = TimeSformerConfig(heads=told.get("heads", heads_of(sizes["width"])), **sizes)
    return Inferred(config, () if "heads" in told else ("heads",))


def fitted(
    tensors: Mapping[str, Tensor], config: TimeSformerConfig, wanted: TimeSformerConfig
) -> dict[str, Tensor]:
    """Our tensors with tables for the wanted config, as the authors' loading fits them."""
    return TABLES.fitted(tensors, config, wanted)


def doubled(image: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An image transformer's tensors, attention along time beginning as attention in space."""
    tensors = dict(image)
    for name, value in image.items():
        for part in ("attn.", "norm1."):
            if name.startswith("blocks.") and f".{part}" in name:
                tensors[name.replace(f".{part}", f".temporal_{part}")] = value.clone()
    return tensors


def from_image(image: Mapping[str, Tensor], config: TimeSformerConfig) -> dict[str, Tensor]:
    """An image transformer's tensors (`images.image_vit`) as a reader's of this config.

    Times, the layer after attention along time (zeros, so that at first frames are read as images)
    and the head are not in them: they start anew.
    """
    tensors = {READER + name: value for name, value in doubled(image).items()}
    side = config.patch * square(image["pos_embed"].shape[1] - 1, "pos_embed")
    return TABLES.fitted(tensors, replace(config, size=(side, side)), config)


LAYOUTS = (
    Layout(TIMESFORMER, TimeSformer, infer, parted),
    Layout(TIMESFORMER_HF, TimeSformer, infer, parted),
)
