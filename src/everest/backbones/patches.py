"""This file decides how a backbone's clip becomes embedded patches: sizes, grey levels, embedding.

B clips; C channels; T, H, W frames and pixels; t, h, w the token grid; D width; P numbers of a
patch (C * tubelet * patch * patch), ordered (channel, frame, row, column) as a convolution's
weights are.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everest.selection import Grid


def grid_of(frames: int, height: int, width: int, tubelet: int, patch: int) -> Grid:
    """The token grid of a clip; raises ValueError for sizes that leave a remainder."""
    given = f"--size {height}" if height == width else f"--size {height}x{width}"
    for told, count, unit, name in (
        (f"--frames {frames}", frames, tubelet, "tubelet"),
        (given, height, patch, "patch"),
        (given, width, patch, "patch"),
    ):
        if count % unit or count < unit:
            below = max(count // unit, 1) * unit
            raise ValueError(
                f"{told}: {count} must be a multiple of the {name}, {unit}; nearest are {below} "
                f"and {below + unit}"
            )
    return frames // tubelet, height // patch, width // patch


def normalised(video: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(B, C, ...) uint8 -> (B, C, ...) float32: (value / 255 - mean) / std, channel by channel.

    Raises ValueError for another number of channels than means.
    """
    if video.shape[1] != len(mean):
        raise ValueError(f"the video has {video.shape[1]} channels, the model {len(mean)}")
    shape = (1, -1, *(1 for _ in video.shape[2:]))
    middle = 255 * torch.tensor(mean, device=video.device).view(shape)
    spread = 255 * torch.tensor(std, device=video.device).view(shape)
    return (video - middle) / spread


class PatchEmbed(nn.Module):
    """A convolution whose stride is its kernel, as a linear map of patches.

    The weight has the released shape: (D, C, patch, patch) where a patch is of one frame (of any
    `tubelet` that is None), else (D, C, tubelet, patch, patch).
    """

    def __init__(self, width: int, channels: int, patch: int, tubelet: int | None = None) -> None:
        super().__init__()
        self.patch, self.tubelet = patch, tubelet or 1
        self.proj: nn.Conv2d | nn.Conv3d
        if tubelet is None:
            self.proj = nn.Conv2d(channels, width, patch, stride=patch)
        else:
            size = (tubelet, patch, patch)
            self.proj = nn.Conv3d(channels, width, size, stride=size)

    def cut(self, pixels: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, t, h, w, P); raises ValueError where a remainder is left."""
        B, C, T, H, W = pixels.shape
        t, h, w = grid_of(T, H, W, self.tubelet, self.patch)
        split = pixels.reshape(B, C, t, self.tubelet, h, self.patch, w, self.patch)
        return split.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4)

    def forward(self, patches: Tensor) -> Tensor:
        """(..., P) -> (..., D)."""
        return F.linear(patches, self.proj.weight.flatten(1), self.proj.bias)
