"""This file decides what a film of a model's tokens shows: what is kept, what comes back.

T frames; t, h, w the token grid; H, W pixels of the clip; n candidate frame pairs.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from everest.clips import Clips
from everest.entries import shown
from everest.frame_folders import RATE
from everest.masked import MaskedVideoAutoencoder
from everest.report.panels import film
from everest.run import Run
from everest.windows import rows_of

THUMBNAIL = 72  # pixels high, of a candidate frame pair


@dataclass(frozen=True)
class Shown:
    """A film and the counts it shows."""

    frames: list[np.ndarray]  # (H, W, 3) uint8 each
    visible: int
    masked: int
    total: int


@dataclass(frozen=True)
class Seen:
    """One clip as a model sees it."""

    video: np.ndarray  # (T, H, W, C) uint8: what is read, the chosen pairs of the candidates
    scores: np.ndarray  # (t, h, w) float: how much each token changed
    is_visible: np.ndarray  # (t, h, w) bool
    is_masked: np.ndarray  # (t, h, w) bool
    rebuilt: np.ndarray | None  # (T, H, W, C) uint8; None where no pixels are predicted
    is_chosen: np.ndarray | None  # (n,) bool; None without frame selection
    candidates: np.ndarray | None  # (n, H, W, C) uint8: the first frame of each pair
    out: dict[str, Tensor]  # all that the model gave, on the CPU


def show(run: Run, path: str, *, frame_rate: float = RATE) -> Shown:
    """The middle clip of a video through a model; `frame_rate` (frames a second) is that of a
    folder of frames. Raises ValueError when it cannot be read."""
    loader = run.loader(rows_of(path, None, None, frame_rate))
    try:
        clips = next(iter(loader.evaluation(1)))
    finally:
        loader.close()
    if loader.bad:
        entry = loader.bad_files()[0]
        raise ValueError(f"{shown(entry['path'])}: {shown(entry['reason'])}")
    return draw(run, clips)


def draw(run: Run, clips: Clips) -> Shown:
    """A batch of one clip -> its film."""
    seen = look(run, clips)
    frames = film(
        seen.video,
        seen.scores,
        seen.is_visible,
        seen.is_masked,
        seen.rebuilt,
        seen.is_chosen,
        seen.candidates,
        tubelet=run.config.vit.tubelet,
        patch=run.config.vit.patch,
    )
    visible, masked = int(seen.is_visible.sum()), int(seen.is_masked.sum())
    return Shown(frames, visible, masked, seen.is_visible.size)


@torch.inference_mode()
def look(run: Run, clips: Clips) -> Seen:
    """A batch of one clip -> what the model sees of it, and what it makes of the rest."""
    place = run.placed()
    model = run.model.eval()
    with place.autocast():
        out = {name: value.cpu() for name, value in model(place.bring(clips)).items()}
    vit = run.config.vit
    candidates = clips.video[0].permute(1, 2, 3, 0).numpy()  # (T, H, W, C)
    thumbnails = chosen = None
    if "steps" in out:
        chosen = np.zeros(len(candidates) // vit.tubelet, bool)
        chosen[out["steps"][0].numpy()] = True
        thumbnails = candidates[:: vit.tubelet]
        clips = clips.at(out["steps"], vit.tubelet)
    video = clips.video[0].permute(1, 2, 3, 0).contiguous()
    grid = (
        len(video) // vit.tubelet,
        video.shape[1] // vit.patch,
        video.shape[2] // vit.patch,
    )
    total = grid[0] * grid[1] * grid[2]
    visible = out.get("visible", torch.arange(total)[None])[0]
    masked = out.get("masked", visible[None, :0])[0]
    scores = out["scores"][0].numpy() if "scores" in out else np.zeros(grid)
    reconstruction = None
    pixels = next((name for name in out if name.endswith(".pixels")), None)
    if isinstance(model, MaskedVideoAutoencoder) and pixels is not None:
        predicted = out[pixels][0].float()
        reconstruction = rebuild(model, clips, masked, predicted)
    return Seen(
        video.numpy(),
        scores,
        marked(visible, grid),
        marked(masked, grid),
        reconstruction,
        chosen,
        thumbnails,
        out,
    )


def marked(positions: Tensor, grid: tuple[int, int, int]) -> np.ndarray:
    flags = np.zeros(grid, bool)
    flags.reshape(-1)[positions.numpy()] = True
    return flags


def rebuild(
    model: MaskedVideoAutoencoder, clips: Clips, masked: Tensor, predicted: Tensor
) -> np.ndarray:
    """(T, H, W, C) uint8: the clip with the masked tokens as the model predicts them.

    Predictions are normalised a token and channel: mean and spread are put back from the clip, as
    is usual for pictures of such models.
    """
    config = model.config.vit
    look = model.encoder.look(clips._replace(video=clips.video.to(next(model.parameters()).device)))
    patches = look.patches[0].cpu().flatten(0, 2).float()  # (N, P)
    own = patches[masked].unflatten(1, (-1, config.channels))
    spread, mean = torch.std_mean(own, dim=1, keepdim=True)
    values = predicted.unflatten(1, (-1, config.channels)) * spread + mean
    patches[masked] = values.flatten(1)
    t, h, w = look.grid
    pixels = patches.view(t, h, w, config.tubelet, config.patch, config.patch, config.channels)
    video = pixels.permute(0, 3, 1, 4, 2, 5, 6)  # t, frame, h, row, w, column, channel
    shape = (t * config.tubelet, h * config.patch, w * config.patch, config.channels)
    return video.reshape(shape).clamp(0, 255).round().to(torch.uint8).numpy()
