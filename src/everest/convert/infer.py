"""This file decides what model a bare weights file is of, from the shapes of its tensors."""

from torch import Tensor

from everest.config import ClipConfig, DecoderSpec, ModelConfig, SelectConfig, decoder_heads
from everest.convert.tables import Family
from everest.vit import SIZES, VitConfig

FRAMES, SIZE, STRIDE = 16, 224, 4  # of the released models; a file cannot tell


def heads_of(width: int) -> int:
    known = {size[0]: size[2] for size in SIZES.values()}
    return known.get(width, max(width // 64, 1))


def depth_of(tensors: dict[str, Tensor], prefix: str) -> int:
    numbers = {
        int(name.removeprefix(prefix).split(".")[0]) for name in tensors if name.startswith(prefix)
    }
    return max(numbers) + 1


def infer_config(family: Family, tensors: dict[str, Tensor]) -> ModelConfig:
    """The config of a file's tensors, under our names; clip length, size and stride are assumed
    to be the released models' (16 frames x stride 4, 224 pixels)."""
    part = "encoder" if family.kind == "autoencoder" else "reader"
    width, channels, tubelet, patch, _ = tensors[f"{part}.patch_embed.proj.weight"].shape
    vit = VitConfig(
        width,
        depth_of(tensors, f"{part}.blocks."),
        heads_of(width),
        patch=patch,
        tubelet=tubelet,
        channels=channels,
        norm=f"{part}.norm.weight" in tensors,
        steps=FRAMES // tubelet,
    )
    clip = ClipConfig(FRAMES, (SIZE, SIZE), STRIDE)
    if family.kind == "classifier":
        classes = tuple(str(number) for number in range(len(tensors["heads.0.linear.weight"])))
        select = SelectConfig("rero", 1.0)
        return ModelConfig("classifier", vit, clip, select, classes={"label": classes})
    inner = tensors["decoders.0.embed.weight"].shape[0]
    spec = DecoderSpec(inner, depth_of(tensors, "decoders.0.blocks."), decoder_heads(inner))
    return ModelConfig("autoencoder", vit, clip, SelectConfig("rero", 0.3, 0.1), None, (spec,))
