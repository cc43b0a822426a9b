"""This file decides what is said of a search: lines, JSON and rows of a table."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from everest.embeddings import Embeddings
from everest.entries import shown
from everest.searching.clusters import Clusters
from everest.searching.duplicates import Pair
from everest.searching.exact import Found
from everest.spreadsheet import cell


def place_of(places: Embeddings, row: int) -> dict[str, Any]:
    return {
        "path": places.paths[row],
        "start": float(places.starts[row]),
        "end": float(places.ends[row]),
    }


def line_of(places: Embeddings, row: int) -> str:
    start, end = float(places.starts[row]), float(places.ends[row])
    return f"{shown(places.paths[row])} {start:.1f}-{end:.1f} s"


def hits_of(places: Embeddings, found: Found) -> list[dict[str, Any]]:
    """[{path, start, end, similarity}, ...], most alike first."""
    return [
        {**place_of(places, row), "similarity": round(similarity, 6)}
        for row, similarity in zip(
            found.rows[0].tolist(), found.similarity[0].tolist(), strict=True
        )
    ]


def pairs_of(places: Embeddings, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """[{similarity, first: {path, start, end}, second: {...}}, ...]"""
    return [
        {
            "similarity": round(pair.similarity, 6),
            "first": place_of(places, pair.first),
            "second": place_of(places, pair.second),
        }
        for pair in pairs
    ]


def clusters_of(places: Embeddings, clusters: Clusters) -> list[dict[str, Any]]:
    """[{cluster, count, typical: {path, start, end}}, ...], the largest first."""
    return [
        {
            "cluster": number + 1,
            "count": int(count),
            "typical": place_of(places, int(clusters.typical[number][0])),
        }
        for number, count in enumerate(clusters.counts)
    ]


def write_rows(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows([cell(it) if isinstance(it, str) else it for it in row] for row in rows)


def hit_rows(places: Embeddings, found: Found) -> Iterable[Sequence[object]]:
    return ([*hit.values()] for hit in hits_of(places, found))


def pair_rows(places: Embeddings, pairs: Sequence[Pair]) -> Iterable[Sequence[object]]:
    for pair in pairs_of(places, pairs):
        yield [pair["similarity"], *pair["first"].values(), *pair["second"].values()]


def cluster_rows(places: Embeddings, clusters: Clusters) -> Iterable[Sequence[object]]:
    for row, number in enumerate(clusters.of.tolist()):
        yield [*place_of(places, row).values(), number + 1]
