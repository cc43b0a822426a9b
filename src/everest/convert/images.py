"""This file decides how an image transformer's file is read, for video models that start from it.

D is the width; p the patch in pixels.
"""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from everest.convert.backbones import parted
from everest.convert.hf_names import IMAGE
from everest.convert.read import WeightsError
from everest.convert.renaming import Family, to_ours

HEAD_OF_IMAGES = "a head of images: a video model starts its own"
PARTS = ("cls_token", "pos_embed", "patch_embed.", "blocks.", "norm.")
PLAIN = Family(
    "image transformer",
    "classifier",
    {name: name for name in PARTS},
    ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight"),
    aside=dict.fromkeys(
        ("head.", "fc_norm.", "pre_logits.", "decoder", "mask_token"), HEAD_OF_IMAGES
    ),
)
HUGGING_FACE = replace(
    IMAGE,
    beginnings={
        theirs: ours.removeprefix("encoder.").replace("position_table", "pos_embed")
        for theirs, ours in IMAGE.beginnings.items()
    },
    aside={
        **IMAGE.aside,
        **dict.fromkeys(
            ("classifier.", "vit.pooler.", "vit.embeddings.mask_token"), HEAD_OF_IMAGES
        ),
    },
)


def image_vit(theirs: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """An image transformer's tensors by plain names, the biases of its attention split as ours are:
    `cls_token`, `pos_embed`, `patch_embed.proj.*`, `blocks.i.*`, `norm.*`; without its head.

    Reads the usual names of a ViT with a class token (`blocks.0.attn.qkv.weight`) and Hugging
    Face's. Raises WeightsError for others, and for one with more than these parts.
    """
    for family in (PLAIN, HUGGING_FACE):
        if set(theirs).issuperset(family.marks):
            tensors, unknown = to_ours(parted(theirs)[0], family)
            break
    else:
        raise WeightsError(
            f"{source}: no image transformer; looked for {', '.join(PLAIN.marks)}, or for Hugging "
            f"Face's {HUGGING_FACE.marks[0]}"
        )
    if unknown:
        raise WeightsError(
            f"{source}: an image transformer with {', '.join(unknown[:5])}, which no video model "
            f"here has; give a plain ViT with a class token"
        )
    return {name: tensor.float() for name, tensor in tensors.items()}


def central(kernel: Tensor, tubelet: int) -> Tensor:
    """(D, C, p, p) -> (D, C, tubelet, p, p): the image's at the central frame, zeros at others."""
    inflated = kernel.new_zeros(*kernel.shape[:2], tubelet, *kernel.shape[2:])
    inflated[:, :, tubelet // 2] = kernel
    return inflated
