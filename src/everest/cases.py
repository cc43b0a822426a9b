"""This file decides which model a few words mean: what cost, bench and tables count and measure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from everest.backbones.registry import BACKBONES
from everest.build import build, candidate_frames
from everest.clips import Clips
from everest.config import ModelConfig
from everest.configuring import configure, size_of_model
from everest.measuring import blank_clips
from everest.names import METHODS, TEACHERS
from everest.recipe import FinetuneRecipe, PretrainRecipe, Recipe, RecipeError, changed, from_json
from everest.recipes import RECIPES
from everest.targets.trajectory import KEY, NUMBERS, POINTS
from everest.validating import validate
from everest.vit import VideoTransformer, VitConfig

Job = Literal["pretrain", "finetune"]
JOBS: tuple[Job, ...] = ("pretrain", "finetune")
CLASSES = 400  # Kinetics-400's
TEACHER = "vit-b"
ELSEWHERE = "given"  # stands for a file that decides no shape: a teacher's, trajectories


def is_supervised(model: str) -> bool:
    return model in BACKBONES


def recipe_of(job: Job, model: str, method: str = "everest", **fields: Any) -> Recipe:
    """The recipe of one job; fields that are None stay as they are.

    Fine-tuning reads EVEREST's share of tokens, or all of them where another method is named and
    no `keep` is given. Raises RecipeError for what cannot run.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    if method not in METHODS:
        raise RecipeError(f"--method {method}: choose one of {', '.join(METHODS)}")
    recipe: Recipe
    if is_supervised(model):
        if job == "pretrain":
            raise RecipeError(
                f"--model {model}: a supervised model has no masked pre-training; give --job "
                f"finetune, or a model such as vit-b"
            )
        recipe = supervised_recipe(model)
    elif job == "pretrain":
        recipe = PretrainRecipe(model=model, method=method)  # type: ignore[arg-type]
    else:
        recipe = FinetuneRecipe(model=model)
        if method != "everest" and not {"keep", "select"} & set(given):
            given |= {"select": "all", "keep": 1.0}
    return completed(changed(recipe, **given))


def supervised_recipe(model: str) -> FinetuneRecipe:
    """Its named recipe's fine-tuning, or what its published input asks for."""
    named = RECIPES.get(model)
    if named is not None and named.finetune is not None:
        return named.finetune
    entry = BACKBONES[model]
    return FinetuneRecipe(
        model=model,
        frames=entry.frames,
        stride=entry.stride,
        tubelet=entry.tubelet,
        head_norm="none",
    )


def completed(recipe: Recipe) -> Recipe:
    """The recipe with a name for each file that decides no shape; raises RecipeError."""
    if isinstance(recipe, PretrainRecipe):
        try:
            names = {name for part in recipe.decoders for name in part}
        except ValueError as error:
            raise RecipeError(str(error)) from error
        recipe = changed(
            recipe,
            image_teacher=ELSEWHERE if "image_features" in names else None,
            video_teacher=ELSEWHERE if "video_features" in names else None,
            trajectories=ELSEWHERE if "trajectory" in names else None,
        )
    validate(recipe)
    return recipe


@dataclass(frozen=True)
class Case:
    """One job of one model on clips of one shape."""

    recipe: Recipe
    classes: int = CLASSES  # of a classifier
    teacher: str = TEACHER  # size of the frozen models that MVD learns from

    @property
    def job(self) -> Job:
        return "pretrain" if isinstance(self.recipe, PretrainRecipe) else "finetune"

    @property
    def batch(self) -> int:
        """Clips of a step."""
        size = self.recipe.batch_size
        return 1 if size == "auto" else size

    @property
    def reads(self) -> str:
        """The method, in one word or two: in fine-tuning it is which tokens are read."""
        if is_supervised(self.recipe.model):
            return "supervised"
        if isinstance(self.recipe, PretrainRecipe):
            return self.recipe.method
        return "all tokens" if self.recipe.selector == "all" else "everest"

    def teachers(self) -> dict[str, VitConfig]:
        """Target -> the frozen model that makes it; empty for all methods but MVD."""
        if not isinstance(self.recipe, PretrainRecipe):
            return {}
        names = [name for part in self.recipe.decoders for name in part if name in TEACHERS]
        width, depth, heads = size_of_model(self.teacher) if names else (1, 1, 1)
        patch, tubelet = self.recipe.patch, self.recipe.tubelet
        shapes = {
            "image_features": VitConfig(
                width, depth, heads, patch=patch, tubelet=1, class_token=True, norm=False
            ),
            "video_features": VitConfig(
                width, depth, heads, patch=patch, tubelet=tubelet, norm=False
            ),
        }
        return {name: shapes[name] for name in names}

    def config(self) -> ModelConfig:
        """Raises RecipeError for what cannot be built."""
        names = tuple(str(number) for number in range(self.classes))
        labelled = {"label": names} if self.job == "finetune" else None
        dims = {name: vit.width for name, vit in self.teachers().items()}
        return configure(self.recipe, labelled, dims)

    def check(self) -> None:
        """Raises RecipeError, or another ValueError, for what cannot be built; makes no weights."""
        with torch.device("meta"):
            self.model()

    def clips(self) -> Clips:
        """A batch of noise: what is in a clip changes no shape and no time."""
        config = self.config()
        height, width = config.clip.size
        vit, frames = config.vit, candidate_frames(config)
        extra = {}
        if isinstance(self.recipe, PretrainRecipe) and self.recipe.trajectories is not None:
            sides = (POINTS * (height // vit.patch), POINTS * (width // vit.patch))
            extra[KEY] = torch.randn(self.batch, frames // vit.tubelet, NUMBERS, *sides)
        clips = blank_clips(self.batch, vit.channels, frames, config.clip.size, extra)
        if self.job == "finetune":
            clips = clips._replace(labels={"label": torch.arange(self.batch) % self.classes})
        return clips

    def model(self) -> tuple[nn.Module, list[VideoTransformer]]:
        """The model to train, and the frozen ones that it learns from."""
        teachers = {name: VideoTransformer(vit) for name, vit in self.teachers().items()}
        return build(self.config(), teachers), list(teachers.values())

    def to_json(self) -> dict[str, Any]:
        return {"recipe": self.recipe.to_json(), "classes": self.classes, "teacher": self.teacher}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Case":
        kind = PretrainRecipe if content["recipe"]["job"] == "pretrain" else FinetuneRecipe
        recipe = from_json(kind, content["recipe"], "a case")
        return cls(recipe, content["classes"], content["teacher"])


def names_of(cases: Sequence[Case]) -> list[str]:
    """What tells each case from the others: model, method and job, then all that differs."""
    parts = []
    for case in cases:
        recipe = case.recipe
        height, width = recipe.sides
        size = f"{height}" if height == width else f"{height}x{width}"
        keep = getattr(recipe, "keep", None) if case.reads == "everest" else None
        visible = getattr(recipe, "visible", "auto")
        parts.append(
            (
                recipe.model,
                "" if case.reads == "supervised" else case.reads,
                case.job,
                f"{recipe.frames} frames",
                f"{size} pixels",
                "" if keep is None else f"keep {keep}",
                "" if visible == "auto" else f"visible {visible}",
                f"batch {case.batch}",
            )
        )
    always = 3  # model, method, job
    differs = [len({value for value in values if value}) > 1 for values in zip(*parts, strict=True)]
    names = []
    for values in parts:
        told = [
            value
            for place, value in enumerate(values)
            if value and (place < always or differs[place])
        ]
        names.append(" ".join(told[:always]) + "".join(f", {value}" for value in told[always:]))
    return names
