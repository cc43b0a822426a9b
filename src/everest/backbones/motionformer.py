"""This file decides Motionformer: attention along the trajectory of every token.

B clips; t, n time steps and patches of a step; S = t*n patches; H heads of d; D width. Parameter
names are those of the released files but for the biases of attention (`blocks.py`). Source:
BACKBONES.md 5.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everest.attention import attend, weigh
from everest.backbones.patches import PatchEmbed, grid_of
from everest.backbones.placing import read
from everest.backbones.stretching import stretched_places, stretched_times
from everest.blocks import EPS, NORM, Mlp, skip_path, start_truncated
from everest.clips import Clips
from everest.frames import spread
from everest.selection import Grid, Look, Selection


@dataclass(frozen=True)
class MotionformerConfig:
    width: int = 768
    depth: int = 12
    heads: int = 12
    frames: int = 16  # that the table of times is of
    size: tuple[int, int] = (224, 224)  # pixels that the table of places is of
    patch: int = 16  # pixels
    tubelet: int | None = 2  # frames of a patch; None: 1, with an image model's embedding
    channels: int = 3
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)  # of pixels in 0..1
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    drop_path: float = 0.0  # rate of the last block, rises linearly from 0; published 0.2
    # What a token takes of its trajectory: the released weights take the trajectory itself, so
    # that half of `proj_kv` is never used; the paper's formula takes it projected.
    values: Literal["input", "projected"] = "input"
    hidden: bool = True  # a layer and a tanh before the head (`pre_logits`)

    @property
    def grid(self) -> Grid:
        """What its tables are of; raises ValueError for sizes that leave a remainder."""
        return grid_of(self.frames, *self.size, self.tubelet or 1, self.patch)


# As published; the one of high resolution (336 pixels) keeps the table of places of 224.
SIZES = {
    "motionformer": MotionformerConfig(),
    "motionformer-hr": MotionformerConfig(),
    "motionformer-l": MotionformerConfig(frames=32),
}


class TrajectoryAttention(nn.Module):
    """Each patch reads every time step apart, and then its own path over the steps.

    The class token reads all tokens and is read by none.
    """

    def __init__(self, width: int, heads: int, values: Literal["input", "projected"]) -> None:
        super().__init__()
        self.heads = heads
        self.values = values
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))  # a key bias would cancel in each softmax
        self.proj_q = nn.Linear(width, width)
        self.proj_kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)

    def paths(self, queries: Tensor, answers: Tensor, values: Tensor, steps: int) -> Tensor:
        """Of patches, (B, H, S, d) each -> (B, S, t, D): what each reads of each time step."""
        B, _, S, _ = queries.shape
        asked = queries[:, None].expand(-1, steps, -1, -1, -1).flatten(0, 1)  # (B*t, H, S, d)
        answers, values = (
            rows.unflatten(2, (steps, -1)).transpose(1, 2).flatten(0, 1)  # (B*t, H, n, d)
            for rows in (answers, values)
        )
        read = attend(asked, answers, values).unflatten(0, (B, steps))
        return read.permute(0, 3, 1, 2, 4).reshape(B, S, steps, -1)

    def shares(self, paths: Tensor) -> Tensor:
        """(B, S, t, D) -> (B, S, H, t): how much each patch takes of each step of its path."""
        B, S, t, D = paths.shape
        # Patch s stands in a step of its own: its path at that step.
        own = paths.unflatten(1, (t, S // t)).diagonal(dim1=1, dim2=3)  # (B, n, D, t)
        queries = self.proj_q(own.permute(0, 3, 1, 2)).reshape(B, S, self.heads, 1, -1)
        answers = F.linear(paths, self.proj_kv.weight[:D], self.proj_kv.bias[:D])
        answers = answers.view(B, S, t, self.heads, -1).transpose(2, 3)  # (B, S, H, t, d)
        return weigh(queries, answers).squeeze(3)

    def forward(self, rows: Tensor, steps: int) -> Tensor:
        """(B, 1 + S, D) -> (B, 1 + S, D)."""
        B, N, D = rows.shape
        bias = torch.cat((self.q_bias, torch.zeros_like(self.v_bias), self.v_bias))
        split = F.linear(rows, self.qkv.weight, bias).view(B, N, 3, self.heads, -1)
        queries, answers, values = split.permute(2, 0, 3, 1, 4)  # (B, H, 1 + S, d) each
        first = attend(queries[:, :, :1], answers, values).reshape(B, 1, D)
        paths = self.paths(queries[:, :, 1:], answers[:, :, 1:], values[:, :, 1:], steps)
        taken = paths
        if self.values == "projected":
            taken = F.linear(paths, self.proj_kv.weight[D:], self.proj_kv.bias[D:])
        taken = taken.view(B, N - 1, steps, self.heads, -1).transpose(2, 3)  # (B, S, H, t, d)
        patches = (self.shares(paths)[:, :, :, None] @ taken).reshape(B, N - 1, D)
        return self.proj(torch.cat((first, patches), dim=1))


class TrajectoryBlock(nn.Module):
    """Trajectory attention and an MLP, each after a norm and added to its input."""

    def __init__(self, config: MotionformerConfig, drop_path: float, name: str) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=EPS)
        self.attn = TrajectoryAttention(config.width, config.heads, config.values)
        self.norm2 = nn.LayerNorm(config.width, eps=EPS)
        self.mlp = Mlp(config.width)
        self.drop_path = drop_path
        self.name = name  # of its draws

    def path(self, branch: Tensor, key: Tensor, which: str) -> Tensor:
        rate = self.drop_path if self.training else 0.0
        return skip_path(branch, key, f"path.{self.name}.{which}", rate)

    def forward(self, rows: Tensor, steps: int, key: Tensor) -> Tensor:
        """(B, 1 + S, D) -> (B, 1 + S, D)."""
        rows = rows + self.path(self.attn(self.norm1(rows), steps), key, "attention")
        return rows + self.path(self.mlp(self.norm2(rows)), key, "mlp")


class Hidden(nn.Module):
    """The layer between the last norm and the head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = nn.Linear(width, width)

    def forward(self, rows: Tensor) -> Tensor:
        return self.fc(rows).tanh()


