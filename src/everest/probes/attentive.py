"""This file decides the attentive probe: one query per head reads all tokens of a clip.

B clips of a batch; L tokens of a clip, of all its views; D width of a token; H heads; S time steps,
or 1; K classes.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from everest import keys
from everest.choosing import fitting_batch
from everest.probes.features import Tokens

RATE = 1e-3
WEIGHT_DECAYS = (0.01,)
LARGEST_BATCH = 32  # clips a step
WARMUP = 0.1  # of all steps
AT_ONCE = 1 << 26  # numbers of tokens brought into memory at once


class AttentivePool(nn.Module):
    """Cross-attention with a single query, over all tokens or within each time step, and a linear
    head.

    With one query, keys and values may be applied after the tokens were read: attention is a
    product of query, key weight and token, and its answer a weighted sum. So no token is multiplied
    by a D x D weight. The query starts at 0: the mean over tokens.
    """

    def __init__(self, width: int, heads: int, steps: int, classes: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(heads, width))
        self.value = nn.Parameter(torch.zeros(heads, width, width // heads))
        nn.init.trunc_normal_(self.value, std=width**-0.5)
        self.norm = nn.LayerNorm(steps * width)
        self.head = nn.Linear(steps * width, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor, belongs: Tensor) -> Tensor:
        """(B, L, D), which token is of which step (B, S, L) -> (B, K)."""
        scores = (tokens @ self.query.T).transpose(1, 2)[:, :, None]  # (B, H, 1, L)
        weights = (scores - scores.amax(dim=3, keepdim=True)).exp() * belongs[:, None]
        shares = weights / weights.sum(dim=3, keepdim=True).clamp_min(1e-12)  # (B, H, S, L)
        read = shares @ tokens[:, None]  # (B, H, S, D)
        values = torch.einsum("bhsd,hde->bshe", read, self.value)
        return self.head(self.norm(values.flatten(1)))


class Attentive:
    """Trained on tokens that lie in files: memory holds a batch. The seed decides all draws."""

    name = "attentive"
    setting = "weight_decay"

    def __init__(
        self,
        tokens: Tokens,
        rows: np.ndarray,
        shape: tuple[int, int],
        *,
        epochs: int = 20,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        if epochs < 1:
            raise ValueError(f"--epochs {epochs}: give at least 1")
        self.tokens = tokens
        self.rows = rows  # (N,) where each clip's tokens lie
        self.heads, self.steps = shape  # steps 1: all tokens alike
        self.epochs = epochs
        self.seed = seed
        self.device = device
        self.choices: tuple[float, ...] = WEIGHT_DECAYS

    def answers(
        self,
        train: np.ndarray,
        labels: np.ndarray,
        classes: int,
        asked: np.ndarray,
        choices: Sequence[float],
    ) -> Iterator[np.ndarray]:
        mean, scale = self.channel_scales(train)
        for choice in choices:
            model = self.fitted(train, labels, classes, choice, mean, scale)
            with torch.inference_mode():
                shares = [
                    model(*self.bring(places, mean, scale)).softmax(dim=1).cpu().numpy()
                    for places in self.parts(asked)
                ]
            yield np.concatenate(shares) if shares else np.zeros((0, classes))

    def parts(self, places: np.ndarray) -> Iterator[np.ndarray]:
        """The places, as many at once as memory holds."""
        size = max(AT_ONCE // self.tokens.values[0].size, 1)
        for start in range(0, len(places), size):
            yield places[start : start + size]

    def channel_scales(self, train: np.ndarray) -> tuple[Tensor, Tensor]:
        """(mean, scale), each (D,), of the tokens to learn from."""
        sums = squares = np.zeros(self.tokens.values.shape[2])
        for places in self.parts(train):
            tokens = self.tokens.values[self.rows[places]].astype(np.float32)
            sums = sums + tokens.sum(axis=(0, 1), dtype=np.float64)
            squares = squares + np.square(tokens).sum(axis=(0, 1), dtype=np.float64)
        count = len(train) * self.tokens.values.shape[1]
        mean = sums / count
        variance = np.maximum(squares / count - mean**2, 0.0)
        scale = np.sqrt(variance + 1e-6)
        return (
            torch.from_numpy(mean.astype(np.float32)).to(self.device),
            torch.from_numpy(scale.astype(np.float32)).to(self.device),
        )

    def bring(self, places: np.ndarray, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """-> standardised tokens (B, L, D), which is of which step (B, S, L)."""
        rows = self.rows[places]
        values = torch.from_numpy(self.tokens.values[rows]).to(self.device).float()
        steps = torch.from_numpy(self.tokens.steps[rows].astype(np.int64)).to(self.device)
        if self.steps == 1:
            steps = torch.zeros_like(steps)
        belongs = steps[:, None] == torch.arange(self.steps, device=self.device)[:, None]
        return (values - mean) / scale, belongs.float()

    def fitted(
        self,
        train: np.ndarray,
        labels: np.ndarray,
        classes: int,
        weight_decay: float,
        mean: Tensor,
        scale: Tensor,
    ) -> AttentivePool:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            model = AttentivePool(self.tokens.values.shape[2], self.heads, self.steps, classes)
        model.to(self.device)
        batch = min(fitting_batch(len(train)), LARGEST_BATCH)
        steps = self.epochs * -(-len(train) // batch)
        optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=weight_decay)
        step = 0
        for epoch in range(self.epochs):
            order = np.array(keys.order(keys.make_key(self.seed, epoch), "probe", len(train)))
            for start in range(0, len(order), batch):
                chosen = order[start : start + batch]
                for group in optimizer.param_groups:
                    group["lr"] = RATE * pace(step / steps)
                logits = model(*self.bring(train[chosen], mean, scale))
                wanted = torch.from_numpy(labels[chosen]).to(self.device)
                optimizer.zero_grad(set_to_none=True)
                F.cross_entropy(logits, wanted).backward()
                optimizer.step()
                step += 1
        return model.eval()


def pace(done: float) -> float:
    """Share of the rate after a share of the steps: rises, then falls along a cosine."""
    if done < WARMUP:
        return (done + 1e-3) / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (done - WARMUP) / (1 - WARMUP)))
