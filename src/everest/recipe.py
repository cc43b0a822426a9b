"""This file decides what a recipe is: every choice of a run that changes its result.

The command line and the Python keywords are made of these fields; `recipes.py` has the named ones.
"""

import dataclasses
import difflib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from everest.crops import Crop, Sides
from everest.judging import Judge
from everest.names import METHODS, Method, decoders_of

Auto = Literal["auto"]


class RecipeError(ValueError):
    """A choice that cannot be run, with what was given and what would do."""


@dataclass(frozen=True)
class Optim:
    lr: float = 1e-3  # per `per` clips a step; scaled by the batch
    min_lr: float = 1e-5  # at the end of a cosine; scaled alike
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.05
    eps: float = 1e-8
    warmup: float = 40  # epochs from rate 0
    warmup_share: float | None = None  # of all steps; instead of warmup
    clip_grad: float | None = None  # largest L2 norm of the gradient
    layer_decay: float = 1.0  # rate factor from one block to the one before it
    kind: Literal["adamw", "sgd"] = "adamw"
    momentum: float = 0.9  # of sgd
    schedule: Literal["cosine", "steps"] = "cosine"
    decay_at: tuple[float, ...] = ()  # epochs at which steps multiply the rate
    decay_by: float = 0.1  # what they multiply it by
    per: int = 256  # clips a step that lr and min_lr are given for


@dataclass(frozen=True)
class Recipe:
    """What pre-training and fine-tuning share."""

    model: str = "vit-b"  # vit-ti, vit-s, vit-b, vit-l, vit-h, or width/depth/heads as 192x6x3
    frames: int = 16  # of a clip
    tubelet: int = 2  # frames of a token
    patch: int = 16  # pixels a side of a token
    size: int | str = 224  # pixels a side, or HEIGHTxWIDTH
    stride: float = 4  # source frames from one frame of a clip to the next
    fps: float | None = None  # frames a second, instead of a stride
    sampling: Literal["dense", "segments"] = "dense"  # segments: frames spread over the video
    positions: Literal["auto", "sinusoid", "sincos3d", "table"] = (
        "auto"  # of tokens; table: learned
    )
    class_token: bool = False  # read one more token first, as some released models do
    select: str = "auto"  # rero, random, tube, all; auto: the method's
    frame_select: bool = False  # choose informative frame pairs of a longer window
    alpha: float = 1.5  # candidate frames over frames, for frame selection
    crop: Crop = "multiscale"  # training crop
    crop_shift: int = 0  # pixels that crop "shift" moves the centre crop by
    short_side: int | None = None  # pixels: scale videos to this before cropping
    fit: Literal["crop", "pad"] = "crop"  # pad: show the whole frame, black beside it
    flip: float = 0.0  # share of clips mirrored; wrong for lips, text, left and right
    epochs: int = 800
    batch_size: int | Auto = 64  # clips a step, over all processes and accumulation
    accumulate: int = 1  # parts that a step's batch is computed in; changes no result
    clips_per_video: int | Auto = 1  # clips an epoch takes of a video; auto: one a started 10 s
    eval_every: int | Auto = "auto"  # epochs from one validation to the next
    patience: int | None = None  # evaluations without a gain after which a run ends
    ema: float | None = None  # share of the averaged weights that a step keeps, such as 0.9999
    seed: int = 0
    precision: Literal["auto", "float32", "bf16"] = "auto"
    device: str = "auto"  # auto, cpu, cuda, mps
    workers: int | Auto = "auto"  # processes that read videos
    cache: str | None = None  # folder for decoded frames
    optim: Optim = field(default_factory=Optim)

    @property
    def sides(self) -> Sides:
        return sides_of(self.size)

    @property
    def selector(self) -> str:
        """The selector's name: the one asked for, or the method's."""
        return self.select if self.select != "auto" else self.own("select")

    def own(self, name: str) -> Any:
        """What the method says where the recipe leaves it to it; fine-tuning is EVEREST's."""
        return METHODS[getattr(self, "method", "everest")][name]

    def to_json(self) -> dict[str, Any]:
        return {"job": JOBS[type(self)], **dataclasses.asdict(self)}


@dataclass(frozen=True)
class PretrainRecipe(Recipe):
    """Hides tokens and learns to predict them."""

    method: Method = "everest"  # everest, videomae, mvd, mme: the method's selector and targets
    keep: int | float = 0.3  # share (0.3) or count (470) of tokens kept, by change
    visible: int | float | Auto = "auto"  # share or count of tokens that the encoder reads
    targets: str = "auto"  # predicted at masked tokens: a+b heads of one decoder, a,b two decoders
    image_teacher: str | None = None  # weights of an image model, for image_features
    video_teacher: str | None = None  # weights of a video model, for video_features
    trajectories: str | None = None  # folder that everest trajectories wrote, for trajectory
    decoder_width: int | Auto = "auto"  # auto: the method's
    decoder_depth: int | Auto = "auto"  # blocks
    decoder_share: float = 1.0  # of all tokens that are decoded, in running cells (VideoMAE V2)
    drop_path: float = 0.0
    probe_data: str | None = None  # labelled clips that frozen features are probed on
    probe_label: str | None = None  # their label column, where a list has several
    probe_every: int | Auto = "auto"  # epochs from one probe to the next; auto: eval_every
    best_by: Judge = "validation"  # what chooses the best weights, and patience goes by

    @property
    def decoders(self) -> list[list[str]]:
        """Names of targets, a list a decoder; raises ValueError for a name that is none."""
        return decoders_of(self.own("targets") if self.targets == "auto" else self.targets)


