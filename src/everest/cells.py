"""This file decides which tokens are decoded where a part of them is enough: running cells.

Source: VideoMAE V2's dual masking (METHOD.md 4): in every 2x2 cell of places some are decoded, and
which ones moves on by one from a time step to the next.
"""

from typing import Literal

import torch
from torch import Tensor

from everest.selection import Grid, Look, Selection, Selector, size_of

Share = Literal[1, 2, 3]  # places of a cell of four


def decoded(grid: Grid, places: int) -> Tensor:
    """(K,) ascending positions of a (t, h, w) grid: `places` of each cell, around it in time."""
    t, h, w = grid
    row = torch.arange(h)[:, None] % 2
    column = torch.arange(w)[None] % 2
    around = torch.where(row == 0, column, 3 - column)  # clockwise from the upper left
    turn = (around[None] - torch.arange(t)[:, None, None]) % 4
    return (turn < places).flatten().nonzero()[:, 0]


def seen(selection: Selection, total: int) -> Tensor:
    """(B, M) bool: which masked tokens the encoder reads as well; they are nothing to predict."""
    read = torch.zeros(len(selection.visible), total, dtype=torch.bool)
    read = read.to(selection.visible.device).scatter_(1, selection.visible, True)
    return read.gather(1, selection.masked)


class RunningCells:
    """Reads what another selector reads and decodes a fixed part of all tokens.

    The part holds tokens that are read, too: they are decoded, so that counts are the same in
    every clip, and left out of the loss.
    """

    def __init__(self, select: Selector, share: float) -> None:
        if share not in (0.25, 0.5, 0.75):
            raise ValueError(
                f"--decoder-share {share}: running cells have four places; give 0.25, 0.5, 0.75, "
                f"or 1.0 to decode every hidden token"
            )
        self.select = select
        self.places = int(share * 4)

    def counts(self, grid: Grid) -> tuple[int, int]:
        read, hidden = self.select.counts(grid)
        if read + hidden != size_of(grid):
            raise ValueError(
                f"--decoder-share below 1.0 chooses among all hidden tokens, and here only "
                f"{hidden} of {size_of(grid) - read} are predicted: use --select tube, or leave "
                f"--decoder-share at 1.0"
            )
        return read, len(decoded(grid, self.places))

    def __call__(self, look: Look) -> Selection:
        self.counts(look.grid)
        visible = self.select(look).visible
        chosen = decoded(look.grid, self.places).to(visible.device)
        return Selection(visible, chosen.expand(len(visible), -1))
