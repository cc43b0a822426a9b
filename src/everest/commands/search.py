"""This file decides `everest search`."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from everest.options import check_place, parse, print_json

if TYPE_CHECKING:
    from everest.console import Console
    from everest.searching.exact import Store

SUMMARY = "clips like a query, near-duplicates, clusters"
EXAMPLES = (
    "everest search embeddings.npz query.mp4 --top 10 -o hits.png",
    "everest search embeddings.npz --duplicates -o duplicates.png",
    "everest search lance:embeddings --clusters 8 -o clusters.png --csv clusters.csv",
)
TOLD = 20  # pairs, groups or clusters told on the console
GROUPS = 12  # groups in a picture
FILES = 10  # files of a group, or clips of a cluster, in a picture
HIT_HEAD = ("path", "start", "end", "similarity")
PAIR_HEAD = ("similarity", "path", "start", "end", "other_path", "other_start", "other_end")


@dataclass(frozen=True)
class Options:
    """Find clips like a query, files that are nearly the same, or clusters, among embeddings."""

    embeddings: tyro.conf.Positional[str]
    """What everest embed wrote: .npz, .parquet, .csv, or lance:DIR."""
    query: tyro.conf.Positional[str | None] = None
    """A video to find the like of."""
    top: int = 10
    """Clips to find."""
    duplicates: bool = False
    """Find files of which a part is nearly the same."""
    threshold: float = 0.995
    """Cosine from which on two clips are nearly the same."""
    clusters: int | None = None
    """Divide all clips into so many clusters."""
    run: str | None = None
    """The model that embeds the query, where the embeddings do not name it."""
    out: Path | None = None
    """A picture of what was found (also -o): .png."""
    csv: Path | None = None
    """Also write what was found here."""
    device: str = "auto"
    json: bool = False
    """Print one JSON document on stdout, all else on stderr."""


def run(words: list[str]) -> int:
    options = parse(Options, words, "search", examples=EXAMPLES)
    check(options)
    from everest.console import Console
    from everest.searching.stores import open_store

    console = Console(to_stderr=options.json)
    store = open_store(options.embeddings)
    console.say(f"{options.embeddings}: {len(store):,} vectors, searched {store.how}")
    if options.query is not None:
        document = hits(store, options, console)
    elif options.duplicates:
        document = duplicates(store, options, console)
    else:
        document = clusters(store, options, console)
    if options.json:
        print_json(document)
    return 0


def check(options: Options) -> None:
    """Refuses, before any work, what is asked for twice, not at all, or cannot be written."""
    asked = [options.query is not None, options.duplicates, options.clusters is not None]
    if sum(asked) != 1:
        raise ValueError(
            f"give one of: a query video, --duplicates, --clusters K; for example: {EXAMPLES[0]}"
        )
    if options.top < 1:
        raise ValueError(f"--top {options.top}: give at least 1")
    if options.out is not None:
        if options.out.suffix.lower() != ".png":
            raise ValueError(f"--out {options.out}: give a picture that ends in .png")
        check_place(options.out, "--out")
    if options.csv is not None:
        check_place(options.csv, "--csv")


def hits(store: "Store", options: Options, console: "Console") -> dict[str, Any]:
    from everest.entries import shown
    from everest.searching import documents
    from everest.searching.exact import best
    from everest.searching.stores import model_of, query_vectors

    assert options.query is not None
    model = model_of(store, options.embeddings, options.run, options.device)
    queries = query_vectors(model, options.query, store.places.about)
    places, own = store.places, os.path.abspath(options.query)
    same = [row for row, path in enumerate(places.paths) if path == own]
    if same:
        console.say(f"{shown(options.query)} is among them itself: it is left out")
    found = best(store.nearest(queries, options.top + len(same)), options.top, same)
    rows = found.rows[0].tolist()
    for number, (row, alike) in enumerate(zip(rows, found.similarity[0].tolist(), strict=True)):
        console.say(f"{number + 1:3}  {alike:.3f}  {documents.line_of(places, row)}")
    if options.csv is not None:
        documents.write_rows(options.csv, HIT_HEAD, documents.hit_rows(places, found))
    if options.out is not None:
        from everest.searching.pictures import draw_hits

        draw_hits(options.query, places, found, options.out)
        console.say(f"{options.out}: the query and what is like it")
    return {"query": options.query, "how": store.how, "hits": documents.hits_of(places, found)}


def duplicates(store: "Store", options: Options, console: "Console") -> dict[str, Any]:
    from everest.entries import counted, shown
    from everest.searching import documents
    from everest.searching.duplicates import groups_of, near_pairs

    places = store.places
    pairs = near_pairs(store, options.threshold)
    groups = groups_of(pairs, places.paths)
    files = sum(len(group) for group in groups)
    console.say(
        f"{counted(len(pairs), 'pair')} of files with a cosine of at least {options.threshold:g}: "
        f"{counted(len(groups), 'group')} of {counted(files, 'file')}"
    )
    for pair in pairs[:TOLD]:
        one, two = documents.line_of(places, pair.first), documents.line_of(places, pair.second)
        console.say(f"{pair.similarity:.4f}  {one}\n        {two}")
    if len(pairs) > TOLD:
        console.say(f"and {len(pairs) - TOLD:,} more; --csv writes them all")
    for number, group in enumerate(groups[:TOLD]):
        if len(group) > 2:
            console.say(f"group {number + 1}: {', '.join(shown(path) for path in group)}")
    if options.csv is not None:
        documents.write_rows(options.csv, PAIR_HEAD, documents.pair_rows(places, pairs))
    if options.out is not None and groups:
        from everest.searching.pictures import draw_groups

        draw_groups(groups[:GROUPS], FILES, places, pairs, options.out)
        console.say(f"{options.out}: the groups")
    return {
        "threshold": options.threshold,
        "pairs": documents.pairs_of(places, pairs),
        "groups": groups,
    }


def clusters(store: "Store", options: Options, console: "Console") -> dict[str, Any]:
    from everest.searching import documents
    from everest.searching.clusters import cluster

    assert options.clusters is not None
    vectors, places = store.vectors(), store.places
    found = cluster(vectors, options.clusters)
    for number, count in enumerate(found.counts[:TOLD].tolist()):
        typical = documents.line_of(places, int(found.typical[number][0]))
        console.say(f"cluster {number + 1}: {count:,}, the most typical is {typical}")
    if len(found.counts) > TOLD:
        console.say(f"and {len(found.counts) - TOLD:,} more; --csv writes them all")
    if options.csv is not None:
        head = ("path", "start", "end", "cluster")
        documents.write_rows(options.csv, head, documents.cluster_rows(places, found))
    if options.out is not None:
        from everest.searching.pictures import draw_clusters

        draw_clusters(vectors, found, FILES // 2, places, options.out)
        console.say(f"{options.out}: a map, and the most typical clips of each cluster")
    rows = [
        {**documents.place_of(places, row), "cluster": int(number) + 1}
        for row, number in enumerate(found.of)
    ]
    return {"clusters": documents.clusters_of(places, found), "rows": rows}
