"""This file decides what `--init` brings: which tensors a new model starts from."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from everest.build import read_config
from everest.config import ModelConfig
from everest.convert.infer import infer_config
from everest.convert.read import WeightsError, read_tensors, read_weights
from everest.folder import RunFolder


@dataclass(frozen=True)
class Weights:
    """Tensors under our names, and the model they are of where that is known."""

    source: str
    kind: str  # autoencoder or classifier
    tensors: dict[str, Tensor]
    config: ModelConfig
    recipe: str | None = None  # the named recipe of the run they come from


def export_of(path: Path) -> Path:
    """The folder with model.safetensors that a run folder or an export stands for.

    Raises WeightsError where there is none.
    """
    for folder in (path, path / "weights" / "best", path / "weights" / "last"):
        if (folder / "model.safetensors").is_file() and (folder / "config.json").is_file():
            if folder == path / "weights" / "best" and read_config(folder).kind == "autoencoder":
                continue  # a pre-training goes on from its last weights
            return folder
    raise WeightsError(
        f"{path}: a folder without weights; give a run folder (with weights/last), an export, or a "
        f"weights file"
    )


def read_start(source: str) -> Weights:
    """The weights of a run folder, an export or a weights file; raises WeightsError."""
    path = Path(source)
    if path.is_dir():
        export = export_of(path)
        config = read_config(export)
        named = None
        if (path / "recipe.json").is_file():
            named = RunFolder(path).read_json("recipe.json").get("named")
        tensors = read_tensors(export / "model.safetensors")
        return Weights(source, config.kind, tensors, config, named)
    family, tensors = read_weights(path)
    return Weights(source, family.kind, tensors, infer_config(family, tensors))


def start_from(weights: Weights, model: nn.Module, kind: str) -> list[str]:
    """Loads what fits; returns sentences on what was taken and what was not.

    Raises WeightsError when a tensor has another shape, or a part that the model needs is missing.
    """
    tensors = dict(weights.tensors)
    told = []
    if kind == "classifier" and weights.kind == "autoencoder":
        tensors = {
            name.replace("encoder.", "reader.", 1): value
            for name, value in tensors.items()
            if name.startswith("encoder.")
        }
    if kind == "autoencoder" and weights.kind == "classifier":
        raise WeightsError(
            f"--init {weights.source}: a classifier without a decoder; pre-training goes on from a "
            f"pre-training's weights"
        )
    wanted = model.state_dict()
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
        missing = []
    if missing:
        raise WeightsError(
            f"--init {weights.source}: lacks {len(missing)} tensors that this model needs, such as "
            f"{missing[0]}; is it of another depth, or without its decoder?"
        )
    unused = sorted(set(tensors) - set(wanted))
    if [name for name in unused if ".blocks." in name]:
        raise WeightsError(
            f"--init {weights.source}: has {len(unused)} tensors that this model has no place for, "
            f"such as {unused[0]}; give its --model"
        )
    if unused:
        told.append(f"left aside: {', '.join(unused)}")
    used = {name: value for name, value in tensors.items() if name in wanted}
    model.load_state_dict({**wanted, **used})
    told.insert(0, f"starts from {weights.source}: {len(used)} of {len(wanted)} tensors")
    return told


def shape(tensor: Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "a number"
