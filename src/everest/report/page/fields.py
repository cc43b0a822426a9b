"""This file decides how recipes are shown: a row a field, with what the field means."""

import ast
import dataclasses
import inspect
import io
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from everest import recipe as recipes
from everest.recipe import FinetuneRecipe, Optim, PretrainRecipe, Recipe

APART = ("named", "teachers", "job")  # told elsewhere on the page
MACHINE = frozenset({"workers", "device", "cache", "accumulate", "precision"})


@dataclass(frozen=True)
class Field:
    """One field of the recipes of one or several runs."""

    name: str  # as its option is written, without the dashes
    meaning: str
    values: list[str]  # a run each; a dash where the run has no such field
    is_marked: bool  # one run: it is not the default; several: they differ
    is_machine: bool  # how the work is done, not what is computed


def recipe_fields(documents: Sequence[dict[str, Any]]) -> list[Field]:
    """Recipes as in recipe.json -> their fields, in the order of the recipe."""
    flats = [flat(document) for document in documents]
    order = list(dict.fromkeys(name for values in flats for name in values))
    found = []
    for name in order:
        values = [told(values[name]) if name in values else "–" for values in flats]
        if len(documents) > 1:
            is_marked = len(set(values)) > 1
        else:
            default = defaults(str(documents[0].get("job"))).get(name)
            is_marked = default is not None and values[0] != default
        last = name.replace("-", "_").rsplit(".", 1)[-1]
        found.append(Field(name, meanings().get(last, ""), values, is_marked, last in MACHINE))
    return found


def flat(document: dict[str, Any]) -> dict[str, Any]:
    """Field by the name of its option: `batch-size`, `optim.lr`."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        if name == "optim" and isinstance(value, dict):
            found |= {f"optim.{dashed(inner)}": own for inner, own in value.items()}
        elif name not in APART:
            found[dashed(name)] = value
    return found


def dashed(name: str) -> str:
    return name.replace("_", "-")


def told(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(told(part) for part in value) or "none"
    return str(value) or "none"


@cache
def defaults(job: str) -> dict[str, str]:
    """What each field is where nobody says anything; {} for an unknown job."""
    kinds: dict[str, type[Recipe]] = {"pretrain": PretrainRecipe, "finetune": FinetuneRecipe}
    if job not in kinds:
        return {}
    return {name: told(value) for name, value in flat(dataclasses.asdict(kinds[job]())).items()}


@cache
def meanings() -> dict[str, str]:
    """Field -> the comment that stands beside it in recipe.py, where that can be read."""
    found: dict[str, str] = {}
    try:
        source = inspect.getsource(recipes)
    except OSError:  # a package without its source: the fields are shown without
        return found
    comments = {
        token.start[0]: token.string.lstrip("# ").replace("`", "")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    kinds = {kind.__name__ for kind in (Recipe, PretrainRecipe, FinetuneRecipe, Optim)}
    for part in ast.parse(source).body:
        if not isinstance(part, ast.ClassDef) or part.name not in kinds:
            continue
        for line in part.body:
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                numbers = range(line.lineno, (line.end_lineno or line.lineno) + 1)
                told = next((comments[at] for at in numbers if at in comments), "")
                found.setdefault(line.target.id, told)
    return found
