"""This file decides how embeddings become an Arrow table, for Parquet and LanceDB, and back."""

import json
from typing import Any

import numpy as np

from everest.embeddings import About, Embeddings

ABOUT = b"everest"  # key of the schema's metadata
NEEDS = "pip install 'everest-video[search]', or write .npz"


def arrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise ValueError(f".parquet and lance: need pyarrow: {NEEDS}") from error
    return pyarrow


def parquet() -> Any:
    arrow()
    import pyarrow.parquet

    return pyarrow.parquet


def table_of(found: Embeddings) -> Any:
    """A row a vector: path, start, end, vector, and the position of a token.

    Arrow's text is UTF-8: the bytes of a path that is not become \\udcXX in letters.
    """
    pyarrow = arrow()
    width = found.vectors.shape[1]
    numbers = pyarrow.array(found.vectors.astype(np.float32).ravel())
    columns = {
        "path": [path.encode("utf-8", "backslashreplace").decode() for path in found.paths],
        "start": found.starts.astype(np.float64),
        "end": found.ends.astype(np.float64),
        "vector": pyarrow.FixedSizeListArray.from_arrays(numbers, width),
    }
    if found.positions is not None:
        columns["position"] = found.positions.astype(np.int64)
    table = pyarrow.table(columns)
    if found.about is None:
        return table
    return table.replace_schema_metadata({ABOUT: json.dumps(found.about.to_json()).encode()})


def embeddings_of(table: Any) -> Embeddings:
    """The inverse; raises KeyError or ValueError for another table."""
    vectors = table["vector"].combine_chunks()
    values = vectors.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    found = Embeddings(
        values.reshape(len(table), -1) if len(table) else np.zeros((0, 0), np.float32),
        table["path"].to_pylist(),
        table["start"].to_numpy(),
        table["end"].to_numpy(),
        [],
        about_of(table.schema),
    )
    if "position" in table.column_names:
        found = found._replace(positions=table["position"].to_numpy())
    return found


def about_of(schema: Any) -> About | None:
    kept = (schema.metadata or {}).get(ABOUT)
    return None if kept is None else About.from_json(json.loads(kept))
