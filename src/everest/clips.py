"""This file decides what travels from the loader to a model.

B clips; C channels; T frames; H, W pixels; t time steps of `tubelet` frames.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Clips(NamedTuple):
    """A batch of clips."""

    video: Tensor  # (B, C, T, H, W) uint8
    # A label column: (B,) int64, -1 where a clip has none; (B, K) float of several classes or of
    # shares of one, or (B,) numbers, both NaN where a clip has none (heads.py).
    labels: dict[str, Tensor]
    weight: Tensor  # (B,) float32: 0 for a clip that could not be read
    key: Tensor  # (B,) int64: hash of (seed, epoch, clip, view)
    row: Tensor  # (B,) int64: the index row; views of one video share it; -1 pads
    extra: dict[str, Tensor]  # what a target needs beside pixels: (B, t, ...)

    def at(self, steps: Tensor, tubelet: int) -> "Clips":
        """The clips made of chosen time steps: steps (B, s) -> video (B, C, s*tubelet, H, W)."""
        clip = torch.arange(steps.shape[0], device=steps.device)[:, None]
        frames = (steps[:, :, None] * tubelet + torch.arange(tubelet, device=steps.device)).flatten(
            1
        )
        return self._replace(
            video=self.video.transpose(1, 2)[clip, frames].transpose(1, 2),
            extra={name: value[clip, steps] for name, value in self.extra.items()},
        )

    def to(self, device: torch.device | str) -> "Clips":
        """The same batch on a device; copies from pinned memory do not wait."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        return Clips(
            video=move(self.video),
            labels={name: move(value) for name, value in self.labels.items()},
            weight=move(self.weight),
            key=move(self.key),
            row=move(self.row),
            extra={name: move(value) for name, value in self.extra.items()},
        )

    def part(self, start: int, stop: int) -> "Clips":
        """Clips start..stop-1 of the batch."""
        return Clips(
            video=self.video[start:stop],
            labels={name: value[start:stop] for name, value in self.labels.items()},
            weight=self.weight[start:stop],
            key=self.key[start:stop],
            row=self.row[start:stop],
            extra={name: value[start:stop] for name, value in self.extra.items()},
        )
