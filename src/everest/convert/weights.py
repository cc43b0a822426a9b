"""This file decides how a weights file becomes tensors under our names and a model's config."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from everest.build import Model, build
from everest.config import ModelConfig
from everest.convert.accounting import joined, names_of, refuse_names, refuse_shapes
from everest.convert.backbones import BackboneReport, read_backbone
from everest.convert.beside import Beside
from everest.convert.flax import is_flax, read_flax
from everest.convert.folders import read_file, read_folder
from everest.convert.infer import HEADS, infer_config, part_of
from everest.convert.read import Content, WeightsError
from everest.convert.renaming import Family, to_ours
from everest.convert.report import KeyReport
from everest.convert.shaping import Placed, placed, split, tidied
from everest.convert.supervised import (
    IMAGE,
    IMAGES,
    config_of,
    is_image,
    layout_of,
    told_by,
)
from everest.convert.tables import FAMILIES, NAMED, RLT_NOTE, recognise

FOREIGN = {  # endings of parameters that change what a block computes -> what they are
    ".attn.scale": "cosine attention",
    ".gamma_1": "layer scale",
    ".ls1.gamma": "layer scale",
    ".relative_position_bias_table": "relative positions",
}


@dataclass(frozen=True)
class Weights:
    """Tensors under our names, and the model they are of."""

    source: str
    config: ModelConfig
    tensors: dict[str, Tensor]
    # None for our own folders, which hold all by its own name.
    report: KeyReport | BackboneReport | None = None
    family: str = "everest"
    recipe: str | None = None  # the named recipe of the run they come from
    allow_missing: bool = False  # whether a model may start without some of them
    file: Path | None = None  # where they were read

    @property
    def kind(self) -> str:
        return self.config.kind

    @property
    def lines(self) -> list[str]:
        """What the report says; nothing for our own folders."""
        return self.report.lines() if self.report is not None else []


def read_weights(
    path: str | Path,
    family: str | None = None,
    allow_missing: bool = False,
    *,
    source: str | None = None,
) -> Weights:
    """The weights of other people's file or folder (DeepSpeed, Hugging Face).

    `family` names one of `NAMED` where the names fit several; `source` is what messages call it.
    Raises WeightsError for what no table knows, and for missing tensors unless they are allowed.
    """
    path = Path(path)
    shown = source or str(path)
    if is_flax(path):
        content = Content(read_flax(path))
    else:
        content = read_folder(path)[1] if path.is_dir() else read_file(path)
    return replace(weights_of(content, shown, family, allow_missing), file=path)


def weights_of(
    content: Content, source: str, family: str | None = None, allow_missing: bool = False
) -> Weights:
    """As `read_weights`, of a file that is read already."""
    supervised = layout_of(content.tensors, family)
    if supervised is not None:
        kind, layout = supervised
        told = told_by(kind, content.tensors)
        found = read_backbone(content.tensors, source, layout, told, allow_missing=allow_missing)
        config = config_of(kind, found)
        name = layout.family.name
        return Weights(source, config, found.tensors, found.report, name, None, allow_missing)
    theirs, beside = tidied(content.tensors), content.beside
    if family is None and recognise(theirs) is None and is_image(content.tensors):
        return Weights(source, IMAGE, {}, family=IMAGES, allow_missing=allow_missing)
    refuse_foreign(theirs, source)
    known = family_of(theirs, source, family)
    tensors, reshaped = split(theirs)
    ours, unknown = to_ours(tensors, known)
    casts = [name for name, value in ours.items() if value.dtype != torch.float32]
    ours = {name: value.float() for name, value in ours.items()}
    try:
        stands = placed(ours, part_of(known), known.positions, beside)
        config = infer_config(known, stands.tensors, beside, stands.positions, stands.grid)
        wanted = wanted_shapes(config)
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from error
    except (ValueError, KeyError) as error:
        raise WeightsError(
            f"{source}: a {known.name} file that makes no model ({error})"
        ) from error
    unknown += [name for name in stands.tensors if name not in wanted]
    kept = {name: value for name, value in stands.tensors.items() if name in wanted}
    missing = sorted(set(wanted) - set(kept))
    if not allow_missing:
        refuse_names(unknown, missing, source, known)
    refuse_shapes(kept, wanted, source)
    aside = [(name, known.why_aside(name) or "") for name in tensors]
    left = [(name, why) for name, why in aside if why]
    left += [(name, "this reader does not know it") for name in unknown]
    report = KeyReport(
        source=source,
        family=known.name,
        kind=config.kind,
        model=f"{config.vit.width}x{config.vit.depth}x{config.vit.heads}",
        **names_of(tensors, known),
        reshaped=(*reshaped.items(), *joined(tensors, known), *stands.done.items()),
        missing=tuple(missing),
        unused=tuple(left),
        positions=config.vit.positions,
        grid=stands.grid,
        class_token=config.vit.class_token,
        frames=config.clip.frames,
        size=config.clip.size,
        stride=config.clip.stride,
        labels=next(iter(config.classes.values()), ()),
        mean=config.vit.mean,
        std=config.vit.std,
        assumed=assumed(known, beside, stands, config),
        notes=notes_of(known, beside, len(casts)),
    )
    return Weights(source, config, kept, report, known.name, allow_missing=allow_missing)


def refuse_foreign(theirs: Mapping[str, Tensor], source: str) -> None:
    """Raises WeightsError for blocks that compute something else under the same names."""
    for ending, what in FOREIGN.items():
        found = [name for name in theirs if name.endswith(ending)]
        if found:
            raise WeightsError(
                f"{source}: has {found[0]}, so its blocks use {what}, which this package's do not: "
                f"it cannot be read"
            )
    for name, tensor in theirs.items():
        if name.endswith(("mlp.fc1.weight", "intermediate.dense.weight")):
            inner, width = tensor.shape
            if inner != 4 * width:
                raise WeightsError(
                    f"{source}: {name} is {inner}x{width}; blocks here are 4 times as wide inside "
                    f"({4 * width}), so it cannot be read"
                )


def family_of(theirs: Mapping[str, Tensor], source: str, asked: str | None) -> Family:
    """The family the names are of, or the one asked for; raises WeightsError where they differ."""
    found = recognise(theirs)
    if asked is None:
        if found is None:
            some = ", ".join(list(theirs)[:3])
            raise WeightsError(
                f"{source}: no known layout; it begins with {some}. Known are "
                f"{', '.join(family.name for family in FAMILIES)}, and this package's own folders"
            )
        return found
    if asked not in NAMED:
        raise WeightsError(f"--family {asked}: choose one of {', '.join(sorted(NAMED))}")
    wanted = NAMED[asked]
    absent = [mark for mark in wanted.marks if mark not in theirs]
    if absent:
        other = f"; it looks like {found.name}" if found else ""
        raise WeightsError(f"{source}: no {asked} file, it has no {absent[0]}{other}")
    return wanted


def wanted_shapes(config: ModelConfig) -> dict[str, torch.Size]:
    """The tensors of a model, without making them."""
    with torch.device("meta"):
        return {name: value.shape for name, value in build(config).state_dict().items()}


def assumed(family: Family, beside: Beside, stands: Placed, config: ModelConfig) -> tuple[str, ...]:
    """What neither the file nor the user told."""
    guessed = {
        "positions": not family.settled and stands.grid is None,
        "heads": beside.heads is None and config.vit.width not in HEADS,
        "frames": beside.frames is None and stands.grid is None,
        "size": beside.size is None and stands.grid is None,
        "stride": beside.stride is None,
        "labels": beside.classes is None and family.kind == "classifier",
        "mean and std": beside.mean is None,
    }
    return tuple(name for name, guess in guessed.items() if guess)


def notes_of(family: Family, beside: Beside, casts: int) -> tuple[str, ...]:
    notes = [*beside.notes]
    if casts:
        notes.append(f"{casts} tensors of another precision became float32")
    if family.note:
        notes.append(family.note)
    elif beside.lightning:
        notes.append(f"a Lightning checkpoint; if it is RLT's: {RLT_NOTE}")
    return tuple(notes)


def model_of(weights: Weights) -> Model:
    """The model, in evaluation mode; what was missing has first weights that always are the same.

    Raises WeightsError where they do not make the model that their config says.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build(weights.config)
    try:
        found = model.load_state_dict(weights.tensors, strict=not weights.allow_missing)
    except RuntimeError as error:
        raise WeightsError(f"{weights.source}: does not hold this model ({error})") from error
    assert weights.allow_missing or not found.missing_keys
    return model.eval()
