"""This file decides which videos are nearly the same.

N windows; D numbers of a vector.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from everest.searching.exact import Store, unit

THRESHOLD = 0.995  # cosine, from which on two windows are nearly the same
ALL_PAIRS = 50_000  # windows, above which each is compared with its nearest only
NEAREST = 32
TOGETHER = 512  # windows compared with all others at once


class Pair(NamedTuple):
    """Two files, by the rows of the windows that are most alike."""

    similarity: float
    first: int
    second: int


def near_pairs(store: Store, threshold: float = THRESHOLD) -> list[Pair]:
    """Pairs of different files with a window each whose cosine is at least `threshold`, most alike
    first; up to ALL_PAIRS windows every two are compared."""
    if not -1 <= threshold <= 1:
        raise ValueError(f"--threshold {threshold}: a cosine is from -1 to 1; try {THRESHOLD}")
    paths = store.places.paths
    number = {path: place for place, path in enumerate(dict.fromkeys(paths))}
    files = np.array([number[path] for path in paths], dtype=np.int64)
    vectors = unit(store.vectors())
    likest: dict[tuple[int, int], Pair] = {}
    for first in range(0, len(vectors), TOGETHER):
        some = vectors[first : first + TOGETHER]
        if len(vectors) <= ALL_PAIRS:
            alike = some @ vectors[first:].T  # the earlier ones were compared with these
            near = np.argwhere(alike >= threshold)
            values = alike[near[:, 0], near[:, 1]]
            pairs = near + first
        else:
            found = store.nearest(some, NEAREST)
            mine = np.repeat(np.arange(first, first + len(some)), found.rows.shape[1])
            pairs, values = np.stack((mine, found.rows.ravel()), 1), found.similarity.ravel()
            pairs, values = pairs[values >= threshold], values[values >= threshold]
        other = files[pairs[:, 0]] != files[pairs[:, 1]]
        for (one, two), value in zip(pairs[other].tolist(), values[other].tolist(), strict=True):
            one, two = sorted((one, two), key=lambda row: files[row])
            key = int(files[one]), int(files[two])
            pair = Pair(value, one, two)
            before = likest.get(key)
            if before is None or (-value, one, two) < (-before.similarity, *before[1:]):
                likest[key] = pair
    return sorted(likest.values(), key=lambda pair: (-pair.similarity, pair.first, pair.second))


def groups_of(pairs: Sequence[Pair], paths: Sequence[str]) -> list[list[str]]:
    """Files that pairs join, directly or by others between them; the largest group first."""
    leader: dict[str, str] = {}

    def lead(path: str) -> str:
        while leader.setdefault(path, path) != path:
            path = leader[path]
        return path

    for pair in pairs:
        one, two = sorted((lead(paths[pair.first]), lead(paths[pair.second])))
        leader[two] = one
    groups: dict[str, list[str]] = {}
    for path in sorted(leader):
        groups.setdefault(lead(path), []).append(path)
    return sorted(groups.values(), key=lambda group: (-len(group), group[0]))
