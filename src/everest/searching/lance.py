"""This file decides how embeddings lie in LanceDB, a database in a folder, and are searched there.

N vectors kept; Q queries; D numbers of a vector.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from everest.embeddings import Embeddings
from everest.searching.arrow import about_of, arrow, embeddings_of, table_of
from everest.searching.exact import Found

TABLE = "embeddings"
INDEX_FROM = 50_000  # vectors, above which a search looks at the likeliest parts only
PART = 1_000  # vectors of a part of the index
LOOKED_AT = 0.25  # share of the parts that a search looks at
PARTS_AT_LEAST = 20


def lancedb() -> Any:
    # Its engine warns on standard error of what is no fault, such as a database that is new.
    os.environ.setdefault("LANCEDB_LOG", "error")
    arrow()
    try:
        import lancedb
    except ImportError as error:
        raise ValueError(
            "lance: needs LanceDB: pip install 'everest-video[search]'; or write .npz, which is "
            "searched without it"
        ) from error
    return lancedb


def check_folder(folder: Path) -> None:
    """Raises ValueError, before any work, where no database can be written."""
    lancedb()
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"lance:{folder}: is a file; give a folder")
    if folder.is_dir() and any(folder.iterdir()) and not holds_table(folder):
        raise ValueError(f"lance:{folder}: holds other files; give a new folder, or an empty one")


def holds_table(folder: Path) -> bool:
    return (folder / f"{TABLE}.lance").is_dir()


def write_lance(found: Embeddings, folder: Path) -> None:
    """Replaces the table of a folder, as a whole or not at all; above INDEX_FROM with an index."""
    import pyarrow

    table = table_of(found)
    table = table.append_column("row", pyarrow.array(np.arange(len(table))))
    # An absolute path: a relative db:x or s3:x would be an address.
    database = lancedb().connect(str(folder.absolute()))
    written = database.create_table(TABLE, table, mode="overwrite")
    if len(table) > INDEX_FROM:
        from lancedb.index import IvfFlat

        index = IvfFlat(distance_type="cosine", num_partitions=parts(len(table)), max_iterations=20)
        written.create_index("vector", config=index)


def parts(count: int) -> int:
    return max(count // PART, 1)


class Lance:
    """The embeddings of a folder: compared all, or from INDEX_FROM on through the index."""

    def __init__(self, folder: Path) -> None:
        database = lancedb()
        if not holds_table(folder):
            raise ValueError(f"lance:{folder}: holds no embeddings; everest embed writes them")
        self.table = database.connect(str(folder.absolute())).open_table(TABLE)
        self.count = self.table.count_rows()
        self.is_indexed = bool(self.table.list_indices())
        self.width = self.table.schema.field("vector").type.list_size
        columns = ["path", "start", "end", "row"]
        if "position" in self.table.schema.names:
            columns.append("position")
        kept = self.table.search().select(columns).limit(max(self.count, 1)).to_arrow()
        kept = kept.sort_by("row")
        self.places = Embeddings(
            np.zeros((0, self.width), np.float32),
            kept["path"].to_pylist(),
            kept["start"].to_numpy(),
            kept["end"].to_numpy(),
            [],
            about_of(self.table.schema),
            kept["position"].to_numpy() if "position" in columns else None,
        )

    def __len__(self) -> int:
        return self.count

    @property
    def how(self) -> str:
        if not self.is_indexed:
            return "exactly (LanceDB)"
        return f"in {self.probes} of the {parts(self.count)} parts of the index (LanceDB)"

    @property
    def probes(self) -> int:
        """Parts of the index that a search looks at."""
        number = parts(self.count)
        return min(max(int(LOOKED_AT * number), PARTS_AT_LEAST), number)

    def load(self) -> Embeddings:
        """All of it, in memory."""
        table = self.table.to_arrow().sort_by("row")
        about = self.places.about
        return embeddings_of(table)._replace(about=about)

    def vectors(self) -> np.ndarray:
        """(N, D)"""
        return self.load().vectors

    def nearest(self, queries: np.ndarray, top: int) -> Found:
        """(Q, D) -> Found, with K the smaller of `top` and N."""
        top = min(top, self.count)
        # The parts looked at may hold fewer vectors than are asked for: -inf is none.
        similarity = np.full((len(queries), top), -np.inf, np.float32)
        rows = np.zeros((len(queries), top), np.int64)
        for number, query in enumerate(queries):
            search = self.table.search(query.astype(np.float32), vector_column_name="vector")
            search = search.distance_type("cosine").limit(top).select(["row", "_distance"])
            if self.is_indexed:
                search = search.nprobes(self.probes)
            found = search.to_arrow()
            alike, places = 1 - found["_distance"].to_numpy(), found["row"].to_numpy()
            order = np.lexsort((places, -alike))
            similarity[number, : len(order)] = alike[order]
            rows[number, : len(order)] = places[order]
        return Found(similarity, rows)
