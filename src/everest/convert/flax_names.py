"""This file decides how layers of Flax's trees become torch's, and an image ViT's tree plain names.

D the width; H heads of d numbers. Kernels are stored (in, out), convolutions (..., in, out), and
attention's with its heads apart: queries, keys and values (D, H, d), what follows them (H, d, D).
"""

from collections.abc import Mapping

from torch import Tensor

from everest.convert.hf_names import KEY_BIAS
from everest.convert.images import HEAD_OF_IMAGES
from everest.convert.read import WeightsError
from everest.convert.renaming import Family, to_ours

PARTS = ("query", "key", "value")
TURNED = "kernels are stored the other way round there"


def turned(theirs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Their tensors as torch's layers hold them, `kernel` and `scale` being `weight`."""
    out, done = {}, {}
    for name, tensor in theirs.items():
        stem, _, last = name.rpartition("/")
        if last == "kernel":
            done[name] = TURNED
            out[f"{stem}/weight"] = turned_kernel(stem.rpartition("/")[2], tensor)
        elif last == "scale":
            out[f"{stem}/weight"] = tensor
        elif last == "bias":
            out[name] = tensor.flatten()  # (H, d) of queries, keys and values
        else:
            out[name] = tensor
    return out, done


def turned_kernel(layer: str, kernel: Tensor) -> Tensor:
    """(..., in, out) -> (out, in, ...), heads joined."""
    if layer in PARTS:
        return kernel.flatten(1).T.contiguous()
    if layer == "out":
        return kernel.flatten(0, 1).T.contiguous()
    return kernel.permute(-1, -2, *range(kernel.ndim - 2)).contiguous()


def blocks(theirs: str, ours: str, layers: tuple[str, str, str, str]) -> dict[str, str]:
    """Names of a transformer's blocks -> ours; `layers` are what it calls the first norm, the
    attention, the second norm and the MLP."""
    block, own = f"{theirs}encoderblock_{{i}}/", f"{ours}blocks.{{i}}."
    norm1, attention, norm2, mlp = layers
    return {
        f"{block}{norm1}/": f"{own}norm1.",
        f"{block}{norm2}/": f"{own}norm2.",
        **{
            f"{block}{attention}/{part}/weight": f"{own}attn.qkv.weight[{at}/3]"
            for at, part in enumerate(PARTS)
        },
        f"{block}{attention}/query/bias": f"{own}attn.q_bias",
        f"{block}{attention}/value/bias": f"{own}attn.v_bias",
        f"{block}{attention}/out/": f"{own}attn.proj.",
        f"{block}{mlp}/Dense_0/": f"{own}mlp.fc1.",
        f"{block}{mlp}/Dense_1/": f"{own}mlp.fc2.",
    }


LAYERS = ("LayerNorm_0", "MultiHeadDotProductAttention_1", "LayerNorm_2", "MlpBlock_3")
IMAGE = Family(
    "image transformer of Flax",
    "classifier",
    {
        "cls": "cls_token",
        "embedding/": "patch_embed.proj.",
        "Transformer/posembed_input/pos_embedding": "pos_embed",
        "Transformer/encoder_norm/": "norm.",
        **blocks("Transformer/", "", LAYERS),
    },
    ("cls", "embedding/kernel", f"Transformer/encoderblock_0/{LAYERS[1]}/query/kernel"),
    aside={
        f"Transformer/encoderblock_{{i}}/{LAYERS[1]}/key/bias": KEY_BIAS,
        "head/": HEAD_OF_IMAGES,
        "pre_logits/": HEAD_OF_IMAGES,
    },
)


def image_vit(theirs: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """As `images.image_vit`, of the tree that the original ViT's `.npz` files hold (`flax.py`).

    Raises WeightsError for another tree, and for one with more than a plain ViT's parts.
    """
    absent = [mark for mark in IMAGE.marks if mark not in theirs]
    if absent:
        raise WeightsError(f"{source}: no image transformer of Flax, it has no {absent[0]}")
    tensors, unknown = to_ours(turned(theirs)[0], IMAGE)
    if unknown:
        raise WeightsError(
            f"{source}: an image transformer with {', '.join(unknown[:5])}, which no video model "
            f"here has; give a plain ViT with a class token"
        )
    return {name: tensor.float() for name, tensor in tensors.items()}
