"""This file decides the video transformer: patches, embedding, blocks; sizes ti, s, b, l, h.

B clips; C channels; T, H, W frames and pixels; t, h, w the token grid, N = t*h*w; P numbers of a
token's patch (tubelet * patch * patch * C), ordered (frame, row, column, channel) as decoded frames
and the released pixel heads are; D width; V tokens read. Parameter names are those of the released
VideoMAE family (METHOD.md 2.7).
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everest.blocks import EPS, Block, start_linear
from everest.clips import Clips
from everest.frames import spread
from everest.positions import Positions
from everest.selection import Grid, Look, Selection, size_of, take

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
PositionKind = Literal["sinusoid", "sincos3d", "table"]


@dataclass(frozen=True)
class VitConfig:
    width: int
    depth: int
    heads: int
    patch: int = 16  # pixels
    tubelet: int = 2  # frames
    channels: int = 3
    mean: tuple[float, ...] = IMAGENET_MEAN  # of pixels in 0..1, a channel each
    std: tuple[float, ...] = IMAGENET_STD
    drop_path: float = 0.0  # rate of the last block; rises linearly from 0
    positions: PositionKind = "sinusoid"  # table: learned, or a file's own
    table: Grid | None = None  # the grid that a "table" is of
    class_token: bool = False  # one more token that is read first and pooled nowhere
    norm: bool = True  # the encoder's final norm: False is the paper's choice for fine-tuning
    pool: Literal["mean", "steps"] = "mean"  # of kept tokens; or of each time step, concatenated
    steps: int = 8  # time steps of a clip; only "steps" pooling depends on it

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of {self.heads} heads")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels:
                raise ValueError(
                    f"{name} has {len(values)} numbers for {self.channels} channels: give one each"
                )
        if (self.positions == "table") != (self.table is not None):
            raise ValueError(
                f"positions {self.positions} with table {self.table}: a table, and nothing else, "
                f"is of one grid"
            )


SIZES: dict[str, tuple[int, int, int]] = {  # width, depth, heads
    "vit-ti": (192, 12, 3),
    "vit-s": (384, 12, 6),
    "vit-b": (768, 12, 12),
    "vit-l": (1024, 24, 16),
    "vit-h": (1280, 32, 16),
}


def step_shares(positions: Tensor, grid: Grid) -> Tensor:
    """(B, V) -> (B, t, V): what makes the mean of each time step; all 0 where it kept none."""
    steps = torch.arange(grid[0], device=positions.device)[:, None]
    belongs = (positions // (grid[1] * grid[2]))[:, None] == steps
    return belongs / belongs.sum(dim=2, keepdim=True).clamp_min(1)


class PatchEmbed(nn.Module):
    """Holds the embedding's weights under their released name; the product is `embed`'s."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        size = (config.tubelet, config.patch, config.patch)
        self.proj = nn.Conv3d(config.channels, config.width, size, stride=size)


