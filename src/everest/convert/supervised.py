"""This file decides how supervised models' files, and image transformers', start one of ours."""

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from everest.backbones.registry import BACKBONES, config_from, make
from everest.config import BackboneSpec, ClipConfig, ModelConfig, SelectConfig, pixels_of
from everest.convert import flax_names
from everest.convert.backbones import READER, BackboneWeights, Layout
from everest.convert.flax import is_flax, read_flax
from everest.convert.folders import read_file, read_folder
from everest.convert.images import HUGGING_FACE, PLAIN, image_vit
from everest.convert.read import WeightsError
from everest.vit import SIZES, VitConfig

Tensors = dict[str, Tensor]
IMAGES = "image transformer"
# What stands for an image transformer, which is no video model before one starts from it.
IMAGE = ModelConfig("classifier", VitConfig(*SIZES["vit-b"]), ClipConfig(), SelectConfig("all"))
# Modules that know the names of a reader's files, by the reader's class.
MODULES = {
    "TimeSformer": "backbones_timesformer",
    "Motionformer": "backbones_motionformer",
    "MViT": "backbones_mvit",
    "ViViT": "backbones_vivit",
    "XViT": "backbones_xvit",
    "KCentered": "backbones_kcentered",
}


def knowing(kind: str) -> Any:
    """The module that reads a reader's files."""
    return importlib.import_module(f"everest.convert.{MODULES[kind]}")


def layouts() -> Iterator[tuple[str, Layout]]:
    """(class of the reader, layout) of every released file; K-centered models have none."""
    for kind in MODULES:
        if kind != "KCentered":
            for layout in knowing(kind).LAYOUTS:
                yield kind, layout


def layout_of(theirs: Mapping[str, Tensor], family: str | None) -> tuple[str, Layout] | None:
    """The supervised model that the names are of, or that was asked for; None where neither."""
    for kind, layout in layouts():
        if layout.family.name == family or (family is None and layout.fits(theirs)):
            return kind, layout
    if family in BACKBONES and BACKBONES[family].kind == "KCentered":
        return "KCentered", knowing("KCentered").layout(family)
    return None


def told_by(kind: str, theirs: Mapping[str, Tensor]) -> dict[str, Any]:
    """Fields of the config that the shapes of a file's own tensors tell."""
    tell = getattr(knowing(kind), "told_by", None)
    return {} if tell is None else dict(tell(theirs))


def named_of(kind: str, found: BackboneWeights) -> str:
    """The name of the size that a config is of: of equal width and depth, else the first."""
    names = [name for name, entry in BACKBONES.items() if entry.kind == kind]

    def shape(config: Any) -> tuple[int, int]:
        return config.width, config.depth

    for name in names:
        if shape(BACKBONES[name].part("SIZES")[name]) == shape(found.config):
            return name
    return names[0]


def config_of(kind: str, found: BackboneWeights) -> ModelConfig:
    """The classifier that a released file is."""
    name = named_of(kind, found)
    entry, fields = BACKBONES[name], dict(vars(found.config))
    clip = ClipConfig(found.config.frames, found.config.size, entry.stride)
    count = found.classes
    classes = {"label": tuple(map(str, range(count)))} if count else {}
    return ModelConfig(
        "classifier",
        pixels_of(fields, entry.tubelet),
        clip,
        SelectConfig("all"),
        classes=classes,
        head_norm="none",
        backbone=BackboneSpec(name, fields),
    )


def theirs_of(path: Path) -> Tensors:
    """The tensors of a file or folder, by its own names without wrappers; raises WeightsError."""
    if is_flax(path):
        return read_flax(path)
    return (read_folder(path)[1] if path.is_dir() else read_file(path)).tensors


def is_image(theirs: Mapping[str, Tensor]) -> bool:
    """Whether a file is of an image transformer that video models start from."""
    marks = (PLAIN.marks, HUGGING_FACE.marks, flax_names.IMAGE.marks)
    return any(set(theirs).issuperset(names) for names in marks)


def from_images(path: Path, source: str, wanted: BackboneSpec) -> dict[str, Tensor]:
    """What an image transformer's file gives to a video model, by the rule of its system.

    Raises WeightsError where the system has no such rule, or the file is of something else.
    """
    make_video = getattr(knowing(BACKBONES[wanted.model].kind), "from_image", None)
    if make_video is None:
        raise WeightsError(
            f"--init {source}: {wanted.model} starts from its own weights or from none; there is "
            f"no rule for weights of other systems"
        )
    reader: Any = make(wanted)
    theirs = theirs_of(path)
    flax = set(theirs).issuperset(flax_names.IMAGE.marks)
    image = (flax_names.image_vit if flax else image_vit)(theirs, source)
    return make_video(image, reader.config)


def fitted(tensors: Mapping[str, Tensor], had: BackboneSpec, wanted: BackboneSpec) -> Tensors:
    """A model's tensors with tables for another clip, where its system has a rule for it."""
    fit = getattr(knowing(BACKBONES[wanted.model].kind), "fitted", None)
    if fit is None or had.fields == wanted.fields:
        return dict(tensors)
    own = {name: value for name, value in tensors.items() if name.startswith(READER)}
    return {**tensors, **fit(own, config_from(had), config_from(wanted))}
