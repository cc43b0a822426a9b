"""This file decides what likeness is, and finds the most alike by looking at all.

N vectors kept; Q queries; D numbers of a vector.
"""

from collections.abc import Collection
from typing import NamedTuple, Protocol

import numpy as np

from everest.embeddings import Embeddings

TOGETHER = 256  # queries compared at once


class Found(NamedTuple):
    """The nearest of each query, most alike first; of those alike the earlier."""

    similarity: np.ndarray  # (Q, K) float32, cosine: from -1 to 1
    rows: np.ndarray  # (Q, K) int64


class Store(Protocol):
    """Vectors that can be searched."""

    places: Embeddings  # whose vectors may be left out

    def __len__(self) -> int: ...
    def nearest(self, queries: np.ndarray, top: int) -> Found: ...
    def vectors(self) -> np.ndarray: ...
    @property
    def how(self) -> str: ...


def unit(vectors: np.ndarray) -> np.ndarray:
    """(N, D) -> the same directions, of length 1; a vector of zeros stays one."""
    vectors = vectors.astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


class Exact:
    """Embeddings in memory, every one of them compared."""

    how = "exactly, in memory (numpy)"

    def __init__(self, embeddings: Embeddings) -> None:
        self.places = embeddings
        self.units = unit(embeddings.vectors)

    def __len__(self) -> int:
        return len(self.units)

    def vectors(self) -> np.ndarray:
        """(N, D)"""
        return self.places.vectors

    def nearest(self, queries: np.ndarray, top: int) -> Found:
        """(Q, D) -> Found, with K the smaller of `top` and N."""
        asked, top = unit(queries), min(top, len(self))
        similarity = np.empty((len(asked), top), np.float32)
        rows = np.empty((len(asked), top), np.int64)
        for first in range(0, len(asked), TOGETHER):
            some = slice(first, first + TOGETHER)
            alike = asked[some] @ self.units.T
            rows[some] = np.argsort(-alike, axis=1, kind="stable")[:, :top]
            similarity[some] = np.take_along_axis(alike, rows[some], axis=1)
        return Found(similarity, rows)


def best(found: Found, top: int, without: Collection[int] = ()) -> Found:
    """Of several queries that mean one: each row once, as like as to the likest of them; some rows
    are left out."""
    order = np.lexsort((found.rows.ravel(), -found.similarity.ravel()))
    rows, similarity = found.rows.ravel()[order], found.similarity.ravel()[order]
    wanted = np.isfinite(similarity) & ~np.isin(rows, list(without))
    rows, similarity = rows[wanted], similarity[wanted]
    _, once = np.unique(rows, return_index=True)
    chosen = np.sort(once)[:top]
    return Found(similarity[chosen][None], rows[chosen][None])
