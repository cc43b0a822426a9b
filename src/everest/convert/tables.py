"""This file decides which of their parameter names is which of ours; the inverse is computed.

Source: METHOD.md 2.7. A table maps beginnings of names; the longest beginning wins.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Family:
    name: str
    kind: str  # "autoencoder" or "classifier"
    beginnings: Mapping[str, str]  # theirs -> ours
    marks: tuple[str, ...]  # names that only this family has

    def ours(self, name: str) -> str | None:
        """Our name of a parameter of theirs; None where the table knows none."""
        return renamed(name, self.beginnings)

    def theirs(self, name: str) -> str | None:
        return renamed(name, {ours: theirs for theirs, ours in self.beginnings.items()})


def renamed(name: str, beginnings: Mapping[str, str]) -> str | None:
    fitting = [beginning for beginning in beginnings if name.startswith(beginning)]
    if not fitting:
        return None
    longest = max(fitting, key=len)
    return beginnings[longest] + name[len(longest) :]


PRETRAIN = Family(
    "videomae-pretrain",  # EVEREST's files have the same names
    "autoencoder",
    {
        "encoder.": "encoder.",
        "encoder_to_decoder.": "decoders.0.embed.",
        "mask_token": "decoders.0.mask_token",
        "decoder.": "decoders.0.",
        "decoder.head.": "decoders.0.heads.0.",
    },
    ("encoder_to_decoder.weight", "encoder.patch_embed.proj.weight", "decoder.head.weight"),
)
FINETUNE = Family(
    "videomae-finetune",
    "classifier",
    {
        "patch_embed.": "reader.patch_embed.",
        "blocks.": "reader.blocks.",
        "norm.": "reader.norm.",
        "fc_norm.": "fc_norm.",
        "head.": "heads.0.linear.",
    },
    ("patch_embed.proj.weight", "fc_norm.weight", "blocks.0.attn.q_bias"),
)
FAMILIES = (PRETRAIN, FINETUNE)


def recognise(names: Iterable[str]) -> Family | None:
    """The family whose marks all stand among the names."""
    present = set(names)
    for family in FAMILIES:
        if present.issuperset(family.marks):
            return family
    return None


def to_ours(tensors: Mapping[str, Tensor], family: Family) -> tuple[dict[str, Tensor], list[str]]:
    """(tensors under our names, names that the table does not know)."""
    kept, unknown = {}, []
    for name, tensor in tensors.items():
        ours = family.ours(name)
        if ours is None:
            unknown.append(name)
        else:
            kept[ours] = tensor
    return kept, unknown


def to_theirs(tensors: Mapping[str, Tensor], family: Family) -> dict[str, Tensor]:
    """The inverse of `to_ours`; raises ValueError for a parameter their layout has no place for."""
    out = {}
    for name, tensor in tensors.items():
        theirs = family.theirs(name)
        if theirs is None:
            raise ValueError(f"{name} has no place in a {family.name} file")
        out[theirs] = tensor
    return out
