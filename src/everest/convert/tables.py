"""This file decides which of the released files' names is which of ours; see METHOD.md 2.7."""

from collections.abc import Iterable
from dataclasses import replace

from everest.config import SelectConfig
from everest.convert.hf_names import FIRST_TOKEN, HF_FAMILIES, IMAGE_DECODER, KEY_BIAS
from everest.convert.renaming import Family, renamed, to_ours, to_theirs

__all__ = ["FAMILIES", "NAMED", "Family", "recognise", "renamed", "to_ours", "to_theirs"]

BARE_NORM = "the norm of a head that the file does not have"
PAPER = SelectConfig("rero", 0.3, 0.1)  # a file cannot tell: EVEREST's, whose package this is
ENCODER = {
    "patch_embed.": "encoder.patch_embed.",
    "blocks.": "encoder.blocks.",
    "norm.": "encoder.norm.",
    "pos_embed": "encoder.position_table",
    "cls_token": "encoder.cls_token",
}
READER = {
    "patch_embed.": "reader.patch_embed.",
    "blocks.": "reader.blocks.",
    "pos_embed": "reader.position_table",
    "cls_token": "reader.cls_token",
    "fc_norm.": "fc_norm.",
    "head.": "heads.0.linear.",
}
SEPARATE = {  # ST-MAE keeps queries, keys and values apart
    **{f"attn.{part}.weight": f"attn.qkv.weight[{at}/3]" for at, part in enumerate("qkv")},
    "attn.q.bias": "attn.q_bias",
    "attn.v.bias": "attn.v_bias",
}
PARTED = {  # positions of ST-MAE: their sum is the table
    f"pos_embed_{part}": f"position_table.{part}" for part in ("spatial", "temporal", "class")
}

PRETRAIN = Family(
    "videomae-pretrain",  # EVEREST's and VideoMAE V2's files have the same names
    "autoencoder",
    {
        "encoder.": "encoder.",
        "encoder.pos_embed": "encoder.position_table",
        "encoder_to_decoder.": "decoders.0.embed.",
        "mask_token": "decoders.0.mask_token",
        "decoder.": "decoders.0.",
        "decoder.head.": "decoders.0.heads.0.",
    },
    ("encoder_to_decoder.weight", "encoder.patch_embed.proj.weight", "decoder.head.weight"),
    select=PAPER,
    targets=(("pixels",),),
)
FINETUNE = Family(
    "videomae-finetune",
    "classifier",
    {**READER, "norm.": "reader.norm."},
    ("patch_embed.proj.weight", "fc_norm.weight", "blocks.0.attn.q_bias", "head.weight"),
    settled=False,
    select=SelectConfig("rero", 1.0),
)
PLAIN = Family(
    "videomae-encoder",
    "autoencoder",
    ENCODER,
    ("patch_embed.proj.weight", "blocks.0.attn.q_bias"),
    aside={"head.": FIRST_TOKEN, "fc_norm.": BARE_NORM},
    settled=False,
)
MME = Family(
    "mme-pretrain",
    "autoencoder",
    {
        "encoder.": "encoder.",
        "encoder_to_decoder.0.": "decoders.0.embed.",
        "mask_token": "decoders.0.mask_token",
        "decoder.0.": "decoders.0.",
        "decoder.0.head.": "decoders.0.heads.",
    },
    ("encoder_to_decoder.0.weight", "encoder.patch_embed.proj.weight", "decoder.0.head.0.0.weight"),
    select=SelectConfig("tube", visible=0.3),
    targets=(("hog", "trajectory"),),
)
MVD = Family(
    "mvd-pretrain",
    "autoencoder",
    {
        **{ours: ENCODER[ours] for ours in ("patch_embed.", "blocks.", "norm.", "pos_embed")},
        **{
            f"{theirs}{end}": f"decoders.{number}.{ours}"
            for number, end in enumerate(("_img", "_vid"))
            for theirs, ours in (("mask_token", "mask_token"), ("pos_embed", "position_table"))
        },
        **{
            f"{theirs}{end}.{rest}": f"decoders.{number}.{ours}"
            for number, end in enumerate(("_img", "_vid"))
            for theirs, rest, ours in (
                ("down", "", "embed."),
                ("decoder", "", ""),
                ("decoder", "head.", "heads.0."),
            )
        },
    },
    ("patch_embed.proj.weight", "down_img.weight", "down_vid.weight"),
    positions="sincos3d",
    select=SelectConfig("tube", visible=0.1),
    targets=(("image_features",), ("video_features",)),
)
IMAGE_PRETRAIN = Family(
    "mae-pretrain",
    "autoencoder",
    ENCODER,
    ("patch_embed.proj.weight", "cls_token", "pos_embed", "blocks.0.attn.qkv.bias", "norm.weight"),
    aside={
        "decoder_": IMAGE_DECODER,
        "mask_token": IMAGE_DECODER,
        "head.": FIRST_TOKEN,
        "blocks.{i}.attn.k_bias": KEY_BIAS,
    },
    positions="table",
)
IMAGE_FINETUNE = Family(
    "mae-finetune",
    "classifier",
    READER,
    (
        "patch_embed.proj.weight",
        "cls_token",
        "pos_embed",
        "blocks.0.attn.qkv.bias",
        "fc_norm.weight",
        "head.weight",
    ),
    aside={"blocks.{i}.attn.k_bias": KEY_BIAS},
    positions="table",
)


