"""This file decides which names of Motionformer's files are which of ours, and how others fit it.

Source: BACKBONES.md 5.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from everest.backbones.motionformer import Motionformer, MotionformerConfig
from everest.convert.backbone_tables import Tables
from everest.convert.backbones import HEAD, READER, Inferred, Layout, parted, square
from everest.convert.images import central
from everest.convert.infer import heads_of
from everest.convert.renaming import Family

TABLES = Tables(READER, "temp_embed", "smooth")
EMBEDDING = f"{READER}patch_embed.proj.weight"
MOTIONFORMER = Family(
    "motionformer",
    "classifier",
    {
        **{
            name: READER + name
            for name in ("cls_token", "pos_embed", "temp_embed", "blocks.", "norm.", "pre_logits.")
        },
        "patch_embed_3d.": f"{READER}patch_embed.",
        "head.": HEAD,
    },
    ("temp_embed", "patch_embed_3d.proj.weight", "blocks.0.attn.proj_q.weight"),
    aside={"patch_embed.": "the embedding of single frames, which a model of tubelets never uses"},
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)


def infer(tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> Inferred:
    """The config of our tensors; where it is not told, heads are those of a ViT of its width.

    The released tables of places are of 224 pixels, also those of the model of 336.
    """
    sizes = TABLES.sizes(tensors)
    config = MotionformerConfig(
        heads=told.get("heads", heads_of(sizes["width"])),
        tubelet=tensors[EMBEDDING].shape[2],
        hidden=f"{READER}pre_logits.fc.weight" in tensors,
        **sizes,
    )
    return Inferred(config, () if "heads" in told else ("heads",))


def fitted(
    tensors: Mapping[str, Tensor], config: MotionformerConfig, wanted: MotionformerConfig
) -> dict[str, Tensor]:
    """Our tensors with tables for the wanted config, as the model itself fits them to a clip."""
    return TABLES.fitted(tensors, config, wanted)


def from_image(image: Mapping[str, Tensor], config: MotionformerConfig) -> dict[str, Tensor]:
    """An image transformer's tensors (`images.image_vit`) as a reader's of this config.

    Its embedding stands at the central frame of a tubelet. Times, the layers along a trajectory,
    the hidden layer and the head are not in them: they start anew.
    """
    tensors = {READER + name: value for name, value in image.items()}
    if config.tubelet is not None:
        tensors[EMBEDDING] = central(tensors[EMBEDDING], config.tubelet)
    side = config.patch * square(image["pos_embed"].shape[1] - 1, "pos_embed")
    return TABLES.fitted(tensors, replace(config, size=(side, side)), config)


LAYOUTS = (Layout(MOTIONFORMER, Motionformer, infer, parted),)
