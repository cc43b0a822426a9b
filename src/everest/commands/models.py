"""This file decides `everest models`."""

from dataclasses import dataclass
from typing import Any

from everest.options import parse, print_json

SUMMARY = "list of models"
EXAMPLES = ("everest models",)
CLASSES = tuple(str(number) for number in range(400))  # as Kinetics-400's, for parameters and cost


@dataclass(frozen=True)
class Options:
    """List the models by name, with size and cost at 16 frames of 224 pixels."""

    json: bool = False
    """Print one JSON document on stdout."""


def run(words: list[str]) -> int:
    options = parse(Options, words, "models", examples=EXAMPLES)
    import torch

    from everest.backbones.registry import BACKBONES
    from everest.build import build
    from everest.configuring import configure
    from everest.cost import cost_of
    from everest.recipe import FinetuneRecipe, PretrainRecipe
    from everest.vit import SIZES

    listed: list[dict[str, Any]] = []
    for name, (width, depth, heads) in SIZES.items():
        pretrain = configure(PretrainRecipe(model=name))
        finetune = configure(FinetuneRecipe(model=name))
        with torch.device("meta"):
            names = build(pretrain).named_parameters()
        parameters = sum(p.numel() for name, p in names if name.startswith("encoder."))
        listed.append(
            {
                "model": name,
                "width": width,
                "depth": depth,
                "heads": heads,
                "encoder_parameters": parameters,
                "pretrain_gflops": cost_of(pretrain).total,
                "finetune_gflops": cost_of(finetune).total,
            }
        )
    supervised: list[dict[str, Any]] = []
    for name, backbone in BACKBONES.items():
        recipe = FinetuneRecipe(model=name, frames=backbone.frames, head_norm="none")
        config = configure(recipe, {"label": CLASSES})
        with torch.device("meta"):
            parameters = sum(p.numel() for p in build(config).parameters())
        supervised.append(
            {
                "model": name,
                "told": backbone.told,
                "frames": backbone.frames,
                "stride": backbone.stride,
                "parameters": parameters,
                "finetune_gflops": cost_of(config).total,
            }
        )
    if options.json:
        print_json({"models": listed, "supervised": supervised})
        return 0
    print("model    width  depth  heads  parameters  pre-train GFLOPs  fine-tune GFLOPs (keep 0.6)")
    for entry in listed:
        print(
            f"{entry['model']:8} {entry['width']:5}  {entry['depth']:5}  {entry['heads']:5}  "
            f"{entry['encoder_parameters'] / 1e6:8.1f} M  {entry['pretrain_gflops']:16.2f}  "
            f"{entry['finetune_gflops']:16.2f}"
        )
    print("any other as WIDTHxDEPTHxHEADS, such as --model 192x6x3")
    print("\nsupervised, for finetune alone    clip    parameters  GFLOPs a view, of 224 pixels")
    for entry in supervised:
        clip = f"{entry['frames']}x{entry['stride']}"
        print(
            f"{entry['model']:24} {clip:>13} {entry['parameters'] / 1e6:11.1f} M "
            f"{entry['finetune_gflops']:8.1f}   {entry['told']}"
        )
    return 0
