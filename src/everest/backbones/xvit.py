"""This file decides XViT: attention within a frame, whose keys and values the frames beside it mix.

B clips; t, n frames and patches of a frame; s frames that mix with each other; D width. Parameter
names of the part that reads frames are those of the released files but for the biases of attention
(`blocks.py`). Source: BACKBONES.md 6.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everest import draw
from everest.attention import attend
from everest.backbones.patches import PatchEmbed, grid_of, normalised
from everest.backbones.stretching import stretched_places, stretched_times
from everest.blocks import EPS, NORM, Mlp, start_truncated
from everest.clips import Clips
from everest.selection import Grid, Look, Selection

LAST_EPS = 1e-5  # of the layer over the frames and what follows it
SHARE = 8  # one in so many channels comes from the next frame, and one from the frame before


@dataclass(frozen=True)
class XViTConfig:
    width: int = 768
    depth: int = 12  # blocks within a frame; one more reads the frames' vectors
    heads: int = 12
    frames: int = 8  # that mix with each other, and that the table of times is of
    size: tuple[int, int] = (224, 224)  # pixels that the table of places is of
    patch: int = 16  # pixels
    channels: int = 3
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)  # of pixels in 0..1
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    dropout: float = 0.0  # of the frames' vectors in training; published 0.5
    table: int | None = None  # frames that the table of times is of, where others mix

    @property
    def grid(self) -> Grid:
        """What its tables are of; raises ValueError for sizes that leave a remainder."""
        return grid_of(self.frames, *self.size, 1, self.patch)


SIZES = {"xvit": XViTConfig()}


def mixed(rows: Tensor) -> Tensor:
    """(B, s, N, D) -> the same, the first channels from the frame after and the next ones from the
    frame before; beyond the first and the last frame they are zeros."""
    few = rows.shape[3] // SHARE
    after, before, own = rows.split((few, few, rows.shape[3] - 2 * few), dim=3)
    after = F.pad(after[:, 1:], (0, 0, 0, 0, 0, 1))
    before = F.pad(before[:, :-1], (0, 0, 0, 0, 1, 0))
    return torch.cat((after, before, own), dim=3)


class MixingAttention(nn.Module):
    """Attention within each frame; keys and values are mixed over frames, queries are not."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        # A key bias moves with its channels, alike for all rows of a frame: it would still cancel.
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, rows: Tensor) -> Tensor:
        """(B, s, N, D) -> (B, s, N, D)."""
        B, s, _, _ = rows.shape
        bias = torch.cat((self.q_bias, torch.zeros_like(self.v_bias), self.v_bias))
        queries, answers, values = F.linear(rows, self.qkv.weight, bias).chunk(3, dim=3)
        queries, answers, values = (
            part.flatten(0, 1).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B*s, H, N, d)
            for part in (queries, mixed(answers), mixed(values))
        )
        read = attend(queries, answers, values).transpose(1, 2).flatten(2)
        return self.proj(read.unflatten(0, (B, s)))


