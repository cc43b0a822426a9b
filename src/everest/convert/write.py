"""This file decides in which form weights are written for others: everest, videomae, hf."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch

from everest.config import ModelConfig
from everest.convert.hf_config import config_of, processor_of
from everest.convert.hf_names import HF_FINETUNE, HF_PRETRAIN
from everest.convert.read import WeightsError
from everest.convert.renaming import Family, to_theirs
from everest.convert.tables import FINETUNE, MME, MVD, PRETRAIN
from everest.convert.weights import Weights, model_of
from everest.positions import sincos3d
from everest.tensors import write_tensors

Form = Literal["everest", "hf", "videomae"]
RELEASED = {  # what an autoencoder predicts -> whose names it is written with
    (("pixels",),): PRETRAIN,
    (("hog", "trajectory"),): MME,
    (("image_features",), ("video_features",)): MVD,
}
FILES = (".pth", ".pt", ".safetensors")
WRITTEN = frozenset(  # all that a conversion leaves in a folder
    {"model.safetensors", "config.json", "preprocessor_config.json", "checkpoint.pth"}
)


def write(weights: Weights, out: Path, form: Form) -> list[str]:
    """Writes a folder, or with `videomae` a file; returns sentences on what was written.

    Raises ValueError for a model that the form has no place for, WeightsError where tensors of it
    are missing, ValueError where Hugging Face's classes give other outputs.
    """
    match form:
        case "everest":
            model = model_of(weights)
            with as_a_whole(out) as folder:
                model.save_pretrained(folder)
            told = [f"{out}: an export; everest COMMAND {out}"]
            missing = weights.report.missing if weights.report is not None else ()
            return told + ([f"{len(missing)} missing tensors start anew"] if missing else [])
        case "videomae":
            return write_released(weights, out)
        case "hf":
            return write_hugging_face(weights, out)


@contextmanager
def as_a_whole(place: Path) -> Iterator[Path]:
    """A folder beside `place` to write in; its files go there when all are written, or none."""
    place = place.absolute()
    part = Path(os.path.normpath(place)).with_name(f".{place.name or 'here'}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        place.mkdir(parents=True, exist_ok=True)
        for name in WRITTEN:
            (place / name).unlink(missing_ok=True)
        for file in part.iterdir():
            os.replace(file, place / file.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def released_family(config: ModelConfig) -> Family:
    """Whose names our model has as a released file; raises ValueError for one that has none."""
    vit = config.vit
    faults = []
    if vit.positions == "table" or vit.class_token:
        faults.append("a table of positions or a class token")
    if config.kind == "classifier":
        if vit.norm:
            faults.append("an encoder's norm before the mean (--encoder-norm keep)")
        if vit.pool != "mean" or config.head_norm != "layer":
            faults.append(f"pool {vit.pool} with head norm {config.head_norm}")
        if len(config.classes) != 1:
            faults.append(f"{len(config.classes)} label columns")
        elif config.kinds:
            faults.append(f"labels of kind {next(iter(config.kinds.values()))}")
        family: Family | None = FINETUNE
    else:
        targets = tuple(tuple(target.name for target in spec.targets) for spec in config.decoders)
        family = RELEASED.get(targets)
        if family is None:
            said = ", ".join("+".join(part) for part in targets) or "nothing"
            faults.append(f"decoders that predict {said}")
        elif vit.positions != family.positions:
            faults.append(f"{vit.positions} positions with the targets of {family.name}")
    if faults or family is None:
        raise ValueError(
            f"--to videomae: the released files have no place for {'; '.join(faults)}; write "
            f"--to everest"
        )
    return family


def write_released(weights: Weights, out: Path) -> list[str]:
    """By the names of the authors' files, in OUT with an ending of theirs or OUT/checkpoint.pth."""
    config = weights.config
    family = released_family(config)
    refuse_incomplete(weights, "videomae")
    theirs = to_theirs(weights.tensors, family)
    vit, (height, width) = config.vit, config.clip.size
    grid = (config.clip.frames // vit.tubelet, height // vit.patch, width // vit.patch)
    if family is MVD:
        tables = {"pos_embed": vit.width}
        tables |= dict(
            zip(("pos_embed_img", "pos_embed_vid"), (s.width for s in config.decoders), strict=True)
        )
        theirs |= {name: sincos3d(grid, inner)[None] for name, inner in tables.items()}
    file = out if out.suffix in FILES else out / "checkpoint.pth"
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".safetensors":
        write_tensors(theirs, file)
    else:
        part = file.with_name(f".{file.name}.part")
        whole = {name: value.detach().cpu().contiguous() for name, value in theirs.items()}
        try:
            torch.save({"model": whole}, part)
            os.replace(part, file)
        finally:
            part.unlink(missing_ok=True)
    told = [f"{file}: {len(theirs)} tensors by the names of {family.name}"]
    if family is FINETUNE and vit.positions != FINETUNE.positions:
        told.append(
            f"its {vit.positions} positions are not in it: read it with --family mvd-finetune"
        )
    return told


def write_hugging_face(weights: Weights, out: Path) -> list[str]:
    """config.json, preprocessor_config.json and model.safetensors, tried with transformers."""
    from everest.convert.agree import largest_difference

    config = weights.config
    described = config_of(config)  # refuses what cannot be
    refuse_incomplete(weights, "hf")
    family = HF_FINETUNE if config.kind == "classifier" else HF_PRETRAIN
    with as_a_whole(out) as folder:
        write_tensors(to_theirs(weights.tensors, family), folder / "model.safetensors")
        for name, content in (
            ("config.json", described),
            ("preprocessor_config.json", processor_of(config)),
        ):
            (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        tried = largest_difference(folder, model_of(weights))
    told = [f"{out}: {described['architectures'][0]}, every token read", tried]
    if config.pairs is not None:
        told.append("there the frames are those given: frames are not selected")
    return told


def refuse_incomplete(weights: Weights, form: Form) -> None:
    if weights.report is not None and weights.report.missing:
        raise WeightsError(
            f"{weights.source}: lacks {len(weights.report.missing)} tensors, such as "
            f"{weights.report.missing[0]}; --to {form} writes whole models alone"
        )
