"""This file decides which windows the picture of a search shows: hits, groups, clusters."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from everest.embeddings import Embeddings
from everest.report.film import write_film
from everest.searching.clusters import Clusters
from everest.searching.duplicates import Pair
from everest.searching.exact import Found
from everest.searching.map import colour_of, draw_map
from everest.searching.sheet import Band, Cell, cell_of, draw_bands, middle_frame

CLUSTERS = 40  # in a picture


def draw_hits(query: str, places: Embeddings, found: Found, path: Path) -> None:
    """The query, and what is like it."""
    from everest import video

    rate = places.about.frame_rate if places.about else 25.0
    seconds = video.probe(query).seconds
    name = query.rstrip("/").rpartition("/")[2]
    asked = Cell(middle_frame(query, 0.0, seconds, rate), (name, f"{seconds:.1f} s"), True)
    hits = [
        cell_of(places, row, f"{number + 1}: {alike:.3f}")
        for number, (row, alike) in enumerate(
            zip(found.rows[0].tolist(), found.similarity[0].tolist(), strict=True)
        )
    ]
    write_film([draw_bands([Band("Query", [asked]), Band("Most alike, by cosine", hits)])], path)


def draw_groups(
    groups: Sequence[Sequence[str]],
    most: int,
    places: Embeddings,
    pairs: Sequence[Pair],
    path: Path,
) -> None:
    """A band a group; of each file the window that is most like another's."""
    window: dict[str, tuple[int, float]] = {}
    for pair in pairs:
        for row in (pair.first, pair.second):
            window.setdefault(places.paths[row], (row, pair.similarity))
    bands = []
    for number, group in enumerate(groups):
        cells = [cell_of(places, *told(*window[file])) for file in group[:most]]
        more = f", {most} of them here" if len(group) > most else ""
        bands.append(Band(f"Group {number + 1}: {len(group)} files{more}", cells))
    write_film([draw_bands(bands)], path)


def told(row: int, similarity: float) -> tuple[int, str]:
    return row, f"{similarity:.4f}"


def draw_clusters(
    vectors: np.ndarray, clusters: Clusters, most: int, places: Embeddings, path: Path
) -> None:
    """A map of all windows, and a band a cluster with its most typical windows."""
    bands = [
        Band(
            f"Cluster {number + 1}: {int(clusters.counts[number]):,}",
            [cell_of(places, row, "") for row in rows[:most].tolist()],
            colour_of(number),
        )
        for number, rows in enumerate(clusters.typical[:CLUSTERS])
    ]
    write_film([draw_bands(bands, draw_map(vectors, clusters))], path)
