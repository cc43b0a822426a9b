"""This file decides what `--init` brings: which tensors a new model starts from."""

import json
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from everest.build import read_config
from everest.config import ModelConfig
from everest.convert.hub import PREFIX, fetch
from everest.convert.read import WeightsError, read_tensors
from everest.convert.stretch import stretched
from everest.convert.weights import Weights, read_weights
from everest.folder import RunFolder

__all__ = ["Weights", "export_of", "read_start", "start_from", "with_pixels_of"]

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
            if place == BEST and read_config(folder).kind == "autoencoder":
                continue  # a pre-training goes on from its last weights
            return folder
    raise WeightsError(
        f"{path}: a folder without weights; give a run folder (with weights/last), an export, or a "
        f"weights file"
    )


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


def with_pixels_of(config: ModelConfig, start: Weights | None, resumed: Path | None) -> ModelConfig:
    """The config with the channels, mean and standard deviation of the weights it starts from.

    A run that is resumed without them has its own export to tell.
    """
    if start is not None:
        vit = start.config.vit
    elif resumed is not None and is_export(resumed / LAST):
        vit = read_config(resumed / LAST).vit
    else:
        return config
    own = replace(config.vit, channels=vit.channels, mean=vit.mean, std=vit.std)
    return replace(config, vit=own)


def start_from(weights: Weights, model: nn.Module, kind: str) -> list[str]:
    """Loads what fits; returns sentences on what was taken and what was not.

    Raises WeightsError when a tensor has another shape, or a part that the model needs is missing
    and missing ones were not allowed.
    """
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
    used = {name: value for name, value in tensors.items() if name in wanted}
    model.load_state_dict({**wanted, **used})
    taken = f"starts from {weights.source}: {len(used)} of {len(wanted)} tensors"
    return [taken, *weights.lines[:1], *told]


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
