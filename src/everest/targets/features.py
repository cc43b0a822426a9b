"""This file decides the targets that are a frozen model's features (MVD; METHOD.md 2.3).

B clips; t, h, w the student's token grid; M masked tokens; D the teacher's width. Features are
those after the teacher's last block, before its final norm, at the masked tokens.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everest.clips import Clips
from everest.names import teacher_option
from everest.selection import Grid, Look, take
from everest.targets import without_lost
from everest.vit import VideoTransformer

Kind = Literal["image_features", "video_features"]


class Features:
    """Predicts what a frozen image model makes of the first frame of each tubelet, or a frozen
    video model of the clip. Without a teacher it has its head and loss, and makes no targets."""

    def __init__(
        self, kind: Kind, dim: int, tubelet: int, teacher: VideoTransformer | None = None
    ) -> None:
        self.name: str = kind
        self.dim = dim
        self.tubelet = tubelet  # frames of a student's token
        self.teacher = teacher

    @torch.no_grad()
    def __call__(self, clips: Clips, look: Look, positions: Tensor) -> Tensor:
        """(B, M) -> (B, M, D) float32. Raises ValueError without a teacher."""
        if self.teacher is None:
            raise ValueError(
                f"the target {self.name} is made by a frozen model that is not loaded: give its "
                f"{teacher_option(self.name)}"
            )
        teacher = self.teacher
        device = positions.device.type
        # Weights in bfloat16 (Machine.freeze) stand for a pass in bfloat16, whatever the student's.
        dtype = teacher.blocks[0].mlp.fc1.weight.dtype  # type: ignore[union-attr]
        with torch.autocast(device, torch.bfloat16, enabled=dtype == torch.bfloat16):
            if self.name == "video_features":
                features = every_token(teacher, clips.video, clips.key)
            else:
                features = self.frame_by_frame(teacher, clips, look.grid)
        return take(features, positions).float()

    def frame_by_frame(self, teacher: VideoTransformer, clips: Clips, grid: Grid) -> Tensor:
        """-> (B, t*h*w, D): each tubelet's first frame as a clip of its own."""
        first = clips.video[:, :, :: self.tubelet].transpose(1, 2)  # (B, t, C, H, W)
        frames = first.flatten(0, 1)
        patch = teacher.config.patch
        sides = (grid[1] * patch, grid[2] * patch)
        if frames.shape[2:] != sides:  # a teacher of another patch reads the same grid of tokens
            frames = F.interpolate(frames.float(), sides, mode="bilinear", antialias=True)
        keys = clips.key.repeat_interleave(grid[0])
        features = every_token(teacher, frames[:, :, None], keys)  # (B*t, h*w, D)
        return features.unflatten(0, first.shape[:2]).flatten(1, 2)

    def possible(self, clips: Clips) -> bool:
        return self.teacher is not None

    def frozen(self) -> list[nn.Module]:
        return [] if self.teacher is None else [self.teacher]

    def head(self, width: int) -> nn.Module:
        return nn.Linear(width, self.dim)

    def constant(self, wanted: Tensor) -> Tensor:
        """What one would predict who sees nothing: the mean feature of the batch."""
        return wanted.nanmean(dim=(0, 1), keepdim=True).expand_as(wanted)

    def loss(self, predicted: Tensor, wanted: Tensor) -> Tensor:
        """(B, M, D) twice -> (B,): smooth L1, the mean of a clip."""
        predicted, wanted, factor = without_lost(predicted, wanted)
        each = F.smooth_l1_loss(predicted.float(), wanted, reduction="none")
        return each.mean(dim=(1, 2)) * factor


def every_token(teacher: VideoTransformer, video: Tensor, key: Tensor) -> Tensor:
    """(B, C, T, H, W) -> (B, N, D) before the final norm."""
    patches = teacher.patchify(video)
    rows = patches.flatten(1, 3)
    positions = torch.arange(rows.shape[1], device=rows.device).expand(len(rows), -1)
    grid = (patches.shape[1], patches.shape[2], patches.shape[3])
    return teacher.encode(teacher.embed(rows), positions, grid, key)
