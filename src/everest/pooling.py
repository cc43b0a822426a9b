"""This file decides how the tokens that were read become vectors of a clip, and clips vectors of a
window.

B clips; V tokens read; D width of a token; F numbers of a vector.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from everest.build import Model
from everest.classify import VideoClassifier
from everest.clips import Clips
from everest.probes.features import trunk
from everest.vit import VideoTransformer

Pool = Literal["mean", "max", "tokens"]
POOLS: tuple[Pool, ...] = ("mean", "max", "tokens")
Seen = tuple[Tensor, Tensor | None]  # (B, F) or (B, V, D); positions (B, V) of tokens


def pooled(model: Model, pool: Pool) -> tuple[nn.Module, Callable[[dict[str, Tensor]], Seen]]:
    """(what reads the clips, what is taken of its answer).

    mean: what the model itself pools, the mean over the tokens read (a mean a time step, one after
    the other, with --pool steps; a supervised model's own pooling). max: the largest of each number
    over the tokens read. tokens: every token read, with its position. Raises ValueError where a
    model has no tokens.
    """
    if pool not in POOLS:
        raise ValueError(f"--pool {pool}: choose of {', '.join(POOLS)}")
    if pool == "mean":
        return model, lambda out: (out["features"], None)
    if isinstance(model, VideoClassifier):
        if not isinstance(model.reader, VideoTransformer):
            raise ValueError(
                f"--pool {pool}: a supervised model gives one vector a clip and no tokens; use "
                f"--pool mean"
            )
    reader = trunk(model)
    if pool == "max":
        return reader, lambda out: (out["tokens"].amax(dim=1), None)
    return reader, lambda out: (out["tokens"], out["visible"])


@torch.inference_mode()
def ask(
    reader: nn.Module, taken: Callable[[dict[str, Tensor]], Seen], clips: Clips
) -> tuple[np.ndarray, np.ndarray | None]:
    """Clips on the model's device -> (vectors float32, positions int64), on the CPU."""
    vectors, positions = taken(reader(clips))
    told = None if positions is None else positions.cpu().numpy()
    return vectors.float().cpu().numpy(), told


def together(views: list[np.ndarray], pool: Pool) -> np.ndarray:
    """The clips of one window -> its vector: their mean, or the largest of each number."""
    if len(views) == 1:
        return views[0]
    stacked = np.stack(views)
    return stacked.max(axis=0) if pool == "max" else stacked.mean(axis=0, dtype=np.float32)
