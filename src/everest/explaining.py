"""This file decides how a model's cost is told: multiply-adds, parameters, activations, and a
sentence of each part."""

from dataclasses import dataclass
from typing import Any

import torch

from everest.build import build, selector_of
from everest.cases import Case, is_supervised
from everest.config import ModelConfig
from everest.cost import Cost, cost_of, reading_cost
from everest.machine import Precision
from everest.poster.remarks import Remark, remarks
from everest.recipe import PretrainRecipe
from everest.selection import Grid, size_of
from everest.teachers import grid_of

PARTS = ("embed", "encoder", "decoder", "head")
TITLES = {"embed": "embedding"}
BYTES_A_WEIGHT = 16  # float32: the weight, its gradient, AdamW's two moments
MEBI = 2**20


@dataclass(frozen=True)
class Sheet:
    """All that one case costs, counted and not measured."""

    case: Case
    config: ModelConfig
    cost: Cost  # of one clip, one view
    tokens: int  # of a clip
    read: int  # tokens that the encoder reads
    predicted: int  # tokens
    parameters: dict[str, int]  # by part
    teachers: dict[str, float]  # target -> multiply-adds of a clip, in units of 1e9
    precision: Precision
    activations: int | None  # bytes kept for the backward pass by a step; None: not asked for
    remarks: list[Remark]

    @property
    def total_parameters(self) -> int:
        return sum(self.parameters.values())

    def to_json(self) -> dict[str, Any]:
        recipe = self.case.recipe
        visible = recipe.visible if isinstance(recipe, PretrainRecipe) else None
        if visible == "auto":
            visible = self.config.select.visible
        document: dict[str, Any] = {
            "model": recipe.model,
            "job": self.case.job,
            "method": self.case.reads,
            "frames": recipe.frames,
            "size": recipe.size,
            "keep": self.config.select.keep if self.config.select.name != "tube" else 1.0,
            "visible": visible,
            "tokens": {"clip": self.tokens, "read": self.read, "predicted": self.predicted},
            "gmac": {name: getattr(self.cost, name) for name in (*PARTS, "total")},
            "parameters": self.total_parameters,
            "parameters_of": self.parameters,
            "teachers": self.teachers,
            "published": [remark.to_json() for remark in self.remarks],
        }
        if self.activations is not None:
            document["activations"] = {
                "bytes": self.activations,
                "clips": self.case.batch,
                "precision": self.precision,
            }
        return document


def sheet_of(case: Case, *, precision: Precision = "float32", activations: bool = False) -> Sheet:
    """Counts a case; `activations` takes some seconds for a large model.

    Raises RecipeError, or another ValueError, for a case that cannot be built.
    """
    config = case.config()
    kept = None
    if activations:
        from everest.activations import activation_bytes

        kept = activation_bytes(case, precision)
    parameters = parameters_of(config)
    tokens, read, predicted = counts_of(case, config)
    return Sheet(
        case,
        config,
        cost_of(config),
        tokens,
        read,
        predicted,
        parameters,
        teachers_of(case),
        precision,
        kept,
        remarks(case),
    )


def parameters_of(config: ModelConfig) -> dict[str, int]:
    """Numbers that are learnt, by part; a frozen teacher's are not among them."""
    with torch.device("meta"):
        model = build(config)
    found = dict.fromkeys(PARTS, 0)
    for name, parameter in model.named_parameters():
        if ".patch_embed" in name:
            part = "embed"
        elif name.startswith(("encoder.", "reader.")):
            part = "encoder"
        else:
            part = "decoder" if name.startswith("decoders.") else "head"
        found[part] += parameter.numel()
    return found


def counts_of(case: Case, config: ModelConfig) -> tuple[int, int, int]:
    """Tokens of a clip, read and predicted; a supervised model's own pooling is not told here."""
    grid = grid_of_config(config)
    if is_supervised(case.recipe.model):
        return size_of(grid), size_of(grid), 0
    read, predicted = selector_of(config.select).counts(grid)
    return size_of(grid), read, predicted


def grid_of_config(config: ModelConfig) -> Grid:
    height, width = config.clip.size
    vit = config.vit
    return config.clip.frames // vit.tubelet, height // vit.patch, width // vit.patch


def teachers_of(case: Case) -> dict[str, float]:
    """A frozen model's multiply-adds of a clip by the target it makes, in units of 1e9."""
    recipe = case.recipe
    if not isinstance(recipe, PretrainRecipe):
        return {}
    found = {}
    for name, vit in case.teachers().items():
        passes = recipe.frames // recipe.tubelet if name == "image_features" else 1
        found[name] = passes * reading_cost(vit, grid_of(name, recipe))
    return found


def heading(sheet: Sheet) -> str:
    """One line: what is counted."""
    case, recipe = sheet.case, sheet.case.recipe
    height, width = recipe.sides
    size = f"{height}" if height == width else f"{height}x{width}"
    clip = f"{recipe.frames} frames of {size} pixels"
    if is_supervised(recipe.model):
        return f"{recipe.model}, supervised: one view, {clip}"
    verb = "reads" if case.job == "finetune" else "encodes"
    tokens = f"{verb} {sheet.read:,} of {sheet.tokens:,} tokens"
    if sheet.predicted:
        tokens += f", decodes {sheet.predicted:,} more"
    job = "pre-training" if case.job == "pretrain" else "fine-tuning"
    return f"{recipe.model}, {case.reads}, {job}: {clip}; {tokens}"


def sentences(sheet: Sheet) -> dict[str, str]:
    """Part -> what it is, in a sentence."""
    config, vit = sheet.config, sheet.config.vit
    if is_supervised(sheet.case.recipe.model):
        return {
            "embed": "the patches of the view, made rows of numbers",
            "encoder": "all blocks, with the pooling, mixing or sampling that is the model's own; "
            "choosing patches is not counted",
            "head": f"the last linear layer, {sheet.case.classes} classes",
        }
    told = {
        "embed": f"every one of {sheet.tokens:,} tokens becomes {vit.width} numbers, read or not, "
        "as all may be scored",
        "encoder": f"{vit.depth} blocks of width {vit.width} over {sheet.read:,} tokens: linear "
        "layers, both products of attention, LayerNorm at 5 a number",
    }
    if config.decoders:
        shapes = ", ".join(f"{spec.depth} of width {spec.width}" for spec in config.decoders)
        told["decoder"] = (
            f"blocks ({shapes}) over the {sheet.read:,} tokens read and the {sheet.predicted:,} "
            f"decoded, and the layers that predict"
        )
    else:
        told["head"] = f"norm and one linear layer, {sheet.case.classes} classes"
    return told
