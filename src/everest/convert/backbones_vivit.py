"""This file decides which names of a released ViViT are which of ours, and how others fit it.

Its files are trees of another framework (`flax.py`, `flax_names.py`), their names joined with "/".
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from everest.backbones.vivit import ViViT, ViViTConfig, zoomed
from everest.convert.backbones import HEAD, READER, Inferred, Layout, square
from everest.convert.flax_names import blocks, turned
from everest.convert.hf_names import KEY_BIAS
from everest.convert.images import central
from everest.convert.infer import depth_of, heads_of
from everest.convert.renaming import Family

LAYERS = ("LayerNorm_0", "MultiHeadDotProductAttention_0", "LayerNorm_1", "MlpBlock_0")


def encoder(theirs: str, ours: str) -> dict[str, str]:
    """Names of one of the two transformers -> ours."""
    return {
        f"cls_{theirs}Transformer": f"{READER}{ours}.cls_token",
        f"{theirs}Transformer/posembed_input/pos_embedding": f"{READER}{ours}.pos_embed",
        f"{theirs}Transformer/encoder_norm/": f"{READER}{ours}.norm.",
        **blocks(f"{theirs}Transformer/", f"{READER}{ours}.", LAYERS),
    }


VIVIT = Family(
    "vivit-fe",
    "classifier",
    {
        "embedding/": f"{READER}patch_embed.proj.",
        **encoder("Spatial", "spatial"),
        **encoder("Temporal", "temporal"),
        "output_projection/": HEAD,
    },
    ("embedding/kernel", "cls_SpatialTransformer", "cls_TemporalTransformer"),
    aside={
        f"{part}Transformer/encoderblock_{{i}}/{LAYERS[1]}/key/bias": KEY_BIAS
        for part in ("Spatial", "Temporal")
    },
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)


def told_by(theirs: Mapping[str, Tensor]) -> dict[str, int]:
    """What their tensors tell of the config and ours no longer do: how many heads there are."""
    kernel = theirs.get(f"SpatialTransformer/encoderblock_0/{LAYERS[1]}/query/kernel")
    return {"heads": kernel.shape[1]} if kernel is not None and kernel.ndim == 3 else {}


def infer(tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> Inferred:
    """The config of our tensors; heads not told (`told_by`) are those of a ViT of its width."""
    width, channels, tubelet, patch, _ = tensors[f"{READER}patch_embed.proj.weight"].shape
    side = square(tensors[f"{READER}spatial.pos_embed"].shape[1] - 1, "SpatialTransformer")
    config = ViViTConfig(
        width=width,
        depth=depth_of(dict(tensors), f"{READER}spatial.blocks."),
        temporal_depth=depth_of(dict(tensors), f"{READER}temporal.blocks."),
        heads=told.get("heads", heads_of(width)),
        frames=(tensors[f"{READER}temporal.pos_embed"].shape[1] - 1) * tubelet,
        size=(side * patch, side * patch),
        patch=patch,
        tubelet=tubelet,
        channels=channels,
    )
    return Inferred(config, () if "heads" in told else ("heads",))


def fitted(
    tensors: Mapping[str, Tensor], config: ViViTConfig, wanted: ViViTConfig
) -> dict[str, Tensor]:
    """Our tensors with tables for the wanted config, linear between first and last."""
    steps, *places = config.grid
    wanted_steps, *wanted_places = wanted.grid
    out = dict(tensors)
    for part, grid, asked in (
        ("spatial", places, wanted_places),
        ("temporal", (steps, 1), (wanted_steps, 1)),
    ):
        name = f"{READER}{part}.pos_embed"
        table = zoomed(tensors[name][0], (grid[0], grid[1]), (asked[0], asked[1]))
        out[name] = table[None]
    return out


def from_image(image: Mapping[str, Tensor], config: ViViTConfig) -> dict[str, Tensor]:
    """An image transformer's tensors (`images.image_vit`) as a reader's of this config.

    Its embedding stands at the central frame of a tubelet. The transformer over the steps and the
    head are not in them: they start anew.
    """
    tensors = {f"{READER}spatial.{name}": value for name, value in image.items()}
    for name in ("weight", "bias"):
        embedding = tensors.pop(f"{READER}spatial.patch_embed.proj.{name}")
        tensors[f"{READER}patch_embed.proj.{name}"] = embedding
    kernel = f"{READER}patch_embed.proj.weight"
    tensors[kernel] = central(tensors[kernel], config.tubelet)
    side = square(image["pos_embed"].shape[1] - 1, "pos_embed")
    _, h, w = config.grid
    tensors[f"{READER}spatial.pos_embed"] = zoomed(image["pos_embed"][0], (side, side), (h, w))[
        None
    ]
    return tensors


LAYOUTS = (Layout(VIVIT, ViViT, infer, turned),)