@dataclass(frozen=True)
class FinetuneRecipe(Recipe):
    """Trains a classifier on labelled clips."""

    keep: int | float = 0.6  # share (0.6) or count (940) of tokens read
    crop: Crop = "area"
    epochs: int = 100
    batch_size: int | Auto = 16
    pool: Literal["mean", "steps"] = "mean"  # steps: each time step's mean, concatenated
    head_norm: Literal["layer", "batch", "none"] = "layer"  # norm of the pooled features
    encoder_norm: Literal["keep", "drop"] = "drop"  # the encoder's final norm
    head_scale: float = 0.001  # of the head's first weights
    start: Literal["truncated", "xavier"] = "truncated"  # first weights from scratch
    drop_path: float = 0.1
    dropout: float = 0.0  # of the features, before the head
    smoothing: float = 0.1  # of labels of one class
    smallest_area: float = 0.08  # share of the frame, of crop "area"
    randaugment: str = ""  # such as rand-m7-n4-mstd0.5-inc1
    jitter: float = 0.0  # strength of brightness, contrast and colour changes
    erasing: float = 0.0  # share of clips with a box of noise
    mixup: float = 0.0  # alpha of Beta(alpha, alpha); 0: off
    cutmix: float = 0.0  # alpha of Beta(alpha, alpha); 0: off
    repeats: int = 1  # differently augmented clips of a decode; not counted in the rate's batch
    balance: bool = False  # each class equally often in an epoch
    freeze: bool = False  # train the head alone: a linear probe of what --init brings
    optim: Optim = field(
        default_factory=lambda: Optim(min_lr=1e-6, betas=(0.9, 0.999), warmup=5, layer_decay=0.75)
    )


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)
JOBS: dict[type[Recipe], str] = {PretrainRecipe: "pretrain", FinetuneRecipe: "finetune"}
# What may differ when a run is resumed: how the work is done, never what is computed.
# A teacher's file may move: what it holds is compared (preparing.py).
FREE_ON_RESUME = frozenset(
    {"workers", "device", "cache", "accumulate", "image_teacher", "video_teacher", "probe_data"}
)
TOLD = ("named", "teachers")  # stand in a run folder's recipe.json beside the recipe's fields


def sides_of(size: int | str) -> Sides:
    """224 -> (224, 224); "128x224" -> (128, 224); raises RecipeError."""
    try:
        parts = [int(part) for part in str(size).lower().split("x")]
    except ValueError:
        parts = []
    if len(parts) == 1:
        parts *= 2
    if len(parts) != 2 or min(parts) < 1:
        raise RecipeError(f"--size {size}: give pixels a side (224) or HEIGHTxWIDTH (128x224)")
    return parts[0], parts[1]


def changed(recipe: AnyRecipe, **fields: Any) -> AnyRecipe:
    """The recipe with other values; a misspelt field is refused with the nearest names.

    Fields of the optimiser are written as `optim__lr` or passed whole as `optim`.
    """
    own = {item.name for item in dataclasses.fields(recipe)}
    nested = {f"optim__{item.name}" for item in dataclasses.fields(Optim)}
    for name in fields:
        if name not in own | nested:
            near = difflib.get_close_matches(name, own | nested, n=3)
            hint = (
                f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(sorted(own))}"
            )
            raise RecipeError(f"{name}: a {JOBS[type(recipe)]} recipe has no such field; {hint}")
    optim = {
        name.removeprefix("optim__"): fields.pop(name) for name in list(fields) if name in nested
    }
    if optim:
        fields["optim"] = dataclasses.replace(fields.get("optim", recipe.optim), **optim)
    return dataclasses.replace(recipe, **fields)


def from_json(kind: type[Recipe], content: dict[str, Any], source: str) -> Recipe:
    """A recipe as `to_json` wrote it; raises RecipeError for another job or unknown fields."""
    content = dict(content)
    for name in TOLD:
        content.pop(name, None)
    job = content.pop("job", JOBS[kind])
    if job != JOBS[kind]:
        raise RecipeError(f"{source}: a recipe for {job}, not for {JOBS[kind]}")
    optim = dict(content.pop("optim", {}))
    for name in {"betas", "decay_at"} & set(optim):
        optim[name] = tuple(optim[name])
    try:
        return changed(kind(optim=Optim(**optim)), **content)
    except TypeError as error:
        raise RecipeError(f"{source}: {error}") from error


def read_recipe(kind: type[Recipe], path: Path) -> Recipe:
    try:
        content = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RecipeError(f"{path}: not a recipe file ({error})") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: a recipe file holds one JSON object")
    return from_json(kind, content, str(path))


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")
