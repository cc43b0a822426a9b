"""This file decides `everest cost`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from everest.names import Method
from everest.options import parse, print_json

if TYPE_CHECKING:
    from everest.cases import Case
    from everest.console import Console
    from everest.explaining import Sheet

SUMMARY = "multiply-adds, parameters and memory of a model, counted"
EXAMPLES = (
    "everest cost --model vit-b",
    "everest cost --model vit-l --method videomae --job pretrain --decoder-depth 12",
    "everest cost --model vit-b --job finetune --frames 32 --keep 0.4 --memory",
    "everest cost --recipe everest-k400-b --json",
    "everest cost --model mvit-b",
)
OTHER = frozenset({"recipe", "job", "classes", "teacher", "memory", "json"})  # not of a recipe


@dataclass(frozen=True)
class Options:
    """Count what a clip costs: multiply-adds by part, parameters, and on demand memory.

    Counted as the poster counts: one multiply-add is one FLOP, LayerNorm 5 a number; softmax,
    GELU, additions and the selection are not counted. Nothing is measured, no weight is made.
    """

    recipe: str | None = None
    """A named recipe or a recipe.json; every other option changes a field of it."""
    model: str | None = None
    """vit-ti, vit-s, vit-b (if nothing is named), a supervised model, or WIDTHxDEPTHxHEADS."""
    job: Literal["pretrain", "finetune"] | None = None
    """One of the two jobs alone; both where not given."""
    method: Method | None = None
    """everest, videomae, mvd, mme; fine-tuning reads all tokens unless it is everest."""
    frames: int | None = None
    """Frames of a clip."""
    tubelet: int | None = None
    """Frames of a token."""
    patch: int | None = None
    """Pixels a side of a token."""
    size: str | None = None
    """Pixels a side, or HEIGHTxWIDTH."""
    select: Literal["rero", "random", "tube", "all"] | None = None
    """Which tokens; the method's where not given."""
    keep: int | float | None = None
    """Share (0.3) or count (470) of tokens kept, in each job that is told."""
    visible: int | float | None = None
    """Share or count of tokens that the encoder reads in pre-training."""
    targets: str | None = None
    """What pre-training predicts: a+b heads of one decoder, a,b two decoders."""
    decoder_width: int | None = None
    decoder_depth: int | None = None
    """Blocks."""
    decoder_share: float | None = None
    """Share of all tokens that is decoded, in running cells."""
    classes: int | None = None
    """Of a classifier; 400 where not given. Alone, it asks for fine-tuning."""
    teacher: str = "vit-b"
    """Size of the frozen models that MVD learns from."""
    batch_size: int | None = None
    """Clips of the step whose memory is counted; 2 where not given."""
    precision: Literal["float32", "bf16"] = "float32"
    """Of the activations that are counted."""
    memory: bool = False
    """Also count the bytes a step keeps for its backward pass; seconds for a large model."""
    json: bool = False
    """Print one JSON document on stdout, all else on stderr."""


def run(words: list[str]) -> int:
    options = parse(Options, words, "cost", examples=EXAMPLES)
    from everest.console import Console
    from everest.explaining import sheet_of

    console = Console(to_stderr=options.json)
    sheets = [
        sheet_of(case, precision=options.precision, activations=options.memory)
        for case in cases_of(options)
    ]
    if options.json:
        first, *rest = (sheet.to_json() for sheet in sheets)
        print_json(first | ({"also": rest} if rest else {}))
        return 0
    for sheet in sheets:
        tell(sheet, console)
    return 0


