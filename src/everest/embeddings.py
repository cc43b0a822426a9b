"""This file decides what embeddings are and how they are written: .npz, .csv, .parquet."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

ENDINGS = (".npz", ".csv", ".parquet")


class Embeddings(NamedTuple):
    """One vector a clip or window."""

    vectors: np.ndarray  # (N, D) float32
    paths: list[str]
    starts: np.ndarray  # (N,) seconds
    ends: np.ndarray  # (N,) seconds
    bad: list[dict[str, str]]  # files that could not be read

    def save(self, path: str | Path) -> None:
        """Writes .npz, .csv or .parquet; raises ValueError for another ending."""
        save_embeddings(self, Path(path))


def check_ending(path: Path) -> None:
    """Raises ValueError, before any work, for a file that cannot be written."""
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"--out {path}: embeddings are written as {', '.join(ENDINGS)}")
    if path.suffix.lower() == ".parquet":
        parquet()
    if not path.absolute().parent.is_dir():
        raise ValueError(f"--out {path}: there is no folder {path.absolute().parent}")


def parquet() -> tuple:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError(
            ".parquet needs pyarrow: pip install 'everest-video[search]', or write .npz"
        ) from error
    return pyarrow, pyarrow.parquet


def save_embeddings(found: Embeddings, path: Path) -> None:
    check_ending(path)
    match path.suffix.lower():
        case ".npz":
            np.savez(
                path,
                vectors=found.vectors.astype(np.float32),
                paths=np.array(found.paths, dtype=str),
                starts=found.starts,
                ends=found.ends,
            )
        case ".csv":
            import csv

            with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
                writer = csv.writer(file)
                numbers = [f"v{number}" for number in range(found.vectors.shape[1])]
                writer.writerow(["path", "start", "end", *numbers])
                for row in zip(
                    found.paths, found.starts, found.ends, found.vectors.tolist(), strict=True
                ):
                    writer.writerow([*row[:3], *row[3]])
        case ".parquet":
            pyarrow, writer = parquet()
            table = pyarrow.table(
                {
                    "path": found.paths,
                    "start": found.starts,
                    "end": found.ends,
                    "vector": list(found.vectors),
                }
            )
            writer.write_table(table, path)
