"""This file decides MViT (version 1): a pyramid whose attention pools queries, keys and values.

B clips; t, h, w a block's grid of tokens, N = t*h*w; H heads of d numbers; D width of a token.
Every block reads 1 + N rows, the class token first. Parameter names are those of the released
files. Source: BACKBONES.md 3.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everest.attention import attend
from everest.backbones.patches import normalised
from everest.blocks import EPS, NORM, Mlp, skip_path
from everest.clips import Clips
from everest.frames import spread
from everest.selection import Grid, Look, Selection, size_of

POOL = 3  # frames, rows and columns that a pooled token is made of
HALF: Grid = (1, 2, 2)  # stride of the queries where a stage begins
SAME: Grid = (1, 1, 1)


def pooled_grid(grid: Grid, stride: Grid) -> Grid:
    """The grid that padded pooling leaves."""
    t, h, w = (-(-count // step) for count, step in zip(grid, stride, strict=True))
    return t, h, w


class BlockShape(NamedTuple):
    """What one block reads and gives."""

    width: int  # of its attention
    wider: int  # of what it gives: twice the width where the next stage needs it
    heads: int
    grid: Grid
    stride: Grid  # of its queries
    reach: Grid  # stride of its keys and values

    @property
    def asking(self) -> Grid:
        return pooled_grid(self.grid, self.stride)

    @property
    def answering(self) -> Grid:
        return pooled_grid(self.grid, self.reach)


@dataclass(frozen=True)
class MViTConfig:
    width: int = 96  # of the first block; doubles with each stage
    depth: int = 16
    heads: int = 1  # of the first block; double with each stage
    stages: tuple[int, ...] = (1, 3, 14)  # blocks that begin the stages after the first
    reach: Grid = (1, 8, 8)  # stride of keys and values in the first stage; halves with the grid
    frames: int = 16
    size: tuple[int, int] = (224, 224)  # pixels
    kernel: Grid = (3, 7, 7)  # of the embedding: frames, rows, columns
    stride: Grid = (2, 4, 4)
    padding: Grid = (1, 3, 3)
    channels: int = 3
    mean: tuple[float, ...] = (0.45, 0.45, 0.45)  # of pixels in 0..1
    std: tuple[float, ...] = (0.225, 0.225, 0.225)
    drop_path: float = 0.0  # rate of the last block, rises linearly from 0; published 0.2

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of {self.heads} heads")
        begin = (0, *self.stages)
        if not all(a < b < self.depth for a, b in itertools.pairwise(begin)):
            raise ValueError(
                f"stages {self.stages}: give ascending blocks between 1 and {self.depth - 1}"
            )
        if min(self.grid) < 1:
            raise ValueError(
                f"{self.frames} frames of {self.size[0]}x{self.size[1]} pixels are fewer than "
                f"the embedding reads, {self.kernel}: give more"
            )

    @property
    def grid(self) -> Grid:
        """Tokens of the first block."""
        sides = zip((self.frames, *self.size), self.kernel, self.stride, self.padding, strict=True)
        t, h, w = ((side + 2 * pad - kernel) // step + 1 for side, kernel, step, pad in sides)
        return t, h, w

    def shapes(self) -> list[BlockShape]:
        """Of every block. The stride of keys and values halves in the block that begins a stage,
        while they are still pooled from the finer grid: there they are four times as many."""
        width, heads, grid, reach = self.width, self.heads, self.grid, self.reach
        shapes = []
        for number in range(self.depth):
            stride = HALF if number in self.stages else SAME
            if number in self.stages:
                heads *= 2
                t, h, w = (max(far // step, 1) for far, step in zip(reach, stride, strict=True))
                reach = (t, h, w)
            wider = 2 * width if number + 1 in self.stages else width
            shapes.append(BlockShape(width, wider, heads, grid, stride, reach))
            width, grid = wider, shapes[-1].asking
        return shapes


# Of MViT-S neither a config nor weights were released: the strides of keys and values are the
# reading of "one scale in all blocks" that comes closest (BACKBONES.md 3.2).
SIZES = {
    "mvit-s": MViTConfig(
        width=128,
        stages=(3, 10),
        reach=(1, 4, 4),
        kernel=(3, 8, 8),
        stride=(2, 8, 8),
        padding=(1, 0, 0),
    ),
    "mvit-b": MViTConfig(),
}


def pooling(width: int, stride: Grid) -> nn.Conv3d:
    """A filter a number of a head; all heads share it."""
    return nn.Conv3d(width, width, POOL, stride=stride, padding=POOL // 2, groups=width, bias=False)


def pooled(rows: Tensor, grid: Grid, pool: nn.Conv3d, norm: nn.LayerNorm) -> Tensor:
    """(B, H, 1 + N, d) -> (B, H, 1 + N', d): fewer tokens, the class token untouched but normed."""
    B, H, _, _ = rows.shape
    cube = rows[:, :, 1:].flatten(0, 1).mT.unflatten(2, grid)  # (B*H, d, t, h, w)
    fewer = pool(cube).flatten(2).mT.unflatten(0, (B, H))
    return norm(torch.cat((rows[:, :, :1], fewer), dim=2))


class PoolingAttention(nn.Module):
    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.shape = shape
        head = shape.width // shape.heads
        # Pooling and norms come after it, so a key bias does not cancel in the softmax here.
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.proj = nn.Linear(shape.width, shape.width)
        if shape.stride != SAME:  # else queries are neither pooled nor normed
            self.pool_q = pooling(head, shape.stride)
            self.norm_q = nn.LayerNorm(head, eps=EPS)
        self.pool_k = pooling(head, shape.reach)
        self.norm_k = nn.LayerNorm(head, eps=EPS)
        self.pool_v = pooling(head, shape.reach)
        self.norm_v = nn.LayerNorm(head, eps=EPS)

    def forward(self, rows: Tensor) -> Tensor:
        """(B, 1 + N, D) -> (B, 1 + N', D), N' the tokens that ask."""
        grid = self.shape.grid
        split = self.qkv(rows).unflatten(2, (3, self.shape.heads, -1))
        queries, answers, values = split.permute(2, 0, 3, 1, 4)  # (B, H, 1 + N, d) each
        if self.shape.stride != SAME:
            queries = pooled(queries, grid, self.pool_q, self.norm_q)
        answers = pooled(answers, grid, self.pool_k, self.norm_k)
        values = pooled(values, grid, self.pool_v, self.norm_v)
        return self.proj(attend(queries, answers, values).transpose(1, 2).flatten(2))


class PoolingBlock(nn.Module):
    """Attention that may halve the grid, then an MLP that may double the width."""

    def __init__(self, shape: BlockShape, drop_path: float, name: str) -> None:
        super().__init__()
        self.shape = shape
        self.norm1 = nn.LayerNorm(shape.width, eps=EPS)
        self.attn = PoolingAttention(shape)
        self.norm2 = nn.LayerNorm(shape.width, eps=EPS)
        self.mlp = Mlp(shape.width, shape.wider)
        if shape.wider != shape.width:
            self.proj = nn.Linear(shape.width, shape.wider)
        self.drop_path = drop_path
        self.name = name  # of its draws

    def path(self, branch: Tensor, key: Tensor, which: str) -> Tensor:
        rate = self.drop_path if self.training else 0.0
        return skip_path(branch, key, f"path.{self.name}.{which}", rate)

    def carried(self, rows: Tensor) -> Tensor:
        """(B, 1 + N, D) -> (B, 1 + N', D): what attention is added to, the largest of each 3x3."""
        if self.shape.stride == SAME:
            return rows
        cube = rows[:, 1:].mT.unflatten(2, self.shape.grid)  # (B, D, t, h, w)
        fewer = F.max_pool3d(cube, (1, POOL, POOL), self.shape.stride, (0, POOL // 2, POOL // 2))
        return torch.cat((rows[:, :1], fewer.flatten(2).mT), dim=1)

    def forward(self, rows: Tensor, key: Tensor) -> Tensor:
        """(B, 1 + N, D) -> (B, 1 + N', wider)."""
        rows = self.carried(rows) + self.path(self.attn(self.norm1(rows)), key, "attention")
        normed = self.norm2(rows)
        # A wider block goes on from the normed rows, as released.
        rows = rows if self.shape.wider == self.shape.width else self.proj(normed)
        return rows + self.path(self.mlp(normed), key, "mlp")


class Stem(nn.Module):
    """Holds the embedding under its released name."""

    def __init__(self, config: MViTConfig) -> None:
        super().__init__()
        sizes = (config.kernel, config.stride, config.padding)
        self.proj = nn.Conv3d(config.channels, config.width, *sizes)


def start(module: nn.Module) -> None:
    """Weights as its authors start them: 0.02 also is the value of every bias but the stem's."""
    if isinstance(module, nn.Linear | nn.Conv3d):
        nn.init.trunc_normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear | nn.LayerNorm):
        nn.init.constant_(module.bias, 0.02)


class MViT(nn.Module):
    """Multiscale vision transformer with pooling by convolution: a Reader.

    It reads clips of its config's frames and size alone: its method has no rule by which its
    tables of positions would fit another grid. Views are averaged after the softmax.
    """

    average: Literal["softmax", "logits"] = "softmax"

    def __init__(self, config: MViTConfig) -> None:
        super().__init__()
        self.config = config
        t, h, w = config.grid
        self.patch_embed = Stem(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed_class = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed_spatial = nn.Parameter(torch.zeros(1, h * w, config.width))
        self.pos_embed_temporal = nn.Parameter(torch.zeros(1, t, config.width))
        shapes = config.shapes()
        rates = spread(0.0, config.drop_path, config.depth)
        self.blocks = nn.ModuleList(
            PoolingBlock(shape, rate, str(number))
            for number, (shape, rate) in enumerate(zip(shapes, rates, strict=True))
        )
        self.features = shapes[-1].wider
        self.norm = nn.LayerNorm(self.features, eps=EPS)
        self.apply(start)
        for name in ("cls_token", "pos_embed_class", "pos_embed_spatial", "pos_embed_temporal"):
            nn.init.trunc_normal_(self.get_parameter(name), std=0.02)

    def look(self, clips: Clips) -> None:
        """None: it cannot read a part of the tokens."""

    def refuse(self, frames: int, height: int, width: int) -> None:
        """Raises ValueError for clips of other frames or size than the config's."""
        config = self.config
        if (frames, (height, width)) != (config.frames, config.size):
            raise ValueError(
                f"a clip of {frames} frames of {height}x{width}: this MViT reads {config.frames} "
                f"frames of {config.size[0]}x{config.size[1]} alone, as MViT has no rule that fits "
                f"its positions to others; give such clips, or start a model of your size anew"
            )

    def forward(self, clips: Clips, look: Look | None, selection: Selection | None) -> Tensor:
        """-> (B, F): the class token after the last norm; raises ValueError for another size."""
        _, channels, *sides = clips.video.shape
        if channels != self.config.channels:
            raise ValueError(f"the video has {channels} channels, the model {self.config.channels}")
        self.refuse(*sides)
        tokens = self.patch_embed.proj(normalised(clips.video, self.config.mean, self.config.std))
        places = self.pos_embed_temporal[:, :, None] + self.pos_embed_spatial[:, None]
        tokens = tokens.flatten(2).mT + places.flatten(1, 2)  # (B, N, D)
        first = (self.cls_token + self.pos_embed_class).expand(tokens.shape[0], -1, -1)
        rows = torch.cat((first, tokens), dim=1)
        for block in self.blocks:
            rows = block(rows, clips.key)
        return self.norm(rows)[:, 0]

    def cost(self, frames: int, height: int, width: int) -> dict[str, float]:
        """Multiply-adds of one view by part, as METHOD.md 3.1 counts, without the classifier."""
        self.refuse(frames, height, width)
        config = self.config
        area = config.channels * math.prod(config.kernel)
        parts = {"embed": float(size_of(config.grid) * area * config.width)}
        parts |= dict.fromkeys(("linear", "pool", "attention", "norm"), 0.0)
        for shape in config.shapes():
            D, E = shape.width, shape.wider
            rows, asking, answering = (
                1 + size_of(grid) for grid in (shape.grid, shape.asking, shape.answering)
            )
            pools = [answering, answering] + ([asking] if shape.stride != SAME else [])
            parts["linear"] += 3 * rows * D * D + asking * D * (D + 4 * D + 4 * E)
            parts["linear"] += asking * D * E if E != D else 0
            parts["pool"] += sum(count - 1 for count in pools) * POOL**3 * D
            parts["attention"] += 2 * asking * answering * D
            parts["norm"] += NORM * D * (rows + sum(pools) + asking)
        parts["norm"] += NORM * asking * self.features
        return parts
