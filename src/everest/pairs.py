"""This file decides which frame pairs of a longer window make the clip: information-intensive
frame selection (METHOD.md, "Frame selection"; decisions in docs/decisions.md).

B clips; s candidate time steps (a frame pair each, at tubelet 2); tau chosen ones.
"""

import math

import torch
from torch import Tensor

from everest import draw
from everest.selection import Budget, Look, count_of, size_of


def shares(scores: Tensor, kept: int) -> Tensor:
    """(B, s, h, w) scores -> (B, s): how many of the `kept` highest lie in each time step.

    Tokens tied at the cut count as fractions: the places left, shared among the tied.
    """
    flat = scores.flatten(1)
    cut = flat.sort(dim=1, descending=True).values[:, kept - 1, None]
    above, tied = flat > cut, flat == cut
    left = (kept - above.sum(dim=1, keepdim=True)) / tied.sum(dim=1, keepdim=True)
    return (above + tied * left).view(scores.shape).sum(dim=(2, 3))


def pick(c: Tensor, tau: int, key: Tensor | None) -> Tensor:
    """(B, s) counts -> (B, tau) ascending steps: drawn by the key, or without one the fullest."""
    if tau == c.shape[1]:
        return torch.arange(tau, device=c.device).expand(c.shape[0], -1)
    if key is None:
        return c.argsort(dim=1, descending=True, stable=True)[:, :tau].sort(dim=1).values
    gumbel = -(-draw.uniform(key, "pairs", c.shape[1]).log()).log()
    # Two stable sorts: adding log(0) would lose the noise that orders the empty steps.
    ranked = (c.clamp_min(1e-30).log() + gumbel).argsort(dim=1, descending=True, stable=True)
    empty_last = (c.gather(1, ranked) == 0).to(torch.int8).argsort(dim=1, stable=True)
    return ranked.gather(1, empty_last)[:, :tau].sort(dim=1).values


class InformativePairs:
    """Chooses tau of alpha * tau candidate time steps by the number of ReRo tokens in each."""

    def __init__(self, alpha: float = 1.5, keep: Budget = 0.3) -> None:
        if not 1.0 <= alpha < math.inf:
            raise ValueError(f"--alpha {alpha}: candidates over frames, at least 1.0 (paper: 1.5)")
        self.alpha = alpha
        self.keep = keep  # its own, whatever the selector's

    def candidates(self, steps: int) -> int:
        """How many time steps are looked at for a clip of `steps`."""
        return int(round(self.alpha * steps, 6))

    def chosen(self, candidates: int) -> int:
        """How many of `candidates` make the clip: the inverse of `candidates`."""
        return math.ceil(round(candidates / self.alpha, 6))

    @torch.no_grad()
    def __call__(self, look: Look, draws: bool) -> Tensor:
        """(B, tau) int64, ascending time steps.

        Training draws without replacement in proportion to c (the top tau of log c + Gumbel
        noise); steps with c = 0 come last, ordered by the same noise. Otherwise the tau steps
        with most tokens, ties to the earlier.
        """
        tau = self.chosen(look.grid[0])
        c = shares(look.change(), count_of(self.keep, size_of(look.grid), "--keep"))
        return pick(c, tau, look.key if draws else None)
