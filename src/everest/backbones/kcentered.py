"""This file decides K-centered patch sampling: which loose patches of a clip a backbone reads.

B clips; T frames of n patches; P numbers of a patch; N patches read; S segments, groups of frames
that are sampled apart, R of them; D width. Source: BACKBONES.md 7.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from everest import draw
from everest.backbones.farthest import coordinates, farthest
from everest.backbones.joint import JointConfig, JointTransformer
from everest.backbones.motionformer import Motionformer, MotionformerConfig
from everest.backbones.patches import grid_of, normalised
from everest.backbones.timesformer import TimeSformer, TimeSformerConfig
from everest.backbones.xvit import XViT, XViTConfig
from everest.clips import Clips
from everest.frames import spread
from everest.selection import Grid, Look, Selection, take

Starts = Callable[[Tensor, int, int], Tensor]  # keys (B,), runs, points a run -> (B, runs) int64
ReaderName = Literal["joint", "motionformer", "timesformer", "xvit"]
PER_PLACE = ("timesformer", "xvit")  # readers that join a place over the segments


@dataclass(frozen=True)
class KCenteredConfig:
    reader: ReaderName
    width: int = 768
    depth: int = 12
    heads: int = 12
    frames: int = 32  # that the table of times is of
    size: tuple[int, int] = (224, 224)  # pixels that the table of places is of
    patch: int = 16  # pixels
    channels: int = 3
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)  # of pixels in 0..1
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    drop_path: float = 0.0  # rate of the last block, rises linearly from 0; published 0.1
    steps: float = 8  # patches read: as many as so many frames have
    segments: int = 8  # groups of frames that are sampled apart; joint: 1
    whole: int = 0  # frames kept whole
    time_weight: float = 1.0  # of a patch's time beside its pixels
    space_weight: float = 1.0  # of its row and column

    @property
    def grid(self) -> Grid:
        """What its tables are of; raises ValueError for sizes that leave a remainder."""
        return grid_of(self.frames, *self.size, 1, self.patch)

    def __post_init__(self) -> None:
        if self.segments < 1 or not 0 <= self.whole < min(self.steps, self.frames):
            raise ValueError(
                f"{self.whole} frames kept whole, as many patches read as {self.steps:g} frames "
                f"have, of {self.segments} segments: give at least 1 segment and fewer whole frames"
            )
        if (self.reader == "joint") != (self.segments == 1):
            raise ValueError(
                f"{self.reader} with segments {self.segments}: joint attention has 1, others more"
            )
        even = self.steps == self.segments
        if not even and (self.reader in PER_PLACE or (self.whole and self.segments > 1)):
            raise ValueError(
                f"steps {self.steps:g} of {self.segments} segments: with one patch a place, or "
                f"with frames kept whole, a segment gives as many patches as a frame has; give "
                f"steps {self.segments}"
            )
        if self.reader in PER_PLACE and self.whole:
            raise ValueError(
                f"{self.reader} with whole {self.whole}: keeps no frames whole, give 0"
            )


SIZES = {
    "kcentered-vit": KCenteredConfig("joint", segments=1, whole=3),
    "kcentered-motionformer": KCenteredConfig("motionformer", whole=1),
    "kcentered-timesformer": KCenteredConfig("timesformer"),
    "kcentered-xvit": KCenteredConfig("xvit"),
}


def drawn_starts(key: Tensor, runs: int, points: int) -> Tensor:
    """The first patch of each run, uniform by the clip's key, in evaluation too."""
    return (draw.uniform(key, "farthest.start", runs) * points).long().clamp_max(points - 1)


def backbone_of(config: KCenteredConfig) -> JointTransformer | Motionformer | TimeSformer | XViT:
    """The reader of the sampled patches: single frames' patches, places and times of all frames."""
    names = ("width", "depth", "heads", "frames", "size", "patch", "channels", "mean", "std")
    shared: dict[str, Any] = {name: getattr(config, name) for name in names}
    rate = config.drop_path
    match config.reader:
        case "joint":
            return JointTransformer(JointConfig(**shared, tubelet=None, drop_path=rate))
        case "motionformer":
            return Motionformer(
                MotionformerConfig(**shared, tubelet=None, drop_path=rate, hidden=False)
            )
        case "timesformer":
            return TimeSformer(TimeSformerConfig(**shared, drop_path=rate))
        case "xvit":
            shared |= {"frames": config.segments, "table": config.frames}
            return XViT(XViTConfig(**shared))
    raise ValueError(f"reader {config.reader}: choose joint, motionformer, timesformer or xvit")


