"""This file decides `everest recipes`."""

from dataclasses import dataclass
from typing import Any

import tyro

from everest.options import parse, print_json

SUMMARY = "list of recipes"
EXAMPLES = ("everest recipes", "everest recipes small-data")


@dataclass(frozen=True)
class Options:
    """List the named recipes, or every choice of one."""

    name: tyro.conf.Positional[str | None] = None
    """A recipe, to see all its fields."""
    json: bool = False
    """Print one JSON document on stdout."""


def run(words: list[str]) -> int:
    options = parse(Options, words, "recipes", examples=EXAMPLES)
    from everest.recipes import RECIPES

    if options.name is not None and options.name not in RECIPES:
        raise ValueError(f"{options.name}: no such recipe; choose one of {', '.join(RECIPES)}")
    chosen = {options.name: RECIPES[options.name]} if options.name else RECIPES
    document: dict[str, dict[str, Any]] = {
        name: {
            "told": entry.told,
            "commands": entry.commands(name),
            "pretrain": entry.pretrain and entry.pretrain.to_json(),
            "finetune": entry.finetune and entry.finetune.to_json(),
        }
        for name, entry in chosen.items()
    }
    if options.json:
        print_json({"recipes": document})
        return 0
    for name, content in document.items():
        print(f"{name}\n  {content['told']}")
        if options.name is None:
            continue
        print("  commands:")
        for line in content["commands"]:
            print(f"    {line}")
        for job in ("pretrain", "finetune"):
            if content[job] is None:
                continue
            print(f"  {job}:")
            for field, value in content[job].items():
                print(f"    {field}: {value}")
    return 0
