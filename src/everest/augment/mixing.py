"""This file decides how two clips of a batch become two mixed ones: mixup and cutmix.

B clips; C channels; T frames; H, W pixels; K classes. Positions 2i and 2i + 1 mix with each other,
by one share a pair that is drawn by the first one's key: the same for any number of processes and
any split of the batch into parts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from everest import keys
from everest.clips import Clips

SWITCH = 0.5  # the share of pairs that cutmix takes where both are on
Box = tuple[slice, slice]  # rows, columns


def beta(alpha: float, uniform: float) -> float:
    """The quantile of Beta(alpha, alpha)."""
    from scipy.special import betaincinv  # 1/4 s to import, and for mixing alone

    return float(betaincinv(alpha, alpha, uniform))


def cut(height: int, width: int, share: float, key: int) -> Box:
    """A box of `1 - share` of the frame about a drawn centre; what sticks out is lost."""
    side = (1 - share) ** 0.5
    spans = []
    for size, purpose in ((height, "mix.row"), (width, "mix.column")):
        half = int(size * side) // 2
        centre = keys.below(key, purpose, size)
        spans.append(slice(max(centre - half, 0), min(centre + half, size)))
    return spans[0], spans[1]


@dataclass(frozen=True)
class Mixing:
    """Mixes neighbours of a batch, and gives labels as shares of classes."""

    mixup: float = 0.0  # alpha of Beta(alpha, alpha); 0: off
    cutmix: float = 0.0
    smoothing: float = 0.0  # of labels; here and nowhere else, where labels are shares
    classes: Mapping[str, int] = field(default_factory=dict)  # single-label column -> K

    def __call__(self, clips: Clips) -> Clips:
        """Clips of any number; labels become (B, K) float32.

        A pair with a clip of weight 0, or of two clips of one row, stays as it is, and so does the
        last clip of an odd number.
        """
        video = clips.video.clone()
        labels = {name: self.shares(name, value) for name, value in clips.labels.items()}
        weights, rows, drawn = clips.weight.tolist(), clips.row.tolist(), clips.key.tolist()
        for first in range(0, len(weights) - 1, 2):
            second = first + 1
            if min(weights[first], weights[second]) > 0 and rows[first] != rows[second]:
                share = self.mix(video[first], video[second], drawn[first])
                for value in labels.values():
                    pair = value[first : second + 1]
                    pair.copy_(share * pair + (1 - share) * pair.flip(0))
        return clips._replace(video=video, labels=labels)

    def shares(self, column: str, labels: Tensor) -> Tensor:
        """(B,) int64 -> (B, K) float32: smoothed, all 0 where a label is missing (-1); shares of
        classes are passed on."""
        if labels.is_floating_point():
            return labels.clone()
        count = self.classes[column]
        is_known = (labels >= 0)[:, None]
        spread = torch.full((len(labels), count), self.smoothing / count)
        spread.scatter_add_(
            1, labels.clamp_min(0)[:, None], torch.full((len(labels), 1), 1 - self.smoothing)
        )
        return torch.where(is_known, spread, 0.0)

    def mix(self, first: Tensor, second: Tensor, key: int) -> float:
        """Mixes two clips (C, T, H, W) uint8 in place; returns the share of each that it keeps."""
        is_cut = self.cutmix > 0 and (self.mixup == 0 or keys.uniform(key, "mix.switch") < SWITCH)
        share = beta(self.cutmix if is_cut else self.mixup, keys.uniform(key, "mix.share"))
        if not is_cut:
            one, other = first.float(), second.float()
            first.copy_(torch.lerp(other, one, share).round_())
            second.copy_(torch.lerp(one, other, share).round_())
            return share
        height, width = first.shape[-2:]
        rows, columns = cut(height, width, share, key)
        hole = first[..., rows, columns].clone()
        first[..., rows, columns] = second[..., rows, columns]
        second[..., rows, columns] = hole
        area = hole.shape[-2] * hole.shape[-1]
        return 1 - area / (height * width)
