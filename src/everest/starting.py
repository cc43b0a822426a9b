"""This file decides what `--init` brings: which tensors a new model starts from."""

import json
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from everest.backbones.registry import BACKBONES
from everest.build import read_config
from everest.classify import VideoClassifier
from everest.config import BackboneSpec, ModelConfig, pixels_of
from everest.convert.hub import PREFIX, fetch
from everest.convert.read import WeightsError, read_tensors
from everest.convert.stretch import stretched
from everest.convert.supervised import IMAGES, fitted, from_images
from everest.convert.weights import Weights, read_weights
from everest.folder import RunFolder

__all__ = ["Weights", "export_of", "like_start", "read_start", "start_from"]

ASKED = ("frames", "size", "drop_path", "dropout")  # of a supervised model's config, by a recipe
BEST, LAST = "weights/best", "weights/last"
PLACES = ("", BEST, LAST)  # of an export in a run folder


def is_export(folder: Path) -> bool:
    """Whether a folder holds weights and a config of this package."""
    config = folder / "config.json"
    if not (folder / "model.safetensors").is_file() or not config.is_file():
        return False
    try:
        content = json.loads(config.read_text())
    except (OSError, ValueError):
        return True  # what is wrong with it is told when it is read
    return not (isinstance(content, dict) and "model_type" in content)


def export_of(path: Path) -> Path:
    """The folder with model.safetensors that a run folder or an export stands for.

    Raises WeightsError where there is none.
    """
    for place in PLACES:
        folder = path / place
        if is_export(folder):
            if place == BEST and read_config(folder).kind == "autoencoder" and not probed(path):
                continue  # a pre-training goes on from its last weights
            return folder
    raise WeightsError(
        f"{path}: a folder without weights; give a run folder (with weights/last), an export, or a "
        f"weights file"
    )


def probed(path: Path) -> bool:
    """Whether a run's best weights are those that probes chose, not its loss."""
    recipe = path / "recipe.json"
    return recipe.is_file() and RunFolder(path).read_json("recipe.json").get("best_by") == "probe"


def is_own(path: Path) -> bool:
    """Whether a folder is a run or an export of this package."""
    return path.is_dir() and any(is_export(path / place) for place in PLACES)


def read_start(source: str, family: str | None = None, allow_missing: bool = False) -> Weights:
    """The weights of RUN: a run folder, an export, other people's file or folder, hf:ID.

    `family` and `allow_missing` are those of `read_weights`. Raises WeightsError.
    """
    path = fetch(source) if source.startswith(PREFIX) else Path(source)
    if path.name == "model.safetensors" and is_export(path.parent):
        path = path.parent
    if not is_own(path):
        return read_weights(path, family, allow_missing, source=source)
    if family is not None:
        raise WeightsError(
            f"--family {family}: {source} is this package's own and says what it is; leave it out"
        )
    export = export_of(path)
    config = read_config(export)
    named = None
    if (path / "recipe.json").is_file():
        named = RunFolder(path).read_json("recipe.json").get("named")
    tensors = read_tensors(export / "model.safetensors")
    return Weights(source, config, tensors, recipe=named, allow_missing=allow_missing)


def like_start(config: ModelConfig, start: Weights | None, resumed: Path | None) -> ModelConfig:
    """The config with what the weights it starts from settle: channels, mean, standard deviation,
    and of a supervised model all but its clip and what is dropped in training.

    A run that is resumed without them has its own export to tell.
    """
    if start is not None:
        had = start.config
    elif resumed is not None and is_export(resumed / LAST):
        had = read_config(resumed / LAST)
    else:
        return config
    if config.backbone is not None:
        return with_backbone_of(config, config.backbone, had.backbone)
    vit = had.vit
    own = replace(config.vit, channels=vit.channels, mean=vit.mean, std=vit.std)
    return replace(config, vit=own)


def with_backbone_of(
    config: ModelConfig, own: BackboneSpec, had: BackboneSpec | None
) -> ModelConfig:
    if had is None or had.model != own.model:
        return config
    asked = {name: value for name, value in own.fields.items() if name in ASKED}
    spec = BackboneSpec(own.model, {**had.fields, **asked})
    pixels = pixels_of(spec.fields, BACKBONES[spec.model].tubelet)
    return replace(config, vit=pixels, backbone=spec)


