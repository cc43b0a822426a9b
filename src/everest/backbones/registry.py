"""This file decides the names of the supervised models, and how a recipe sizes them."""

import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Protocol


class Sized(Protocol):
    """What of a recipe sizes a backbone."""

    @property
    def model(self) -> str: ...
    @property
    def frames(self) -> int: ...
    @property
    def patch(self) -> int: ...
    @property
    def sides(self) -> tuple[int, int]: ...
    @property
    def drop_path(self) -> float: ...
    @property
    def dropout(self) -> float: ...


@dataclass(frozen=True)
class Backbone:
    """Where a named model is: its size stands in SIZES there."""

    told: str
    module: str  # below everest.backbones
    kind: str  # class of the reader; its config is kind + "Config"
    frames: int  # of its published input
    stride: int  # source frames
    tubelet: int = 1  # frames that it embeds together

    def part(self, name: str) -> Any:
        return getattr(importlib.import_module(f"everest.backbones.{self.module}"), name)


DIVIDED = "divided space-time attention"
TRAJECTORY = "attention along trajectories"
CENTERED = "patches farthest apart, read by "
BACKBONES: dict[str, Backbone] = {
    "mvit-s": Backbone("MViT v1, pooling attention", "mvit", "MViT", 16, 4, 2),
    "mvit-b": Backbone("MViT v1, pooling attention", "mvit", "MViT", 16, 4, 2),
    "vivit-fe-b": Backbone("ViViT, factorised encoder", "vivit", "ViViT", 32, 2, 2),
    "vivit-fe-l": Backbone("ViViT, factorised encoder", "vivit", "ViViT", 128, 2, 2),
    "timesformer": Backbone(DIVIDED, "timesformer", "TimeSformer", 8, 32),
    "motionformer": Backbone(TRAJECTORY, "motionformer", "Motionformer", 16, 4, 2),
    "xvit": Backbone("space-time mixing attention", "xvit", "XViT", 8, 8),
    "kcentered-vit": Backbone(CENTERED + "a joint ViT", "kcentered", "KCentered", 32, 8),
    "kcentered-motionformer": Backbone(CENTERED + "Motionformer", "kcentered", "KCentered", 32, 8),
    "kcentered-timesformer": Backbone(CENTERED + "TimeSformer", "kcentered", "KCentered", 32, 8),
    "kcentered-xvit": Backbone(CENTERED + "XViT", "kcentered", "KCentered", 32, 8),
}


def config_fields(recipe: Sized) -> dict[str, Any]:
    """The config of the recipe's backbone, for config.json: its named size, with the recipe's clip.

    Raises ValueError for a clip that does not fit it.
    """
    entry = BACKBONES[recipe.model]
    named = entry.part("SIZES")[recipe.model]
    known = {item.name for item in fields(named)}
    asked = {
        "frames": recipe.frames,
        "size": recipe.sides,
        "patch": recipe.patch,
        "drop_path": recipe.drop_path,
        "dropout": recipe.dropout,
    }
    config = replace(named, **{name: value for name, value in asked.items() if name in known})
    _ = config.grid  # refuses what leaves a remainder
    return asdict(config)


class Spec(Protocol):
    """A config as config.json has it."""

    @property
    def model(self) -> str: ...
    @property
    def fields(self) -> Mapping[str, Any]: ...


def config_from(spec: Spec) -> Any:
    """The config that `config_fields` wrote, JSON's lists being tuples again."""
    entry = BACKBONES[spec.model]
    kind = entry.part(entry.kind + "Config")
    return kind(**{name: tupled(value) for name, value in spec.fields.items()})


def make(spec: Spec) -> Any:
    """The Reader of a config, with first weights."""
    entry = BACKBONES[spec.model]
    return entry.part(entry.kind)(config_from(spec))


def tupled(value: Any) -> Any:
    return tuple(map(tupled, value)) if isinstance(value, (list, tuple)) else value
