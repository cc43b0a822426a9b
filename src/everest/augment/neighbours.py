"""This file decides which clips of a batch stand side by side, which is which are mixed.

Positions 2i and 2i + 1 are neighbours. A batch of B videos read `repeats` times has the first clips
of all of them, then the second clips beginning one video later, and so on: a repeat of a video
meets another partner.
"""

from collections.abc import Sequence


def repeated(videos: int, repeats: int) -> list[tuple[int, int]]:
    """(video of the batch, which clip of it) for each position."""
    return [
        ((place + repeat) % videos, repeat) for repeat in range(repeats) for place in range(videos)
    ]


def apart(rows: Sequence[int]) -> list[int]:
    """An order of the positions in which neighbours have different rows, wherever there is one.

    Positions stay where they are but for those that have to change places.
    """
    order = list(range(len(rows)))
    pairs = range(0, len(rows) - 1, 2)
    for here in pairs:
        row = rows[order[here]]
        if rows[order[here + 1]] != row:
            continue
        # A pair without this row can take one of the two; where none is, more than half are.
        for there in (*range(here + 2, len(rows) - 1, 2), *pairs):
            if row not in (rows[order[there]], rows[order[there + 1]]):
                order[here + 1], order[there] = order[there], order[here + 1]
                break
    return order
