"""This file decides which changes a clip gets, and in which order: RandAugment on the frames, then
(once it is cropped and mirrored) jitter and erasing. It runs in the reading processes."""

from dataclasses import dataclass

import numpy as np

from everest.augment.spec import RandAugment


@dataclass(frozen=True)
class Changes:
    """What may be changed of a clip's pixels; part of every training request."""

    randaugment: RandAugment | None = None
    jitter: float = 0.0  # strength of brightness, contrast and colour changes, 0..1
    erasing: float = 0.0  # share of clips with a box of noise
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)  # the model's, of pixels in 0..1: noise's too
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    def of_frames(self, frames: np.ndarray, key: int) -> np.ndarray:
        """Before the crop: (T, H, W, 3) uint8, whole frames."""
        if self.randaugment is None:
            return frames
        from everest.augment.randaugment import randaugment

        return randaugment(frames, self.randaugment, key)

    def of_clip(self, clip: np.ndarray, key: int) -> np.ndarray:
        """After crop and flip: (T, H, W, 3) uint8 of the model's size."""
        if self.jitter > 0:
            from everest.augment.jitter import jitter

            clip = jitter(clip, self.jitter, key)
        if self.erasing > 0:
            from everest.augment.erasing import erased

            clip = erased(clip, self.erasing, key, self.mean, self.std)
        return clip
