"""This file decides which names of a released MViT are which of ours: SlowFast's, pytorchvideo's.

Both keep their tensors under `model_state`; SlowFast's names are ours but for the head's. A grid of
tokens has one size here: MViT has no rule that fits its positions to another.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from everest.backbones.mvit import SIZES, MViT, MViTConfig
from everest.convert.backbones import HEAD, READER, Inferred, Layout, square
from everest.convert.infer import depth_of
from everest.convert.read import WeightsError
from everest.convert.renaming import Family

GREY, SPREAD = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)
TABLES = ("cls_token", "pos_embed_class", "pos_embed_spatial", "pos_embed_temporal")
STRIDES = ("stride", "padding", "reach")
FIRST = "blocks.0.attn.pool_k.weight"

SLOWFAST = Family(
    "mvit-slowfast",
    "classifier",
    {
        **{name: READER + name for name in TABLES},
        "patch_embed.": f"{READER}patch_embed.",
        "blocks.": f"{READER}blocks.",
        "norm.": f"{READER}norm.",
        "head.projection.": HEAD,
    },
    ("patch_embed.proj.weight", "pos_embed_spatial", FIRST),
    mean=GREY,
    std=SPREAD,
)
PYTORCHVIDEO = Family(
    "mvit-pytorchvideo",
    "classifier",
    {
        **{f"cls_positional_encoding.{name}": READER + name for name in TABLES},
        "patch_embed.patch_model.": f"{READER}patch_embed.proj.",
        "blocks.": f"{READER}blocks.",
        **{
            f"blocks.{{i}}.attn.{part}.{kind}": f"{READER}blocks.{{i}}.attn.qkv.{kind}[{at}/3]"
            for at, part in enumerate("qkv")
            for kind in ("weight", "bias")
        },
        "norm_embed.": f"{READER}norm.",
        "head.proj.": HEAD,
    },
    ("patch_embed.patch_model.weight", "cls_positional_encoding.pos_embed_spatial", FIRST),
    aside={"blocks.{i}.attn._attention_pool_": "a second name of a filter or a norm"},
    mean=GREY,
    std=SPREAD,
)


def infer(tensors: Mapping[str, Tensor], given: Mapping[str, Any]) -> Inferred:
    """The config of our tensors. A file holds no strides: unless they are given, those of the
    embedding are told by its kernel's size, those of keys and values (`reach`) are the published
    models'."""
    width, channels, *sides = tensors[f"{READER}patch_embed.proj.weight"].shape
    kernel = (sides[0], sides[1], sides[2])
    known = {config.kernel: config for config in SIZES.values()}
    like = known.get(kernel)
    if like is None and not {"stride", "padding", "reach"} <= set(given):
        raise WeightsError(
            f"an embedding of {kernel}: known are {' and '.join(map(str, known))}, as no file "
            f"tells its stride"
        )
    told = {name: given.get(name, getattr(like, name, None)) for name in STRIDES}
    depth = depth_of(dict(tensors), f"{READER}blocks.")
    blocks = [f"{READER}blocks.{number}.attn." for number in range(depth)]
    head = tensors[f"{blocks[0]}pool_k.weight"].shape[0]
    steps, rows, columns = told["stride"]
    side = square(tensors[f"{READER}pos_embed_spatial"].shape[1], "pos_embed_spatial")
    config = MViTConfig(
        width=width,
        depth=depth,
        heads=width // head,
        stages=tuple(at for at, block in enumerate(blocks) if f"{block}pool_q.weight" in tensors),
        frames=given.get("frames", tensors[f"{READER}pos_embed_temporal"].shape[1] * steps),
        size=given.get("size", (side * rows, side * columns)),
        kernel=kernel,
        channels=channels,
        **told,
    )
    return Inferred(config, () if "reach" in given else ("reach",))


def fitted(
    tensors: Mapping[str, Tensor], config: MViTConfig, wanted: MViTConfig
) -> dict[str, Tensor]:
    """Our tensors as they are; raises WeightsError for clips of another length or size."""
    if (config.frames, config.size) != (wanted.frames, wanted.size):
        raise WeightsError(
            f"positions of {told(config)}: MViT has no rule that fits them to {told(wanted)}; "
            f"take clips as the weights have them, or start anew with --init none"
        )
    return dict(tensors)


def told(config: MViTConfig) -> str:
    return f"{config.frames} frames of {config.size[0]}x{config.size[1]}"


LAYOUTS = tuple(Layout(family, MViT, infer) for family in (SLOWFAST, PYTORCHVIDEO))
