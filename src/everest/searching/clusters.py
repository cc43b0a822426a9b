"""This file decides how vectors fall into clusters.

N windows; D numbers of a vector; K clusters.
"""

from typing import NamedTuple

import numpy as np

from everest.searching.exact import unit

STARTS = 4  # of which the tightest is taken
LARGE = 20_000  # windows, above which clusters are found on parts of them


class Clusters(NamedTuple):
    """K clusters, the largest first."""

    of: np.ndarray  # (N,) int64: the cluster of each window
    counts: np.ndarray  # (K,)
    typical: list[np.ndarray]  # rows of each cluster, nearest to its middle first


def cluster(vectors: np.ndarray, count: int, seed: int = 0) -> Clusters:
    """k-means of the directions: (N, D) -> Clusters; the same vectors give the same clusters.

    Raises ValueError for fewer than two clusters, or more than there are different vectors.
    """
    units = unit(vectors)
    different = len({unit.tobytes() for unit in units})
    if not 2 <= count <= different:
        raise ValueError(
            f"--clusters {count}: of {len(units)} vectors, {different} of them different; give 2 "
            f"to {different}"
        )
    from sklearn.cluster import KMeans, MiniBatchKMeans

    kind = KMeans if len(units) <= LARGE else MiniBatchKMeans
    found = kind(count, n_init=STARTS, random_state=seed).fit(units)
    sizes = np.bincount(found.labels_, minlength=count)
    order = np.argsort(-sizes, kind="stable")
    of = np.argsort(order)[found.labels_].astype(np.int64)
    far = np.linalg.norm(units - found.cluster_centers_[found.labels_], axis=1)
    typical = []
    for number in range(count):
        rows = np.flatnonzero(of == number)
        typical.append(rows[np.argsort(far[rows], kind="stable")])
    return Clusters(of, sizes[order], typical)