class FrameAttention(nn.Module):
    """Attention of the frames' vectors, without biases before it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, rows: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        split = self.qkv(rows).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        queries, answers, values = split  # (B, H, N, d) each
        return self.proj(attend(queries, answers, values).transpose(1, 2).flatten(2))


class XViTBlock(nn.Module):
    """The given attention and an MLP, each after a norm and added to its input."""

    def __init__(self, attention: nn.Module, width: int, eps: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.attn = attention
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = Mlp(width)

    def forward(self, rows: Tensor) -> Tensor:
        rows = rows + self.attn(self.norm1(rows))
        return rows + self.mlp(self.norm2(rows))


class FrameReader(nn.Module):
    """One block over the frames' vectors, in no order, and the layer before the head."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.block = XViTBlock(FrameAttention(width, heads), width, LAST_EPS)
        self.norm = nn.LayerNorm(width, eps=LAST_EPS)
        self.fc = nn.Linear(width, width)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, t, D) -> (B, D)."""
        rows = torch.cat((self.cls_token.expand(frames.shape[0], -1, -1), frames), dim=1)
        return F.gelu(self.fc(self.norm(self.block(rows)[:, 0])))


class XViT(nn.Module):
    """Frames that hear of the frames beside them, and one layer over their vectors: a Reader.

    Reads other sizes than its config's, its places stretched bicubically, and any multiple of its
    frames: so many frames mix with each other and share the table of times, as released, and meet
    the others in the last layer alone. How its authors average views is not known; here after the
    softmax, as most do.
    """

    average: Literal["softmax", "logits"] = "softmax"

    def __init__(self, config: XViTConfig) -> None:
        super().__init__()
        self.config = config
        self.features = config.width
        frames, rows, columns = config.grid
        if config.width % SHARE:
            raise ValueError(f"width {config.width} is not a multiple of {SHARE}: frames mix so")
        self.patch_embed = PatchEmbed(config.width, config.channels, config.patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + rows * columns, config.width))
        self.temp_embed = nn.Parameter(torch.zeros(1, config.table or frames, 1, config.width))
        self.blocks = nn.ModuleList(
            XViTBlock(MixingAttention(config.width, config.heads), config.width, EPS)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, eps=EPS)
        self.consensus = FrameReader(config.width, config.heads)
        self.apply(start_truncated)
        for table in (self.cls_token, self.pos_embed, self.consensus.cls_token):
            nn.init.trunc_normal_(table, std=0.02)

    def look(self, clips: Clips) -> None:
        """None: it cannot read a part of the tokens."""

    def places(self, rows: int, columns: int) -> Tensor:
        """(1 + rows*columns, D): the class token's position and each place's."""
        grid = self.config.grid[1:]
        return stretched_places(self.pos_embed[0], grid, (rows, columns), "bicubic")

    def times(self, frames: int) -> Tensor:
        """(frames, D): the position of each frame; raises ValueError where they leave a part."""
        several, rest = divmod(frames, self.config.frames)
        if rest or not several:
            below = max(several, 1) * self.config.frames
            raise ValueError(
                f"--frames {frames}: must be a multiple of the {self.config.frames} frames that "
                f"mix with each other; nearest are {below} and {below + self.config.frames}"
            )
        if self.config.table is not None:
            return stretched_times(self.temp_embed[0, :, 0], frames, "linear")
        return self.temp_embed[0, :, 0].repeat(several, 1)

    def encode(self, first: Tensor, patches: Tensor, key: Tensor) -> Tensor:
        """Class tokens (B, t, D), patches (B, t, n, D), both with their positions -> (B, D)."""
        B, t, _, _ = patches.shape
        rows = torch.cat((first[:, :, None], patches), dim=2)
        rows = rows.unflatten(1, (-1, self.config.frames)).flatten(0, 1)  # (B*t/s, s, 1 + n, D)
        for block in self.blocks:
            rows = block(rows)
        frames = self.norm(rows)[:, :, 0].reshape(B, t, -1)
        if self.training and self.config.dropout:
            drawn = draw.uniform(key, "frames.dropout", frames[0].numel()).view_as(frames)
            frames = frames * (drawn >= self.config.dropout) / (1 - self.config.dropout)
        return self.consensus(frames)

    def forward(self, clips: Clips, look: Look | None, selection: Selection | None) -> Tensor:
        """-> (B, D): the frames' common vector after the hidden layer."""
        cut = self.patch_embed.cut(normalised(clips.video, self.config.mean, self.config.std))
        B, t, h, w, _ = cut.shape
        places, times = self.places(h, w), self.times(t)
        patches = self.patch_embed(cut).flatten(2, 3) + places[1:] + times[:, None]
        first = (self.cls_token[0] + places[:1] + times).expand(B, -1, -1)
        return self.encode(first, patches, clips.key)

    def cost(self, frames: int, height: int, width: int) -> dict[str, float]:
        """Multiply-adds of one view by part, as METHOD.md 3.1 counts, without the classifier."""
        self.times(frames)
        config, D = self.config, self.config.width
        t, h, w = grid_of(frames, height, width, 1, config.patch)
        n = h * w
        rows, last = t * (1 + n), 1 + t  # the frames' layer reads their class tokens
        return {
            "embed": t * n * config.channels * config.patch**2 * D,
            "linear": (12 * (config.depth * rows + last) + 1) * D**2,
            "attention": 2 * (config.depth * rows * (1 + n) + last**2) * D,
            "norm": NORM * D * ((2 * config.depth + 1) * rows + 2 * last + 1),
        }
