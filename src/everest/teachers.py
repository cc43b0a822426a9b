"""This file decides which frozen models a pre-training learns from, and how they are read."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from everest.convert.stretch import stretched
from everest.cost import reading_cost
from everest.names import TEACHERS, teacher_option
from everest.recipe import PretrainRecipe, RecipeError
from everest.selection import Grid
from everest.starting import read_start
from everest.vit import VideoTransformer


@dataclass(frozen=True)
class Teacher:
    source: str  # as it was given
    digest: str  # SHA-256 of its tensors
    model: VideoTransformer
    gflops: float  # multiply-adds of a clip, in units of 1e9
    stretch: str = ""  # what was done to its positions, for the console

    def told(self) -> str:
        """One phrase for the console."""
        shape = self.model.config
        return (
            f"{self.source}, {shape.width} wide, {shape.depth} blocks, frozen: "
            f"{self.gflops:.1f} GFLOPs a clip{self.stretch}"
        )

    def to_json(self) -> dict[str, str]:
        return {"source": self.source, "sha256": self.digest}


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, kinds, shapes and bytes, in the order of names."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def load_teachers(recipe: PretrainRecipe) -> dict[str, Teacher]:
    """The teachers of a recipe's targets, by the target's name.

    Raises RecipeError for one that cannot read the recipe's clips, WeightsError for a file that is
    not weights.
    """
    names = [name for part in recipe.decoders for name in part if name in TEACHERS]
    given = {"image_features": recipe.image_teacher, "video_features": recipe.video_teacher}
    return {name: load_teacher(name, str(given[name]), recipe) for name in names}


def load_teacher(name: str, source: str, recipe: PretrainRecipe) -> Teacher:
    weights = read_start(source)
    part = "encoder." if weights.kind == "autoencoder" else "reader."
    tensors = {
        key.removeprefix(part): value
        for key, value in weights.tensors.items()
        if key.startswith(part) and not key.startswith(f"{part}norm.")
    }
    digest = digest_of(tensors)
    vit = replace(weights.config.vit, norm=False, drop_path=0.0)
    image = name == "image_features"
    if (vit.tubelet == 1) != image or (not image and vit.tubelet != recipe.tubelet):
        wanted = "single frames (tubelet 1)" if image else f"a tubelet of {recipe.tubelet}"
        raise RecipeError(
            f"{teacher_option(name)} {source}: its tokens are of {vit.tubelet} frames; {name} "
            f"needs a model of {wanted}"
        )
    if not image and vit.patch != recipe.patch:
        raise RecipeError(
            f"{teacher_option(name)} {source}: its patch is {vit.patch} pixels and the student's "
            f"{recipe.patch}; both read the same clip, so give --patch {vit.patch}"
        )
    grid = grid_of(name, recipe)
    stretch = ""
    if vit.table is not None and vit.table != grid:
        stretch = f"; its positions are stretched from {vit.table} tokens to {grid}"
        tensors["position_table"] = stretched(tensors["position_table"], vit.table, grid)
        vit = replace(vit, table=grid)
    model = VideoTransformer(vit)
    model.load_state_dict(tensors)
    passes = recipe.frames // recipe.tubelet if image else 1
    return Teacher(source, digest, model, passes * reading_cost(vit, grid), stretch)


def grid_of(name: str, recipe: PretrainRecipe) -> Grid:
    """The token grid that a teacher reads: the student's, one frame of it for an image teacher."""
    height, width = recipe.sides
    steps = 1 if name == "image_features" else recipe.frames // recipe.tubelet
    return steps, height // recipe.patch, width // recipe.patch
