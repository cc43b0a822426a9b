"""This file decides which tokens of a clip are read and which are predicted.

B clips; t, h, w the token grid; N = t*h*w; P numbers of a patch; D channels of the embedding.
Positions count the flattened (t, h, w) grid. Counts come from the recipe and never from the clip.
"""

import itertools
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from everest import draw

Budget = int | float  # with a point a share of the clip's tokens, without a point a count
Grid = tuple[int, int, int]
# Differences scored at once, in numbers: few enough for a processor's cache, or on another device
# for its memory, however long a clip is.
SCORED_AT_ONCE = {"cpu": 1 << 19}
SCORED_AT_MOST = 1 << 23


class Selection(NamedTuple):
    visible: Tensor  # (B, V) int64, ascending: the encoder reads these
    masked: Tensor  # (B, M) int64, ascending: the decoder predicts these; M = 0 when fine-tuning


def take(rows: Tensor, positions: Tensor) -> Tensor:
    """(B, N, ...), (B, K) -> (B, K, ...): the rows at the positions."""
    B, N = rows.shape[:2]
    places = positions + torch.arange(B, device=rows.device)[:, None] * N
    # One index into all rows copies each as a whole; two indices copy number by number.
    return rows.flatten(0, 1).index_select(0, places.flatten()).unflatten(0, positions.shape)


def size_of(grid: Grid) -> int:
    return grid[0] * grid[1] * grid[2]


def count_of(budget: Budget, total: int, name: str) -> int:
    """How many of `total` a budget means: `int((1 - (1 - share)) * total)`, as the authors count
    (METHOD.md 1.2: 0.3, 0.6 and 0.1 of 1568 are 470, 940 and 156).

    Raises ValueError when nothing or more than everything is asked for.
    """
    if isinstance(budget, int):
        if budget == 1 and total > 1:
            raise ValueError(
                f"{name} 1 would be one token: write {name} 1.0 for all tokens, "
                f"or a count between 2 and {total}"
            )
        if not 1 <= budget <= total:
            raise ValueError(f"{name} {budget}: a clip has {total} tokens; give 1 to {total}")
        return budget
    if not 0.0 < budget <= 1.0:
        raise ValueError(
            f"{name} {budget}: a share is above 0 and at most 1.0 (a count has no point, "
            f"such as 470)"
        )
    count = int((1 - (1 - budget)) * total)
    if count < 1:
        raise ValueError(
            f"{name} {budget}: of {total} tokens that is none; give at least {1.5 / total:.2g}"
        )
    return count


