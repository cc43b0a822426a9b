"""This file decides the transformer block, and the first weights of its layers.

B clips; N tokens; D width. Parameter names are those of the released VideoMAE family (METHOD.md
2.7).
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everest import draw
from everest.attention import attend

EPS = 1e-6  # LayerNorm; METHOD.md 1.2
NORM = 5  # multiply-adds an element that a LayerNorm counts as (METHOD.md 3.1)
Gelu = Literal["none", "tanh"]  # how it is approximated


def skip_path(branch: Tensor, key: Tensor, purpose: str, rate: float) -> Tensor:
    """Stochastic depth: a clip skips the branch (B, ...) at the rate, else it is scaled up."""
    if not rate:
        return branch
    taken = (draw.uniform(key, purpose, 1) >= rate).to(branch.dtype) / (1 - rate)
    return branch * taken.view(-1, *(1 for _ in branch.shape[1:]))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))  # a key bias would cancel in the softmax
        self.proj = nn.Linear(width, width)

    def forward(self, rows: Tensor, first: int = 0) -> Tensor:
        """(B, N, D) -> (B, N - first, D): rows from `first` on ask, all rows answer."""
        B, N, D = rows.shape
        split = (self.heads, D // self.heads)
        bias = torch.cat((self.q_bias, torch.zeros_like(self.v_bias), self.v_bias))
        if first == 0:
            queries, answers, values = (
                F.linear(rows, self.qkv.weight, bias).view(B, N, 3, *split).permute(2, 0, 3, 1, 4)
            )
        else:
            queries = F.linear(rows[:, first:], self.qkv.weight[:D], self.q_bias)
            queries = queries.view(B, N - first, *split).transpose(1, 2)
            answers, values = (
                F.linear(rows, self.qkv.weight[D:], bias[D:])
                .view(B, N, 2, *split)
                .permute(2, 0, 3, 1, 4)
            )
        read = attend(queries, answers, values)
        return self.proj(read.transpose(1, 2).reshape(B, N - first, D))


class Mlp(nn.Module):
    def __init__(self, width: int, out: int | None = None, gelu: Gelu = "none") -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, out or width)
        self.gelu = gelu

    def hidden(self, rows: Tensor) -> Tensor:
        """(..., D) -> (..., 4D)."""
        return F.gelu(self.fc1(rows), approximate=self.gelu)

    def forward(self, rows: Tensor) -> Tensor:
        return self.fc2(self.hidden(rows))


class Block(nn.Module):
    """Attention and an MLP, each after a norm and added to its input."""

    def __init__(
        self,
        width: int,
        heads: int,
        drop_path: float = 0.0,
        name: str = "",
        *,
        gelu: Gelu = "none",
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = Mlp(width, gelu=gelu)
        self.drop_path = drop_path
        self.name = name  # of its draws

    def path(self, branch: Tensor, key: Tensor, which: str) -> Tensor:
        rate = self.drop_path if self.training else 0.0
        return skip_path(branch, key, f"path.{self.name}.{which}", rate)

    def forward(self, rows: Tensor, key: Tensor, first: int = 0) -> Tensor:
        """(B, N, D) -> (B, N - first, D). Rows before `first` are read but not continued."""
        rows = rows[:, first:] + self.path(self.attn(self.norm1(rows), first), key, "attention")
        return rows + self.path(self.mlp(self.norm2(rows)), key, "mlp")

    def pooled(self, rows: Tensor, key: Tensor, pool: Tensor) -> Tensor:
        """(B, N, D), pooling weights (B, S, N) -> (B, S, D): the pooled output of the block.

        fc2 is affine, so pooling comes before it: exact where a row of weights adds up to one.
        """
        rows = rows + self.path(self.attn(self.norm1(rows)), key, "attention")
        hidden = self.mlp.hidden(self.norm2(rows))
        weights = pool.to(hidden.dtype)
        branch = F.linear(weights @ hidden, self.mlp.fc2.weight) + (
            self.mlp.fc2.bias * pool.sum(dim=-1, keepdim=True)
        )
        return pool @ rows.float() + self.path(branch, key, "mlp")


def start_linear(module: nn.Module) -> None:
    """Weights as the authors start them: xavier for Linear layers, the embedding as torch's."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def start_truncated(module: nn.Module) -> None:
    """Weights as the authors start a classifier from scratch: truncated normal of 0.02."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