class KCentered(nn.Module):
    """A backbone over patches that lie farthest apart in looks, place and time: a Reader.

    Patches of single frames are chosen one after the other from a random first one, in each
    segment apart; some frames are kept whole and stand first. With TimeSformer and XViT a segment
    gives one patch of each place, so that a token of one place follows another. For XViT there is
    no published rule: this one, and that the class token of a segment has no time, are ours.

    `starts` gives the first patches; by default they are drawn by the clip's key. Such a model is
    not exported: its sampling is a loop of hundreds of choices, each waiting for the one before.
    """

    exports = False

    def __init__(self, config: KCenteredConfig, starts: Starts = drawn_starts) -> None:
        super().__init__()
        self.config = config
        self.starts = starts
        self.backbone = backbone_of(config)
        self.features = self.backbone.features
        published: dict[str, Literal["softmax", "logits"]] = {
            "joint": "logits",
            "timesformer": "logits",
        }
        self.average = published.get(config.reader, "softmax")

    def look(self, clips: Clips) -> None:
        """None: it chooses what it reads by its own rule."""

    def counts(self, frames: int, height: int, width: int) -> tuple[int, int]:
        """(patches read, sampled in one run); raises ValueError where they do not divide."""
        _, h, w = grid_of(frames, height, width, 1, self.config.patch)
        whole, runs = self.layout(frames)
        total = round(self.config.steps * h * w)
        sampled, rest = divmod(total - len(whole) * h * w, len(runs))
        if rest or not 0 < sampled <= len(runs[0]) * h * w:
            raise ValueError(
                f"{total} patches to read of {frames} frames of {h}x{w}, {len(whole)} of them "
                f"whole: {len(runs)} segments cannot give equal parts; give other steps"
            )
        return total, sampled

    def layout(self, frames: int) -> tuple[list[int], list[list[int]]]:
        """(frames kept whole, frames of each sampled run); raises ValueError for a remainder."""
        config = self.config
        if frames % config.segments:
            below = max(frames // config.segments, 1) * config.segments
            raise ValueError(
                f"--frames {frames}: must be a multiple of the segments, {config.segments}; "
                f"nearest are {below} and {below + config.segments}"
            )
        if config.segments == 1:
            whole = [int(at) for at in spread(0, frames - 1, config.whole)]
            return whole, [[frame for frame in range(frames) if frame not in whole]]
        length = frames // config.segments
        kept = [int(at) for at in spread(0, config.segments - 1, config.whole)]
        runs = [
            list(range(segment * length, (segment + 1) * length))
            for segment in range(config.segments)
            if segment not in kept
        ]
        return [segment * length + length // 2 for segment in kept], runs

    @torch.no_grad()
    def sample(self, patches: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Patches (B, T, h, w, P) -> frames and places of those read, (B, N) int64 each, in the
        order of tokens: whole frames, then segment after segment."""
        config, device = self.config, patches.device
        B, T, h, w, _ = patches.shape
        n = h * w
        whole, runs = self.layout(T)
        _, count = self.counts(T, h * config.patch, w * config.patch)
        std = sum(config.std) / len(config.std)
        place = coordinates(T, h, w, config.patch, std).to(device)
        place = place * place.new_tensor(
            (config.time_weight, config.space_weight, config.space_weight)
        )
        points = torch.cat((patches.float(), place.expand(B, -1, -1, -1, -1)), dim=4)
        frames = torch.tensor(runs, device=device)  # (R, frames of a run)
        sets = points.flatten(2, 3)[:, frames].flatten(0, 1).flatten(1, 2)  # (B*R, points, P + 3)
        rivals = None
        if config.reader in PER_PLACE:
            rivals = torch.arange(n, device=device).repeat(frames.shape[1])
        start = self.starts(key, len(runs), sets.shape[1]).flatten()
        chosen = farthest(sets, start, count, rivals)  # (B*R, count)
        if rivals is not None:
            chosen = chosen.gather(1, (chosen % n).argsort(dim=1))
        chosen = chosen.unflatten(0, (B, len(runs)))  # (B, R, count)
        found = frames.expand(B, -1, -1).gather(2, chosen // n)
        first = torch.tensor(whole, dtype=torch.int64, device=device).repeat_interleave(n)
        places = torch.arange(n, device=device).repeat(len(whole))
        return (
            torch.cat((first.expand(B, -1), found.flatten(1)), dim=1),
            torch.cat((places.expand(B, -1), (chosen % n).flatten(1)), dim=1),
        )

    def forward(self, clips: Clips, look: Look | None, selection: Selection | None) -> Tensor:
        """-> (B, D): what the backbone makes of the sampled patches."""
        config, backbone = self.config, self.backbone
        embed = backbone.patch_embed
        patches = embed.cut(normalised(clips.video, config.mean, config.std))
        B, T, h, w, _ = patches.shape
        frames, places = self.sample(patches, clips.key)
        tokens = embed(take(patches.flatten(1, 3), frames * (h * w) + places))
        table = backbone.places(h, w)
        tokens = tokens + table[1:][places] + backbone.times(T)[frames]
        first = (backbone.cls_token[0] + table[:1]).expand(B, -1)
        if config.reader == "xvit":  # a class token a segment
            first = first[:, None].expand(-1, config.segments, -1)
        return backbone.encode(first, tokens.unflatten(1, (config.segments, -1)), clips.key)

    def cost(self, frames: int, height: int, width: int) -> dict[str, float]:
        """Multiply-adds of one view by part, as METHOD.md 3.1 counts, without the classifier and,
        as published, without the sampling."""
        total, _ = self.counts(frames, height, width)
        segments, patch = self.config.segments, self.config.patch
        # The backbone reads a clip of `segments` frames with so many patches.
        return self.backbone.cost(segments, patch, patch * (total // segments))
