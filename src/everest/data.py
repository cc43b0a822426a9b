"""This file decides how the clips of a run are split and brought: index -> loaders."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from everest import build, keys
from everest.augment.asked import changes_of, mixing_of
from everest.balancing import first_class_column
from everest.config import ModelConfig
from everest.index import Index, Row
from everest.kinds import columns_of, ids_of
from everest.loading import Loader, evaluation_framing
from everest.reading import Framing
from everest.recipe import FinetuneRecipe, PretrainRecipe, Recipe, RecipeError
from everest.sampling import Sampling
from everest.trajectories.files import TrajectoriesError, place_of, read_settings
from everest.trajectories.riding import Wanted, lost_clip

HELD_OUT_SHARE = 0.05
HELD_OUT_MOST = 200  # videos


def hold_out(index: Index, seed: int) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """(rows to learn from, held-out rows) for pre-training.

    Where the source has a split, train rows and val rows; test rows are never touched. A bare
    folder holds out min(5 %, 200) of its videos, at least one of two, drawn by the seed.
    """
    if any(row.split for row in index.rows):
        train = tuple(row for row in index.rows if row.split in ("train", None))
        held = tuple(row for row in index.rows if row.split == "val")
        if train and held:
            return train, held
        rows = train or index.rows
    else:
        rows = index.rows
    good = [number for number, row in enumerate(rows) if not row.bad]
    count = min(round(HELD_OUT_SHARE * len(good)), HELD_OUT_MOST)
    count = max(count, 1) if len(good) > 1 else 0
    drawn = keys.order(keys.make_key(seed), "held_out", len(good))[:count]
    chosen = {good[place] for place in drawn}
    return (
        tuple(row for number, row in enumerate(rows) if number not in chosen),
        tuple(rows[number] for number in sorted(chosen)),
    )


def sampling_of(recipe: Recipe, config: ModelConfig) -> Sampling:
    training = Framing(
        recipe.sides,
        recipe.fit,
        recipe.short_side,
        recipe.crop,
        recipe.crop_shift,
        recipe.flip,
        recipe.smallest_area if isinstance(recipe, FinetuneRecipe) else 0.08,
        changes_of(recipe, config),
    )
    return Sampling(
        build.candidate_frames(config),
        recipe.stride,
        recipe.fps,
        training,
        still_framing(config),
        "end" if isinstance(recipe, FinetuneRecipe) and recipe.crop == "area" else "window",
        recipe.seed,
        wanted_trajectories(recipe, config),
        together_of(config),
    )


def together_of(config: ModelConfig) -> int | None:
    """Frames that lie together with segment sampling: one, or where pairs are chosen a pair."""
    if config.clip.sampling == "dense":
        return None
    return config.vit.tubelet if config.pairs else 1


def wanted_trajectories(recipe: Recipe, config: ModelConfig) -> Wanted | None:
    """The trajectories that a recipe's clips carry: 2x2 points a token."""
    if not isinstance(recipe, PretrainRecipe) or recipe.trajectories is None:
        return None
    vit, (height, width) = config.vit, config.clip.size
    points = (2 * (height // vit.patch), 2 * (width // vit.patch))
    return Wanted(recipe.trajectories, vit.tubelet, points)


def blank_extra(recipe: Recipe, config: ModelConfig) -> dict[str, torch.Tensor]:
    """What one clip carries beside its pixels, with nothing in it: to measure a step with."""
    wanted = wanted_trajectories(recipe, config)
    if wanted is None:
        return {}
    steps = build.candidate_frames(config) // wanted.tubelet
    return {"trajectory": torch.from_numpy(lost_clip(steps, wanted.points))[None]}


def still_framing(config: ModelConfig) -> Framing:
    """How a model's clips are framed outside training: scaled, the centre of the frame."""
    clip = config.clip
    short_side = clip.short_side
    if short_side is None and clip.size[0] == clip.size[1] and clip.fit == "crop":
        short_side = clip.size[0]
    return evaluation_framing(Framing(clip.size, clip.fit, short_side))


def still_sampling(config: ModelConfig, seed: int = 0) -> Sampling:
    """How a finished model's clips are sampled."""
    framing = still_framing(config)
    frames = build.candidate_frames(config)
    return Sampling(
        frames,
        config.clip.stride,
        config.clip.fps,
        framing,
        framing,
        seed=seed,
        together=together_of(config),
    )


def loader_of(
    rows: Sequence[Row], recipe: Recipe, config: ModelConfig, workers: int, *, once: bool = False
) -> Loader:
    """`once`: one clip a video, whatever the recipe (validation)."""
    sampling = sampling_of(recipe, config)
    columns = columns_of(config.classes, config.kinds)
    if once:
        return Loader(rows, sampling, workers, recipe.cache, columns=columns)
    repeats = recipe.repeats if isinstance(recipe, FinetuneRecipe) else 1
    return Loader(
        rows,
        sampling,
        workers,
        recipe.cache,
        recipe.clips_per_video,
        repeats,
        mixing_of(recipe, config),
        columns,
        balance_of(recipe, config),
    )


def balance_of(recipe: Recipe, config: ModelConfig) -> str | None:
    """The label column whose classes come equally often; raises RecipeError where none can."""
    if not isinstance(recipe, FinetuneRecipe) or not recipe.balance:
        return None
    column = first_class_column(config.classes, config.kinds)
    if column is None:
        raise RecipeError(
            "--balance: takes each class equally often, and no label column holds one class a clip;"
            " leave it out, or name such a column in --label"
        )
    return column


def span_frames(row: Row) -> int:
    from everest.frames import span_of

    return span_of(row.frames, row.fps, row.start, row.end)[1] if row.frames else 0


def short_clips(rows: Sequence[Row], recipe: Recipe, frames: int) -> list[str]:
    """What to say of videos shorter than a clip; raises RecipeError when all have fewer frames
    than are asked for."""
    good = [row for row in rows if row.frames]
    if not good:
        return []
    longest = max(span_frames(row) for row in good)
    if longest < frames:
        more = ""
        if frames != recipe.frames:
            more = f" ({frames} candidates with --frame-select)"
        raise RecipeError(
            f"--frames {recipe.frames}{more}: the longest video has {longest} frames; "
            f"give --frames {largest_multiple(longest, recipe.tubelet)} or fewer"
        )

    def span(row: Row) -> float:
        if recipe.sampling == "segments":
            return frames
        stride = recipe.stride if recipe.fps is None else row.fps / recipe.fps
        return (frames - 1) * stride + 1

    short = [row for row in good if span_frames(row) < span(row)]
    if not short:
        return []
    told = [
        f"{len(short)} of {len(good)} videos are shorter than a clip; their last frame is repeated"
    ]
    is_dense = recipe.sampling == "dense"
    if len(short) > len(good) / 2 and is_dense and recipe.fps is None and recipe.stride > 1:
        lengths = sorted(span_frames(row) for row in good)
        fitting = max(int(lengths[len(lengths) // 2] / frames), 1)
        told.append(f"most are: --stride {fitting} would fit the median video")
    return told


def lost_trajectories(rows: Sequence[Row], recipe: Recipe) -> list[str]:
    """What to say of videos without trajectories; raises RecipeError when none has any."""
    if not isinstance(recipe, PretrainRecipe) or recipe.trajectories is None:
        return []
    try:
        read_settings(recipe.trajectories)
    except TrajectoriesError as error:
        raise RecipeError(f"--trajectories {error}") from error
    paths = dict.fromkeys(row.path for row in rows if not row.bad)
    lost = [path for path in paths if not has_trajectories(path, recipe.trajectories)]
    if paths and len(lost) == len(paths):
        raise RecipeError(
            f"--trajectories {recipe.trajectories}: has none of these {len(paths)} videos; run "
            f"everest trajectories VIDEOS --out {recipe.trajectories} on them"
        )
    if not lost:
        return []
    return [
        f"{len(lost)} of {len(paths)} videos have no trajectories in {recipe.trajectories}; they "
        f"count nothing in that target's loss (the first is {lost[0]})"
    ]


def has_trajectories(path: str, folder: str) -> bool:
    try:
        return place_of(path, folder).exists()
    except OSError:  # it cannot be read: it is told, and counted, as a bad clip
        return False


def largest_multiple(frames: int, tubelet: int) -> int:
    return max(frames // tubelet * tubelet, tubelet)


def unlabelled(rows: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(replace(row, labels={}) for row in rows)


def fewer_labels(index: Index, count: int, seed: int) -> Index:
    """The index with only `count` training rows of each class (of the first label column)."""
    if count < 1:
        raise RecipeError(f"--labels-per-class {count}: must be at least 1")
    column = first_class_column(index.classes, index.kinds)
    if column is None:
        raise RecipeError(
            f"--labels-per-class {count}: no label column holds one class a clip; leave it out"
        )
    key = keys.make_key(seed)
    taken: dict[tuple[int, ...], int] = {}
    chosen = set()
    for place in keys.order(key, "labels_per_class", len(index.rows)):
        row = index.rows[place]
        label = ids_of(row.labels[column])
        if row.split == "train" and not row.bad and taken.get(label, 0) < count:
            taken[label] = taken.get(label, 0) + 1
            chosen.add(place)
    rows = tuple(
        row for place, row in enumerate(index.rows) if row.split != "train" or place in chosen
    )
    return replace(index, rows=rows)