class VideoTransformer(nn.Module):
    """The plain transformer over video tokens: an Encoder and a Reader (DESIGN, central types).

    Any number of frames that is a multiple of the tubelet, any height and width that are multiples
    of the patch, any channel count with its own mean and standard deviation.
    """

    pixel_scale: Tensor
    pixel_shift: Tensor
    average: Literal["softmax", "logits"] = "softmax"

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.width  # of a token
        self.features = config.width * (config.steps if config.pool == "steps" else 1)
        self.patch_embed = PatchEmbed(config)
        rates = spread(0.0, config.drop_path, config.depth)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, rate, str(number))
            for number, rate in enumerate(rates)
        )
        self.norm: nn.Module = nn.LayerNorm(config.width, eps=EPS) if config.norm else nn.Identity()
        area = config.tubelet * config.patch**2
        scale = 1.0 / (255.0 * torch.tensor(config.std))
        shift = torch.tensor(config.mean) / torch.tensor(config.std)
        self.register_buffer("pixel_scale", scale.repeat(area), persistent=False)
        self.register_buffer("pixel_shift", shift.repeat(area), persistent=False)
        self.apply(start_linear)
        if config.class_token:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
            nn.init.trunc_normal_(self.cls_token, std=0.02)
        if config.positions == "table":
            assert config.table is not None
            self.position_table = nn.Parameter(torch.zeros(size_of(config.table), config.width))
            nn.init.trunc_normal_(self.position_table, std=0.02)
        else:
            self.positions = Positions(config.positions, config.width)

    def grid(self, frames: int, height: int, width: int) -> Grid:
        """The token grid of a clip; raises ValueError for sizes that leave a remainder."""
        patch, tubelet = self.config.patch, self.config.tubelet
        if frames % tubelet or frames < tubelet:
            below = max(frames // tubelet, 1) * tubelet
            raise ValueError(
                f"--frames {frames}: must be a multiple of the tubelet, {tubelet}; nearest are "
                f"{below} and {below + tubelet}"
            )
        for side in (height, width):
            if side % patch or side < patch:
                below = max(side // patch, 1) * patch
                given = f"{side}:" if height == width else f"{height}x{width}: {side}"
                raise ValueError(
                    f"--size {given} must be a multiple of the patch, {patch}; nearest are "
                    f"{below} and {below + patch}"
                )
        return frames // tubelet, height // patch, width // patch

    def patchify(self, video: Tensor) -> Tensor:
        """(B, C, T, H, W) uint8 -> (B, t, h, w, P) uint8."""
        B, C, T, H, W = video.shape
        t, h, w = self.grid(T, H, W)
        if C != self.config.channels:
            raise ValueError(f"the video has {C} channels, the model {self.config.channels}")
        patch, tubelet = self.config.patch, self.config.tubelet
        split = video.reshape(B, C, t, tubelet, h, patch, w, patch)
        return split.permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(B, t, h, w, -1)

    def patch_weight(self) -> Tensor:
        """(D, P): the embedding's weight in the order of a patch."""
        return self.patch_embed.proj.weight.permute(0, 2, 3, 4, 1).flatten(1)

    def grey_weight(self) -> Tensor:
        """(D, P): the embedding's weight for grey levels 0..255, normalisation folded in."""
        return self.patch_weight() * self.pixel_scale

    def embed(self, patches: Tensor) -> Tensor:
        """(..., P) uint8 -> (..., D), before positions."""
        weight = self.patch_weight()
        own = self.patch_embed.proj.bias
        assert own is not None
        bias = own - weight @ self.pixel_shift
        return F.linear(patches.to(weight.dtype), weight * self.pixel_scale, bias)

    def look(self, clips: Clips) -> Look:
        return Look(self.patchify(clips.video), clips.key, self.grey_weight())

    def place(self, tokens: Tensor, positions: Tensor, grid: Grid) -> Tensor:
        """Adds each token's position, and reads the class token before them where there is one;
        positions count clip time. Raises ValueError for another grid than a table's."""
        if self.config.positions != "table":
            tokens = tokens + self.positions(positions, grid)
        else:
            if grid != self.config.table:
                raise ValueError(
                    f"a clip of {grid} tokens (time, rows, columns), and this model's positions "
                    f"are a table of {self.config.table}: give the same --frames and --size"
                )
            tokens = tokens + self.position_table[positions]
        if self.config.class_token:
            tokens = torch.cat(
                (self.cls_token.to(tokens).expand(tokens.shape[0], -1, -1), tokens), 1
            )
        return tokens

    def encode(self, tokens: Tensor, positions: Tensor, grid: Grid, key: Tensor) -> Tensor:
        """(B, V, D) -> (B, V, D), before the final norm."""
        rows = self.place(tokens, positions, grid)
        for block in self.blocks:
            rows = block(rows, key)
        return rows[:, 1:] if self.config.class_token else rows

    def pooling(self, positions: Tensor, grid: Grid) -> Tensor:
        """(B, V) -> weights (B, S, V): S is 1, or a time step each (all 0 where it kept none)."""
        if self.config.pool == "mean":
            return torch.full_like(positions, 1 / positions.shape[1], dtype=torch.float32)[:, None]
        return step_shares(positions, grid)

    def forward(self, clips: Clips, look: Look | None, selection: Selection | None) -> Tensor:
        """-> (B, features): the tokens read, pooled."""
        look = look or self.look(clips)
        if self.config.pool == "steps" and look.grid[0] != self.config.steps:
            raise ValueError(
                f"the clip has {look.grid[0]} time steps, and --pool steps was built for "
                f"{self.config.steps}: keep --frames, or use --pool mean"
            )
        rows = look.patches.flatten(1, 3)
        if selection is None:
            positions = torch.arange(rows.shape[1], device=rows.device).expand(rows.shape[0], -1)
        else:
            positions = selection.visible
            rows = take(rows, positions)
        rows = self.place(self.embed(rows), positions, look.grid)
        pool = self.pooling(positions, look.grid)
        if self.config.class_token:
            pool = F.pad(pool, (1, 0))
        for block in self.blocks[:-1]:
            rows = block(rows, clips.key)
        last = self.blocks[-1]
        assert isinstance(last, Block)
        if self.config.norm:
            return (pool @ self.norm(last(rows, clips.key)).float()).flatten(1)
        return last.pooled(rows, clips.key, pool).flatten(1)
