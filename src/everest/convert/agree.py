"""This file decides whether a written Hugging Face folder gives the outputs of the model here."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from everest.build import Model
from everest.classify import VideoClassifier
from everest.clips import Clips
from everest.selection import AllTokens, RandomTokens

AGREES = 1e-4  # largest difference that float32 and other layer norms' eps may make


class Disagreement(ValueError):
    """A folder that does not give the same outputs."""

    exit_code = 1


def largest_difference(folder: Path, model: Model) -> str:
    """A sentence on the largest difference of the outputs for a random clip at keep 1.0.

    Loads the folder as a user of transformers would. Raises Disagreement above 1e-4, or where
    tensors do not match; says that nothing was tried where transformers does not import.
    """
    try:
        their_classes()
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision of another torch
        return f"not tried, transformers does not import ({error}): pip install 'everest-video[hf]'"
    largest = difference_on(folder, model, random_clip(model))
    if not largest <= AGREES:
        raise Disagreement(
            f"transformers gives other outputs of these weights, by up to {largest:.1e} where at "
            f"most {AGREES:.0e} is expected: nothing was written. Its fc_norm and decoder.norm add "
            f"1e-5 to the variance, these 1e-6, which tells where features are all but constant"
        )
    return f"the same outputs in transformers on a random clip: largest difference {largest:.1e}"


def their_classes() -> tuple[Any, Any]:
    """transformers' classifier and autoencoder; raises ImportError, or what importing raises."""
    from transformers import VideoMAEForPreTraining, VideoMAEForVideoClassification, logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return VideoMAEForVideoClassification, VideoMAEForPreTraining


def difference_on(folder: Path, model: Model, clips: Clips) -> float:
    """The largest difference of the outputs for a clip at keep 1.0; raises Disagreement where
    tensors do not match."""
    classifier, autoencoder = their_classes()
    kind = classifier if isinstance(model, VideoClassifier) else autoencoder
    other, found = kind.from_pretrained(folder, output_loading_info=True, local_files_only=True)
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if found[what]:
            raise Disagreement(f"transformers finds {what} {sorted(found[what])[:3]}")
    ours, theirs = outputs(model, other.eval(), clips)
    return max((a - b).abs().max().item() for a, b in zip(ours, theirs, strict=True))


def random_clip(model: Model) -> Clips:
    clip, channels = model.config.clip, model.config.vit.channels
    shape = (1, channels, clip.frames, *clip.size)
    video = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0))
    key = torch.zeros(1, dtype=torch.int64)
    return Clips(video.to(torch.uint8), {}, torch.ones(1), key, key, {})


def normalised(model: Model, video: Tensor) -> Tensor:
    """(B, C, T, H, W) uint8 -> (B, T, C, H, W), as Hugging Face's processor makes it."""
    vit = model.config.vit
    mean, std = (torch.tensor(part)[:, None, None] for part in (vit.mean, vit.std))
    return (video.transpose(1, 2).float() / 255 - mean) / std


@torch.inference_mode()
def outputs(model: Model, other: Any, clips: Clips) -> tuple[list[Tensor], list[Tensor]]:
    """What both make of the clip: logits, or features of all tokens and predictions of half."""
    pixels = normalised(model, clips.video)
    select, frames, model.frames = model.select, model.frames, None
    try:
        if isinstance(model, VideoClassifier):
            model.select = AllTokens()
            (column,) = model.columns
            return [model(clips)[f"logits.{column}"]], [other(pixel_values=pixels).logits]
        model.select = RandomTokens(1.0, 0.5)
        out = model(clips)
        hidden = torch.ones(1, out["visible"].shape[1] + out["masked"].shape[1], dtype=torch.bool)
        hidden[0, out["visible"][0]] = False
        predicted = other(pixel_values=pixels, bool_masked_pos=hidden).logits
        model.select = AllTokens()
        features = other.videomae(pixel_values=pixels).last_hidden_state.mean(dim=1)
        return [out["prediction.0.pixels"], model(clips)["features"]], [predicted, features]
    finally:
        model.select, model.frames = select, frames