def separate(part: str) -> dict[str, str]:
    """ST-MAE's names of blocks and positions -> ours, in the encoder or the reader."""
    return {
        **{
            f"blocks.{{i}}.{theirs}": f"{part}.blocks.{{i}}.{ours}"
            for theirs, ours in SEPARATE.items()
        },
        **{theirs: f"{part}.{ours}" for theirs, ours in PARTED.items()},
    }


ST_PRETRAIN = Family(
    "st-mae-pretrain",
    "autoencoder",
    {**ENCODER, **separate("encoder")},
    ("patch_embed.proj.weight", "blocks.0.attn.q.weight", "norm.weight"),
    aside={
        "decoder_": IMAGE_DECODER,
        "mask_token": IMAGE_DECODER,
        "blocks.{i}.attn.k.bias": KEY_BIAS,
    },
    positions="table",
    mean=(0.45, 0.45, 0.45),
    std=(0.225, 0.225, 0.225),
)
ST_FINETUNE = replace(
    ST_PRETRAIN,
    name="st-mae-finetune",
    kind="classifier",
    beginnings={**READER, **separate("reader"), "norm.": "fc_norm."},  # after the mean
    marks=(*ST_PRETRAIN.marks, "head.weight"),
    select=SelectConfig("rero", 1.0),
)
OWN_PRETRAIN = Family(
    "everest-autoencoder",  # model.safetensors of an export, without its config.json
    "autoencoder",
    {"encoder.": "encoder.", "decoders.": "decoders."},
    ("encoder.patch_embed.proj.weight", "decoders.0.embed.weight"),
    settled=False,
    select=PAPER,
    targets=(("pixels",),),
)
OWN_FINETUNE = Family(
    "everest-classifier",
    "classifier",
    {"reader.": "reader.", "fc_norm.": "fc_norm.", "heads.": "heads."},
    ("reader.patch_embed.proj.weight", "heads.0.linear.weight"),
    settled=False,
    select=SelectConfig("rero", 1.0),
)
RLT_NOTE = "RLT's layer norms add 1e-5 to the variance and these 1e-6: outputs differ slightly"
FAMILIES = (
    PRETRAIN,
    MME,
    MVD,
    ST_FINETUNE,
    ST_PRETRAIN,
    IMAGE_FINETUNE,
    IMAGE_PRETRAIN,
    FINETUNE,
    *HF_FAMILIES,
    OWN_PRETRAIN,
    OWN_FINETUNE,
    PLAIN,
)
ALIKE = (  # families whose files have the names of another: only the user can tell
    replace(PRETRAIN, name="everest-pretrain"),
    replace(PRETRAIN, name="videomaev2-pretrain"),
    replace(FINETUNE, name="everest-finetune", settled=True, select=SelectConfig("rero", 0.6)),
    replace(FINETUNE, name="videomaev2-finetune", settled=True),
    replace(FINETUNE, name="mme-finetune", settled=True),
    replace(FINETUNE, name="mvd-finetune", settled=True, positions="sincos3d"),
    replace(FINETUNE, name="rlt-finetune", settled=True, note=RLT_NOTE),
    replace(PLAIN, name="mvd-encoder", settled=True, positions="sincos3d"),
)
# What `--family` may say. A family that is named is meant: its positions are no longer assumed.
NAMED = {family.name: replace(family, settled=True) for family in (*FAMILIES, *ALIKE)}


def recognise(names: Iterable[str]) -> Family | None:
    """The first family whose marks all stand among the names; the more telling ones come first."""
    present = set(names)
    for family in FAMILIES:
        if present.issuperset(family.marks):
            return family
    return None
