"""This file decides the Python functions: the jobs in the words of the command line, and the
selection for other people's code."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from everest import build, pairs
from everest.build import Model
from everest.console import Console
from everest.frame_folders import RATE
from everest.jobs import Ask, Labels, finetune_job, pretrain_job
from everest.options import RunOptions
from everest.probes.figures import Probed
from everest.probes.telling import tell
from everest.probing import ProbeOptions, check_out, probe_model
from everest.recipe import changed
from everest.run import Run, load
from everest.selection import Budget, count_of, size_of, top

Sources = str | Path | Sequence[str | Path]


def listed(sources: Sources) -> list[str]:
    if isinstance(sources, (str, Path)):
        return [str(sources)]
    return [str(source) for source in sources]


def pretrain(
    videos: Sources,
    *,
    out: str | Path,
    recipe: str = "auto",
    init: str | Path | Run | None = None,
    family: str | None = None,
    allow_missing: bool = False,
    fold: int | None = None,
    frame_rate: float = RATE,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    **fields: Any,
) -> Run:
    """Pre-trains on videos without labels and returns the run.

    `fields` are those of the recipe (model="vit-s", epochs=200, keep=0.3, optim__lr=3e-4); a
    misspelt one is refused with the nearest names. `fold` is the official split of a set that has
    several, as in "ucf101:DIR"; `frame_rate` that of folders of frames, frames a second. Raises
    ValueError with what to do.
    """
    options = RunOptions(
        Path(out),
        recipe,
        start(init),
        resume,
        overwrite,
        family=family or settled_family(init),
        allow_missing=allow_missing,
    )
    ask = Ask(listed(videos), options, fold=fold, frame_rate=frame_rate)
    pretrain_job(ask, lambda chosen: changed(chosen, **fields), Console(quiet=quiet))
    return load(out)


def finetune(
    data: Sources,
    *,
    out: str | Path,
    init: str | Path | Run | None = None,
    family: str | None = None,
    allow_missing: bool = False,
    recipe: str = "auto",
    label: Sequence[str] = (),
    split: float | None = None,
    fold: int | None = None,
    frame_rate: float = RATE,
    group: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    **fields: Any,
) -> Run:
    """Fine-tunes a classifier on labelled videos and returns the run; `fields` as in pretrain.

    `label`: columns of a list, as "digit" (one class a clip), "tags:multi" (several) or
    "score:number".
    """
    options = RunOptions(
        Path(out),
        recipe,
        start(init),
        resume,
        overwrite,
        family=family or settled_family(init),
        allow_missing=allow_missing,
    )
    ask = Ask(listed(data), options)
    columns = (label,) if isinstance(label, str) else tuple(label)
    labels = Labels(columns, group, split, fold=fold, frame_rate=frame_rate)
    finetune_job(ask, labels, lambda chosen: changed(chosen, **fields), Console(quiet=quiet))
    return load(out)


def probe(
    run: str | Path | Run,
    data: Sources,
    *,
    pool: Literal["steps", "mean"] = "steps",
    keep: Budget | None = None,
    views: int = 1,
    neighbours: int | None = None,
    attentive: bool = False,
    epochs: int = 20,
    untrained: bool = False,
    label: Sequence[str] = (),
    split: float | None = None,
    fold: int | None = None,
    frame_rate: float = RATE,
    group: str | None = None,
    labels_per_class: int | None = None,
    allow_unseen: bool = False,
    out: str | Path | None = None,
    seed: int = 0,
    workers: int = 0,
    quiet: bool = False,
) -> Probed:
    """Measures a model's frozen features on labelled videos: kNN, linear, and where asked an
    attentive probe, for each label column; the words are those of `everest probe`.

    `.top1("linear")` is a share of the test clips (of val where there is no test part), `.columns`
    has all figures, `.features.vectors` (N, F) what was read. Raises ValueError with what to do.
    """
    place = None if out is None else Path(out)
    check_out(place, overwrite=False)
    columns = (label,) if isinstance(label, str) else tuple(label)
    labels = Labels(columns, group, split, labels_per_class, allow_unseen, fold, frame_rate)
    options = ProbeOptions(
        pool, keep, views, neighbours, attentive, epochs, untrained, seed, workers
    )
    model, console = load(run), Console(quiet=quiet)
    model.tell(console)
    found = probe_model(model, listed(data), labels, options)
    tell(found, console)
    if place is not None:
        found.save(place)
    return found


def start(init: str | Path | Run | None) -> str | None:
    if isinstance(init, Run):
        return init.source
    return None if init is None else str(init)


def settled_family(init: str | Path | Run | None) -> str | None:
    """The family that a loaded run was told to be of, so that it is read the same way again."""
    report = init.key_report if isinstance(init, Run) else None
    return report.family if report is not None and "positions" not in report.assumed else None


def from_pretrained(folder: str | Path) -> Model:
    """The model, in evaluation mode, of a folder that `save_pretrained` wrote."""
    return build.from_pretrained(folder)


def change(embeddings: Tensor) -> Tensor:
    """(B, t, h, w, D) -> (B, t, h, w) float32: the L2 distance to the step before; step 0 takes the
    scores of step 1. Raises ValueError for one time step or another rank."""
    if embeddings.ndim != 5 or embeddings.shape[1] < 2:
        raise ValueError(
            f"embeddings of shape {tuple(embeddings.shape)}: give (B, t, h, w, D) with t at least 2"
        )
    steps = embeddings.detach().float()
    scores = torch.linalg.vector_norm(steps[:, 1:] - steps[:, :-1], dim=-1)
    return torch.cat((scores[:, :1], scores), dim=1)


def select_tokens(embeddings: Tensor, keep: Budget = 0.3) -> tuple[Tensor, Tensor]:
    """ReRo for any embeddings: (B, t, h, w, D), before positions -> ((B, K) ascending positions in
    the flattened (t, h, w) grid, (B, t, h, w) scores). Source: METHOD.md 1.2."""
    scores = change(embeddings)
    grid = scores.shape[1], scores.shape[2], scores.shape[3]
    return top(scores.flatten(1), count_of(keep, size_of(grid), "keep")), scores


def select_frames(
    embeddings: Tensor,
    frames: int = 16,
    *,
    tubelet: int = 2,
    keep: Budget = 0.3,
    key: Tensor | None = None,
) -> Tensor:
    """Information-intensive frames: (B, t, h, w, D) of all candidates -> (B, frames) indices.

    Indices count candidate frames, `tubelet` a time step. With a key, (B,) int64, the pairs are
    drawn in proportion to their tokens, as in training; without one the fullest are taken.
    """
    scores = change(embeddings)
    _, t, h, w = scores.shape
    steps = frames // tubelet
    if frames % tubelet or not 0 < steps <= t:
        raise ValueError(
            f"frames {frames}: must be a multiple of the tubelet, {tubelet}, and at most the "
            f"{t * tubelet} candidates"
        )
    counts = pairs.shares(scores, count_of(keep, size_of((t, h, w)), "keep"))
    chosen = pairs.pick(counts, steps, key)
    inside = torch.arange(tubelet, device=chosen.device)
    return (chosen[:, :, None] * tubelet + inside).flatten(1)


def pixel_patches(video: Tensor, *, patch: int = 16, tubelet: int = 2) -> Tensor:
    """Embeddings where there is no model: (B, C, T, H, W) -> (B, t, h, w, C*tubelet*patch*patch)
    float32 in 0..1 (uint8 is divided by 255). Raises ValueError for sizes with a remainder."""
    if video.ndim != 5:
        raise ValueError(f"video of shape {tuple(video.shape)}: give (B, C, T, H, W)")
    B, C, T, H, W = video.shape
    if T % tubelet or H % patch or W % patch:
        raise ValueError(
            f"video of {T} frames, {H}x{W} pixels: frames must be a multiple of {tubelet}, sides "
            f"of {patch}"
        )
    values = video.float() / 255 if video.dtype == torch.uint8 else video.float()
    split = values.reshape(B, C, T // tubelet, tubelet, H // patch, patch, W // patch, patch)
    t, h, w = T // tubelet, H // patch, W // patch
    return split.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(B, t, h, w, -1)
