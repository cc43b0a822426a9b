"""This file decides what a model's config.json says: all that is needed to build and feed it."""

import dataclasses
import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import nn

from everest.kinds import Kind, Scale
from everest.room import write_text
from everest.selection import Budget
from everest.tensors import write_tensors
from everest.vit import VitConfig

SCHEMA = 1


@dataclass(frozen=True)
class ClipConfig:
    """How a video becomes the model's input outside training."""

    frames: int = 16
    size: tuple[int, int] = (224, 224)  # height, width
    stride: float = 4  # source frames
    fps: float | None = None  # frames a second, instead of a stride
    short_side: int | None = None  # pixels
    fit: Literal["crop", "pad"] = "crop"
    sampling: Literal["dense", "segments"] = "dense"  # segments: frames spread over the video


@dataclass(frozen=True)
class SelectConfig:
    name: str  # rero, random, tube, all
    keep: Budget = 1.0
    visible: Budget | None = None
    decoder_share: float = 1.0  # of all tokens that are decoded, in running cells


@dataclass(frozen=True)
class PairsConfig:
    alpha: float = 1.5
    keep: Budget = 0.3


@dataclass(frozen=True)
class TargetSpec:
    name: str  # of names.TARGETS
    weight: float = 1.0  # in the decoder's loss
    dim: int | None = None  # numbers a token, where a teacher decides them


@dataclass(frozen=True)
class DecoderSpec:
    width: int
    depth: int
    heads: int
    targets: tuple[TargetSpec, ...] = (TargetSpec("pixels"),)
    bias: bool = False  # of the layer between encoder and decoder


@dataclass(frozen=True)
class BackboneSpec:
    """A supervised model, of `backbones/`; beside it ModelConfig.vit says only what pixels are."""

    model: str  # of backbones.registry.BACKBONES
    fields: dict[str, Any]  # of its config


@dataclass(frozen=True)
class ModelConfig:
    kind: Literal["autoencoder", "classifier"]
    vit: VitConfig
    clip: ClipConfig
    select: SelectConfig
    pairs: PairsConfig | None = None
    decoders: tuple[DecoderSpec, ...] = ()
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)  # label column -> names
    kinds: dict[str, Kind] = field(default_factory=dict)  # label column -> kind; else "class"
    scales: dict[str, Scale] = field(default_factory=dict)  # of columns of numbers
    head_norm: Literal["layer", "batch", "none"] = "layer"
    dropout: float = 0.0
    smoothing: float = 0.0
    backbone: BackboneSpec | None = None

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "ModelConfig":
        """The inverse of `to_json`; raises ValueError for a file that another version wrote."""
        if content.get("schema") != SCHEMA:
            raise ValueError(
                f"config.json has schema {content.get('schema')!r}, this version reads {SCHEMA}"
            )
        vit = dict(content["vit"])
        vit["mean"], vit["std"] = tuple(vit["mean"]), tuple(vit["std"])
        if vit.get("table") is not None:
            vit["table"] = tuple(vit["table"])
        clip = dict(content["clip"])
        clip["size"] = tuple(clip["size"])
        return cls(
            kind=content["kind"],
            vit=VitConfig(**vit),
            clip=ClipConfig(**clip),
            select=SelectConfig(**content["select"]),
            pairs=PairsConfig(**content["pairs"]) if content["pairs"] else None,
            decoders=tuple(
                DecoderSpec(
                    **{**spec, "targets": tuple(TargetSpec(**target) for target in spec["targets"])}
                )
                for spec in content["decoders"]
            ),
            classes={name: tuple(names) for name, names in content["classes"].items()},
            kinds=dict(content.get("kinds", {})),  # older files know of classes alone
            scales={name: (mean, std) for name, (mean, std) in content.get("scales", {}).items()},
            backbone=BackboneSpec(**content["backbone"]) if content.get("backbone") else None,
            head_norm=content["head_norm"],
            dropout=content["dropout"],
            smoothing=content["smoothing"],
        )


def write_model(model: nn.Module, config: ModelConfig, folder: str | Path) -> None:
    """Writes model.safetensors and config.json: an export that `from_pretrained` reads."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    numbers, told = folder / "model.safetensors", folder / "config.json"
    try:
        write_text(told, json.dumps(config.to_json(), indent=1) + "\n")
        write_tensors(model.state_dict(), numbers)
    except OSError:
        if not numbers.exists():  # the first export of this folder: no half of one is left
            told.unlink(missing_ok=True)
            with suppress(OSError):
                folder.rmdir()
        raise


def pixels_of(fields: dict[str, Any], tubelet: int) -> VitConfig:
    """What pixels are to a backbone whose config has these fields; the rest of it means nothing."""
    return VitConfig(
        fields["width"],
        fields["depth"],
        fields["heads"],
        patch=fields.get("patch", 16),
        tubelet=tubelet,
        channels=fields["channels"],
        mean=tuple(fields["mean"]),
        std=tuple(fields["std"]),
    )