class Look:
    """What a selector may look at: the patches, and how much each token changed."""

    def __init__(self, patches: Tensor, key: Tensor, weight: Tensor) -> None:
        self.patches = patches  # (B, t, h, w, P) uint8
        self.key = key  # (B,) int64
        self.weight = weight  # (D, P): the linear part of the embedding, per grey level
        self.scored: Tensor | None = None

    @property
    def grid(self) -> Grid:
        return self.patches.shape[1], self.patches.shape[2], self.patches.shape[3]

    def at(self, steps: Tensor) -> "Look":
        """The look at chosen time steps, (B, s): scored again between the chosen neighbours."""
        return Look(take(self.patches, steps), self.key, self.weight)

    @torch.no_grad()
    def change(self) -> Tensor:
        """(B, t, h, w) float32: the distance of each token's embedding from the one before it.

        The embedding is linear, so the distance is the norm of the embedded difference of the
        pixels: positions and bias drop out, and equal patches give exactly 0. Under autocast the
        weight is rounded, the pixels are not. Step 0 takes the
        scores of step 1 (METHOD.md 1.2). Raises ValueError for a single time step.
        """
        if self.scored is not None:
            return self.scored
        B, t, h, w, P = self.patches.shape
        if t < 2:
            raise ValueError(
                "a clip of one time step has no change to score: give more frames, "
                "or select at random (--select random)"
            )
        device = self.patches.device.type
        dtype = torch.float32
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        weight = self.weight.detach().to(dtype)
        if torch.compiler.is_exporting():  # neither a loop over clips nor small integers there
            levels = self.patches.to(dtype)
            scores = torch.linalg.vector_norm(
                F.linear(levels[:, 1:] - levels[:, :-1], weight), dim=-1, dtype=torch.float32
            )
            self.scored = torch.cat((scores[:, :1], scores), dim=1)
            return self.scored
        scores = torch.empty(B, t, h, w, device=self.patches.device)
        room = SCORED_AT_ONCE.get(device, SCORED_AT_MOST) // (h * w * P)
        steps = min(max(room, 1), t - 1)
        clips = max(room // steps, 1)
        for first, start in itertools.product(range(0, B, clips), range(1, t, steps)):
            some, stop = slice(first, first + clips), min(start + steps, t)
            # Differences of grey levels are whole numbers up to 255: exact in bfloat16 too.
            levels = self.patches[some, start - 1 : stop].to(torch.int16)
            changes = (levels[:, 1:] - levels[:, :-1]).to(dtype)
            scores[some, start:stop] = torch.linalg.vector_norm(
                F.linear(changes, weight), dim=-1, dtype=torch.float32
            )
        scores[:, 0] = scores[:, 1]
        self.scored = scores
        return scores


class Selector(Protocol):
    def __call__(self, look: Look) -> Selection: ...

    def counts(self, grid: Grid) -> tuple[int, int]:
        """(visible, masked) on a grid; raises ValueError for a budget the grid cannot meet."""
        ...


def top(scores: Tensor, count: int) -> Tensor:
    """(B, N) -> (B, count) ascending positions of the highest scores, ties to the earlier."""
    # Ties are built in (the first two time steps score alike): a stable sort breaks them one way.
    best = scores.argsort(dim=1, descending=True, stable=True)[:, :count]
    return best.sort(dim=1).values


def deal(kept: Tensor, key: Tensor, visible: int) -> Selection:
    """(B, K) ascending positions -> `visible` of them to read at random, the rest to predict."""
    if visible == kept.shape[1]:
        return Selection(kept, kept[:, :0])
    shuffled = draw.order(key, "selection.deal", kept.shape[1])
    return Selection(
        take(kept, shuffled[:, :visible].sort(dim=1).values),
        take(kept, shuffled[:, visible:].sort(dim=1).values),
    )


def kept_and_visible(keep: Budget, visible: Budget | None, grid: Grid) -> tuple[int, int]:
    total = size_of(grid)
    kept = count_of(keep, total, "--keep")
    if visible is None:
        return kept, kept
    read = count_of(visible, total, "--visible")
    if read >= kept:
        raise ValueError(
            f"--visible {visible} is {read} tokens and --keep {keep} is {kept}: fewer must be "
            f"visible than kept, the others are predicted"
        )
    return kept, read


class ReRo:
    """Keeps the tokens that changed most; the others are neither read nor predicted.

    Source: the paper's redundancy-robust token selection; METHOD.md 1.2.
    """

    def __init__(self, keep: Budget = 0.3, visible: Budget | None = 0.1) -> None:
        self.keep = keep
        self.visible = visible

    def counts(self, grid: Grid) -> tuple[int, int]:
        if grid[0] < 2:
            raise ValueError(
                "--select rero needs at least two time steps (frames / tubelet): give more "
                "--frames or use --select random"
            )
        kept, read = kept_and_visible(self.keep, self.visible, grid)
        return read, kept - read

    def __call__(self, look: Look) -> Selection:
        read, hidden = self.counts(look.grid)
        return deal(top(look.change().flatten(1), read + hidden), look.key, read)


class RandomTokens:
    """Keeps tokens at random, each equally often: the control at the same budget as ReRo."""

    def __init__(self, keep: Budget = 1.0, visible: Budget | None = 0.1) -> None:
        self.keep = keep
        self.visible = visible

    def counts(self, grid: Grid) -> tuple[int, int]:
        kept, read = kept_and_visible(self.keep, self.visible, grid)
        return read, kept - read

    def __call__(self, look: Look) -> Selection:
        read, hidden = self.counts(look.grid)
        shuffled = draw.order(look.key, "selection.random", size_of(look.grid))
        kept = shuffled[:, : read + hidden].sort(dim=1).values
        return deal(kept, look.key, read)


class Tube:
    """Hides the same places at every time step, drawn anew for each clip (VideoMAE)."""

    def __init__(self, visible: Budget = 0.1) -> None:
        self.visible = visible

    def counts(self, grid: Grid) -> tuple[int, int]:
        t, h, w = grid
        if isinstance(self.visible, int):
            shown, rest = divmod(count_of(self.visible, size_of(grid), "--visible"), t)
            if rest or not 0 < shown < h * w:
                raise ValueError(
                    f"--visible {self.visible}: a tube shows whole places of {t} time steps; give "
                    f"a multiple of {t} below {size_of(grid)}"
                )
        else:
            count_of(self.visible, size_of(grid), "--visible")
            shown = h * w - int((1 - self.visible) * h * w)
            if not 0 < shown < h * w:
                raise ValueError(
                    f"--visible {self.visible}: of {h * w} places that leaves {shown} visible; "
                    f"some must be visible and some hidden"
                )
        return t * shown, t * (h * w - shown)

    def __call__(self, look: Look) -> Selection:
        t, h, w = look.grid
        shown = self.counts(look.grid)[0] // t
        places = draw.order(look.key, "selection.tube", h * w)
        time = torch.arange(t, device=places.device)[:, None] * (h * w)

        def tubes(chosen: Tensor) -> Tensor:
            return (time + chosen.sort(dim=1).values[:, None]).flatten(1)

        return Selection(tubes(places[:, :shown]), tubes(places[:, shown:]))


class AllTokens:
    """Reads every token and predicts none."""

    def counts(self, grid: Grid) -> tuple[int, int]:
        return size_of(grid), 0

    def __call__(self, look: Look) -> Selection:
        everything = torch.arange(size_of(look.grid), device=look.key.device)
        visible = everything.expand(look.key.shape[0], -1)
        return Selection(visible, visible[:, :0])
