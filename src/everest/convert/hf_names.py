"""This file decides which names of a Hugging Face folder are which of ours.

VideoMAE's query and value biases are called `q_bias`, `v_bias` in files (version 4, and what
version 5 saves) and `query.bias`, `value.bias` in version 5's models; METHOD.md 2.7.
"""

from everest.config import SelectConfig
from everest.convert.renaming import Family

TUBE = SelectConfig("tube", visible=0.1)
ALL = SelectConfig("all")
IMAGE_DECODER = "a decoder that reads a class token has no place here"
FIRST_TOKEN = "it reads the first token alone, which no model here does: start a new head"
KEY_BIAS = "a key bias changes nothing in a softmax"
BIASES = {4: ("q_bias", "v_bias"), 5: ("query.bias", "value.bias")}


def blocks(theirs: str, ours: str, biases: tuple[str, str]) -> dict[str, str]:
    """Names of transformer blocks in version 4's manner -> ours."""
    layer, block = theirs + "{i}.", ours + "{i}."
    parts = ("query", "key", "value")
    return {
        f"{layer}layernorm_before.": f"{block}norm1.",
        f"{layer}layernorm_after.": f"{block}norm2.",
        **{
            f"{layer}attention.attention.{part}.weight": f"{block}attn.qkv.weight[{at}/3]"
            for at, part in enumerate(parts)
        },
        f"{layer}attention.attention.{biases[0]}": f"{block}attn.q_bias",
        f"{layer}attention.attention.{biases[1]}": f"{block}attn.v_bias",
        f"{layer}attention.output.dense.": f"{block}attn.proj.",
        f"{layer}intermediate.dense.": f"{block}mlp.fc1.",
        f"{layer}output.dense.": f"{block}mlp.fc2.",
    }


def videomae(part: str, version: int) -> dict[str, str]:
    return {
        "videomae.embeddings.patch_embeddings.projection.": f"{part}.patch_embed.proj.",
        "videomae.layernorm.": f"{part}.norm.",
        **blocks("videomae.encoder.layer.", f"{part}.blocks.", BIASES[version]),
    }


def marks(version: int, *more: str) -> tuple[str, ...]:
    bias = f"videomae.encoder.layer.0.attention.attention.{BIASES[version][0]}"
    return ("videomae.embeddings.patch_embeddings.projection.weight", bias, *more)


def pretrain(version: int) -> Family:
    return Family(
        f"hf-videomae-pretrain-v{version}",
        "autoencoder",
        {
            **videomae("encoder", version),
            "encoder_to_decoder.": "decoders.0.embed.",
            "mask_token": "decoders.0.mask_token",
            **blocks("decoder.decoder_layers.", "decoders.0.blocks.", BIASES[version]),
            "decoder.norm.": "decoders.0.norm.",
            "decoder.head.": "decoders.0.heads.0.",
        },
        marks(version, "encoder_to_decoder.weight", "decoder.head.weight"),
        select=TUBE,
        targets=(("pixels",),),
    )


def finetune(version: int) -> Family:
    return Family(
        f"hf-videomae-finetune-v{version}",
        "classifier",
        {
            **videomae("reader", version),
            "fc_norm.": "fc_norm.",
            "classifier.": "heads.0.linear.",
        },
        marks(version, "fc_norm.weight", "classifier.weight"),
        select=SelectConfig("rero", 1.0),
    )


def encoder(version: int) -> Family:
    return Family(
        f"hf-videomae-encoder-v{version}",
        "autoencoder",
        videomae("encoder", version),
        marks(version),
        aside={"classifier.": FIRST_TOKEN},
        select=ALL,
    )


MODERN = {  # version 5's own names of ViTMAE's blocks; its files keep version 4's
    "layernorm_before.": "norm1.",
    "layernorm_after.": "norm2.",
    **{
        f"attention.{part}_proj.weight": f"attn.qkv.weight[{at}/3]" for at, part in enumerate("qkv")
    },
    "attention.q_proj.bias": "attn.q_bias",
    "attention.v_proj.bias": "attn.v_bias",
    "attention.o_proj.": "attn.proj.",
    "mlp.": "mlp.",
}
IMAGE = Family(
    "hf-vitmae",
    "autoencoder",
    {
        "vit.embeddings.patch_embeddings.projection.": "encoder.patch_embed.proj.",
        "vit.embeddings.cls_token": "encoder.cls_token",
        "vit.embeddings.position_embeddings": "encoder.position_table",
        "vit.layernorm.": "encoder.norm.",
        **blocks("vit.encoder.layer.", "encoder.blocks.", BIASES[5]),
        **{f"vit.layers.{{i}}.{at}": f"encoder.blocks.{{i}}.{ours}" for at, ours in MODERN.items()},
    },
    ("vit.embeddings.patch_embeddings.projection.weight", "vit.embeddings.position_embeddings"),
    aside={
        "decoder.": IMAGE_DECODER,
        "vit.encoder.layer.{i}.attention.attention.key.bias": KEY_BIAS,
        "vit.layers.{i}.attention.k_proj.bias": KEY_BIAS,
    },
    positions="table",
    select=ALL,
)
HF_PRETRAIN, HF_PRETRAIN_V5 = pretrain(4), pretrain(5)
HF_FINETUNE, HF_FINETUNE_V5 = finetune(4), finetune(5)
HF_FAMILIES = (
    HF_PRETRAIN,
    HF_PRETRAIN_V5,
    HF_FINETUNE,
    HF_FINETUNE_V5,
    encoder(4),
    encoder(5),
    IMAGE,
)