def start_from(weights: Weights, model: nn.Module, kind: str) -> list[str]:
    """Loads what fits; returns sentences on what was taken and what was not.

    Raises WeightsError when a tensor has another shape, or a part that the model needs is missing
    and missing ones were not allowed.
    """
    spec = model.config.backbone if isinstance(model, VideoClassifier) else None
    if spec is not None or weights.config.backbone is not None or weights.family == IMAGES:
        return start_backbone(weights, model, spec)
    tensors = of_kind(weights, kind)
    told = [f"  {line}" for line in weights.lines[1:]]
    wanted = model.state_dict()
    told += stretch_table(weights, tensors, model)
    heads = {name for name in wanted if name.startswith(("heads.", "fc_norm."))}
    if kind == "classifier":
        other = {name for name in heads & set(tensors) if tensors[name].shape != wanted[name].shape}
        if other:
            told.append("its head has other classes: a new head is started")
            tensors = {name: value for name, value in tensors.items() if name not in heads}
    for name in sorted(set(tensors) & set(wanted)):
        if tensors[name].shape != wanted[name].shape:
            raise WeightsError(
                f"--init {weights.source}: {name} is {shape(tensors[name])} there and "
                f"{shape(wanted[name])} in this model; give the same --model, --patch, --tubelet"
            )
    missing = sorted(set(wanted) - set(tensors) - heads)
    if missing == ["reader.norm.bias", "reader.norm.weight"]:
        told.append("it has no final norm: one is started (--encoder-norm drop goes without)")
    elif missing and not weights.allow_missing:
        raise WeightsError(
            f"--init {weights.source}: lacks {len(missing)} tensors that this model needs, such as "
            f"{missing[0]}; is it of another depth, or without its decoder? --allow-missing starts "
            f"them anew"
        )
    elif missing:
        told.append(f"started anew: {len(missing)} tensors, such as {missing[0]}")
    unused = sorted(set(tensors) - set(wanted))
    if [name for name in unused if ".blocks." in name] and not weights.allow_missing:
        raise WeightsError(
            f"--init {weights.source}: has {len(unused)} tensors that this model has no place for, "
            f"such as {unused[0]}; give its --model"
        )
    if unused:
        told.append(f"left aside: {', '.join(unused)}")
    return [loaded(weights, model, tensors), *weights.lines[:1], *told]


def loaded(weights: Weights, model: nn.Module, tensors: dict[str, Tensor]) -> str:
    """Puts those tensors in place that the model has; says how many they are."""
    wanted = model.state_dict()
    used = {name: value for name, value in tensors.items() if name in wanted}
    model.load_state_dict({**wanted, **used})
    return f"starts from {weights.source}: {len(used)} of {len(wanted)} tensors"


def start_backbone(weights: Weights, model: nn.Module, spec: BackboneSpec | None) -> list[str]:
    """Loads a supervised model's own weights, or an image transformer's; says what was taken.

    Raises WeightsError where the weights are of another system, or the model is none.
    """
    had = weights.config.backbone
    if spec is None:
        what = had.model if had is not None else weights.family
        raise WeightsError(
            f"--init {weights.source}: {what} weights, which start no ViT with token selection; "
            f"give --model {had.model if had is not None else next(iter(BACKBONES))}"
        )
    told = [f"  {line}" for line in weights.lines[1:]]
    if had is not None and BACKBONES[had.model].kind == BACKBONES[spec.model].kind:
        tensors = fitted(weights.tensors, had, spec)
    elif weights.file is not None:
        tensors = from_images(weights.file, weights.source, spec)
        told.append(f"an image transformer, made a video model by {spec.model}'s rule")
    else:
        raise WeightsError(
            f"--init {weights.source}: a {had.model if had is not None else 'ViT'}, and "
            f"--model is {spec.model}; give weights of that, or of an image transformer"
        )
    wanted = model.state_dict()
    for name in [name for name in tensors if name.startswith("heads.")]:
        if name not in wanted or tensors[name].shape != wanted[name].shape:
            del tensors[name]
            told.append(f"its {name} is of other classes: a new one is started")
    for name in sorted(set(tensors) & set(wanted)):
        if tensors[name].shape != wanted[name].shape:
            raise WeightsError(
                f"--init {weights.source}: {name} is {shape(tensors[name])} there and "
                f"{shape(wanted[name])} in {spec.model} for this clip; give its --frames and --size"
            )
    anew = [name for name in wanted if name not in tensors and not name.startswith("heads.")]
    if anew:
        told.append(f"started anew: {len(anew)} tensors, such as {anew[0]}")
    return [loaded(weights, model, tensors), *weights.lines[:1], *told]


def of_kind(weights: Weights, kind: str) -> dict[str, Tensor]:
    """The tensors by their names in a model of that kind; raises WeightsError."""
    if kind == weights.kind:
        return dict(weights.tensors)
    if kind == "classifier":
        old, new = "encoder.", "reader."
    elif weights.allow_missing:
        old, new = "reader.", "encoder."
    else:
        raise WeightsError(
            f"--init {weights.source}: a classifier without a decoder; pre-training goes on from a "
            f"pre-training's weights (--allow-missing starts a new decoder)"
        )
    return {
        name.replace(old, new, 1): value
        for name, value in weights.tensors.items()
        if name.startswith(old)
    }


def stretch_table(weights: Weights, tensors: dict[str, Tensor], model: nn.Module) -> list[str]:
    """Fits a stored table of positions to the model's clip; says so where the grid is another."""
    grid = weights.config.vit.table
    config = getattr(model, "config", None)
    wanted = config.vit.table if isinstance(config, ModelConfig) else None
    names = [name for name in tensors if name.endswith("position_table")]
    if grid is None or wanted is None or grid == wanted:
        return []
    for name in names:
        tensors[name] = stretched(tensors[name], grid, wanted)
    there, here = ("x".join(map(str, sizes)) for sizes in (grid, wanted))
    return [f"its table of positions is interpolated from {there} to {here} tokens"]


def shape(tensor: Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "a number"