class Motionformer(nn.Module):
    """Trajectory attention over all tubelets: a Reader.

    Reads other sizes and numbers of frames than its config's: places are stretched bicubically as
    the authors do; times linearly, for which they have no rule.
    """

    average: Literal["softmax", "logits"] = "softmax"

    def __init__(self, config: MotionformerConfig) -> None:
        super().__init__()
        self.config = config
        self.features = config.width
        steps, rows, columns = config.grid
        self.patch_embed = PatchEmbed(config.width, config.channels, config.patch, config.tubelet)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + rows * columns, config.width))
        self.temp_embed = nn.Parameter(torch.zeros(1, steps, config.width))
        self.blocks = nn.ModuleList(
            TrajectoryBlock(config, rate, str(number))
            for number, rate in enumerate(spread(0.0, config.drop_path, config.depth))
        )
        self.norm = nn.LayerNorm(config.width, eps=EPS)
        self.pre_logits: nn.Module = Hidden(config.width) if config.hidden else nn.Identity()
        self.apply(start_truncated)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def look(self, clips: Clips) -> None:
        """None: it cannot read a part of the tokens."""

    def places(self, rows: int, columns: int) -> Tensor:
        """(1 + rows*columns, D): the class token's position and each place's."""
        grid = self.config.grid[1:]
        return stretched_places(self.pos_embed[0], grid, (rows, columns), "bicubic")

    def times(self, steps: int) -> Tensor:
        """(steps, D): the position of each time step."""
        return stretched_times(self.temp_embed[0], steps, "linear")

    def encode(self, first: Tensor, patches: Tensor, key: Tensor) -> Tensor:
        """Class token (B, D), patches (B, t, n, D), both with their positions -> (B, D)."""
        rows = torch.cat((first[:, None], patches.flatten(1, 2)), dim=1)
        for block in self.blocks:
            rows = block(rows, patches.shape[1], key)
        return self.pre_logits(self.norm(rows[:, 0]))

    def forward(self, clips: Clips, look: Look | None, selection: Selection | None) -> Tensor:
        """-> (B, D): the class token after the last norm and the hidden layer."""
        return read(self, clips.video, clips.key)

    def cost(self, frames: int, height: int, width: int) -> dict[str, float]:
        """Multiply-adds of one view by part, as METHOD.md 3.1 counts, without the classifier.

        With `values="input"` half of `proj_kv` is counted as published and is not computed.
        """
        config, D = self.config, self.config.width
        t, h, w = grid_of(frames, height, width, config.tubelet or 1, config.patch)
        S = t * h * w
        linear = 4 * (1 + S) + (1 + 2 * t) * S + 8 * (1 + S)
        products = 2 * (1 + S) + 2 * S * S + 2 * S * t
        area = config.channels * (config.tubelet or 1) * config.patch**2
        return {
            "embed": S * area * D,
            "linear": (config.depth * linear + config.hidden) * D**2,
            "attention": config.depth * products * D,
            "norm": NORM * D * (config.depth * 2 + 1) * (1 + S),
        }