def cases_of(options: Options) -> "list[Case]":
    """What is asked for, one case a job; raises RecipeError, which is a ValueError."""
    from everest.cases import CLASSES, JOBS, Case, completed, is_supervised, recipe_of
    from everest.recipe import PretrainRecipe, RecipeError, changed

    fields = {
        name: value
        for name, value in vars(options).items()
        if value is not None and name not in OTHER
    }
    fields.setdefault("batch_size", 2)  # the fewest that recipes which mix clips can have
    # Options of pre-training alone ask for it, as a number of classes asks for a classifier.
    own = ("visible", "targets", "decoder_width", "decoder_depth", "decoder_share")
    asked = options.job
    only = [name for name in own if getattr(options, name) is not None]
    if only and (asked == "finetune" or options.classes is not None):
        raise RecipeError(
            f"--{only[0].replace('_', '-')} is of pre-training, which --job finetune and --classes "
            f"leave out: give one or the other"
        )
    if only:
        asked = "pretrain"
    elif asked is None and options.classes is not None:
        asked = "finetune"
    wanted = [job for job in JOBS if asked in (None, job)]
    recipes = []
    if options.recipe is not None:
        named = named_recipes(options.recipe)
        for job in wanted:
            recipe = named.get(job)
            if recipe is not None:
                known = fields if isinstance(recipe, PretrainRecipe) else finetune_fields(fields)
                if job == "finetune" and "keep" in known and recipe.selector == "all":
                    known = {"select": "auto"} | known
                recipes.append(completed(changed(recipe, **known)))
        if not recipes:
            raise RecipeError(
                f"--recipe {options.recipe}: has no {' or '.join(wanted)}; leave out --job"
            )
    else:
        model = fields.pop("model", "vit-b")
        method = fields.pop("method", "everest")
        if is_supervised(model) and asked is None:
            wanted = ["finetune"]
        for job in wanted:
            known = fields if job == "pretrain" else finetune_fields(fields)
            recipes.append(recipe_of(job, model, method, **known))
    return [Case(recipe, options.classes or CLASSES, options.teacher) for recipe in recipes]


def finetune_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Without what a fine-tuning has no field for."""
    return {name: value for name, value in fields.items() if name != "method"}


def named_recipes(name: str) -> dict[str, Any]:
    """Job -> recipe of a name or a file; raises RecipeError."""
    import json

    from everest.recipe import FinetuneRecipe, PretrainRecipe, RecipeError, read_recipe
    from everest.recipes import RECIPES

    if name in RECIPES:
        return {"pretrain": RECIPES[name].pretrain, "finetune": RECIPES[name].finetune}
    path = Path(name)
    if not path.is_file():
        import difflib

        near = difflib.get_close_matches(name, RECIPES, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "everest recipes lists the names"
        raise RecipeError(f"--recipe {name}: neither a recipe's name nor a file; {hint}")
    try:
        job = json.loads(path.read_text()).get("job")
    except (OSError, ValueError, AttributeError):
        job = None  # read_recipe says what is wrong with it
    kind = FinetuneRecipe if job == "finetune" else PretrainRecipe
    return {job or "pretrain": read_recipe(kind, path)}


def tell(sheet: "Sheet", console: "Console") -> None:
    """The sheet as a small table, a sentence a part."""
    from everest.explaining import BYTES_A_WEIGHT, MEBI, TITLES, heading, sentences

    console.say(heading(sheet))
    total = sheet.cost.total
    for part, told in sentences(sheet).items():
        value = getattr(sheet.cost, part)
        title = TITLES.get(part, part)
        console.say(f"  {title:11}{value:9.2f} GFLOPs {value / total:4.0%}  {told}")
    console.say(f"  {'total':11}{total:9.2f} GFLOPs")
    for name, value in sheet.teachers.items():
        console.say(
            f"  {'beside it':11}{value:9.2f} GFLOPs        {sheet.case.teacher}, frozen, makes "
            f"{name.replace('_', ' ')}"
        )
    parts = ", ".join(
        f"{TITLES.get(part, part)} {count / 1e6:.1f}"
        for part, count in sheet.parameters.items()
        if count >= 5e4
    )
    console.say(f"  {'parameters':11}{sheet.total_parameters / 1e6:9.2f} M       {parts}")
    weights = sheet.total_parameters * BYTES_A_WEIGHT / MEBI
    console.say(
        f"  {'weights':11}{weights:9.0f} MiB     with gradients and AdamW's two moments, float32"
    )
    if sheet.activations is not None:
        many = "1 clip" if sheet.case.batch == 1 else f"{sheet.case.batch} clips"
        console.say(
            f"  {'activations':11}{sheet.activations / MEBI:9.1f} MiB     kept for the backward "
            f"pass of {many}, {sheet.precision}; counted as on a CPU, work space not included"
        )
    for remark in sheet.remarks:
        console.say(f"  {remark}")
    console.say("")
