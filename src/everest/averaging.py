"""This file decides what the views of a clip say together: their mean, taken in a fixed order.

B views of a batch; rows are those of the index.
"""

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor


@dataclass
class Views:
    """Gathers what was said of each view, and means it a row once all its views came by.

    The views of a row are sorted by their key before their mean is taken in float64, so that
    their order and the batches they came in change no bit of it; one that came twice, as when
    processes are given an equal share, counts once.
    """

    expected: int = 1  # views of a row, those that could not be read included
    open: dict[int, dict[int, list[np.ndarray] | None]] = field(default_factory=dict)
    closed: dict[int, list[np.ndarray] | None] = field(default_factory=dict)  # row -> its means

    def put(self, rows: Tensor, keys: Tensor, weight: Tensor, said: list[np.ndarray]) -> None:
        """A batch: rows, keys and weights, (B,) each; an array (B, ...) for all that is meant."""
        for slot, (row, key) in enumerate(zip(rows.tolist(), keys.tolist(), strict=True)):
            if row < 0 or row in self.closed:  # fills a batch that could not be shared evenly
                continue
            views = self.open.setdefault(row, {})
            views[key] = [array[slot] for array in said] if weight[slot] > 0 else None
            if len(views) == self.expected:
                self.closed[row] = means(self.open.pop(row))

    @property
    def seen(self) -> int:
        """Rows that came by, read or not."""
        return len(self.open) + len(self.closed)

    def told(self) -> dict[int, list[np.ndarray]]:
        """Index rows of which a view could be read, ascending -> their means."""
        found = self.closed | {row: means(views) for row, views in self.open.items()}
        return {row: said for row in sorted(found) if (said := found[row]) is not None}


def means(views: dict[int, list[np.ndarray] | None]) -> list[np.ndarray] | None:
    """Of the views that could be read, each array's mean in float32; None where none could be."""
    read = [said for key in sorted(views) if (said := views[key]) is not None]
    if not read:
        return None
    sums = [array.astype(np.float64) for array in read[0]]
    for said in read[1:]:
        sums = [total + array for total, array in zip(sums, said, strict=True)]
    return [np.asarray(total / len(read), np.float32) for total in sums]
