"""This file decides what embeddings are, and how they are written and read again: .npz, .csv,
.parquet, lance:DIR.

N windows (with pool "tokens": tokens); D numbers of a vector.
"""

import csv
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from everest.spreadsheet import cell, text_of

ENDINGS = (".npz", ".csv", ".parquet")
LANCE = "lance:"
SCHEMA = 1


@dataclass(frozen=True)
class About:
    """How embeddings were made: what a query needs to be made the same way."""

    run: str  # absolute path, or hf:ID
    weights: str  # SHA-256 of the model's tensors
    pool: str  # mean, max, tokens
    keep: int | float | None  # share or count of tokens read; None: the model's own choice
    window: float | None  # seconds; None: whole files
    hop: float | None
    frame_rate: float  # of folders of frames
    grid: tuple[int, int, int] | None = None  # that positions of tokens count

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "About":
        """Raises ValueError for what another version wrote."""
        if content.get("schema") != SCHEMA:
            raise ValueError(
                f"embeddings of schema {content.get('schema')!r}, this version reads {SCHEMA}"
            )
        known = {name: content[name] for name in cls.__dataclass_fields__}
        return cls(**{**known, "grid": tuple(known["grid"]) if known["grid"] else None})


class Embeddings(NamedTuple):
    """One vector a clip or window; with pool "tokens" one a token that was read."""

    vectors: np.ndarray  # (N, D) float32
    paths: list[str]
    starts: np.ndarray  # (N,) seconds
    ends: np.ndarray  # (N,) seconds
    bad: list[dict[str, str]]  # files that could not be read
    about: About | None = None  # unknown of a .csv
    positions: np.ndarray | None = None  # (N,) of tokens, in the flattened (t, h, w) grid

    def save(self, path: str | Path) -> None:
        """Writes .npz, .csv, .parquet or lance:DIR; raises ValueError for another ending."""
        save_embeddings(self, str(path))


def lance_folder(place: str) -> Path | None:
    """The folder of lance:DIR; None for a file."""
    if not place.startswith(LANCE):
        return None
    folder = place.removeprefix(LANCE)
    if not folder:
        raise ValueError("lance: without a folder; give one, such as lance:embeddings/")
    return Path(folder)


def part_of(place: str) -> Path:
    """The folder in which finished rows wait for the others."""
    folder = lance_folder(place)
    path = Path(place) if folder is None else folder
    return path.absolute().with_name(f"{path.absolute().name}.part")


def check_out(place: str) -> None:
    """Raises ValueError, before any work, for a place that cannot be written."""
    folder = lance_folder(place)
    path = Path(place) if folder is None else folder
    if folder is None and path.suffix.lower() not in ENDINGS:
        known = ", ".join((*ENDINGS, "lance:DIR"))
        raise ValueError(f"--out {place}: embeddings are written as {known}")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"--out {place}: there is no folder {path.absolute().parent}")
    if folder is not None:
        from everest.searching.lance import check_folder

        check_folder(folder)
    elif path.is_dir():
        raise ValueError(f"--out {place}: is a folder; give a file in it")
    elif path.suffix.lower() == ".parquet":
        from everest.searching.arrow import parquet

        parquet()


def save_embeddings(found: Embeddings, place: str) -> None:
    check_out(place)
    folder, path = lance_folder(place), Path(place)
    if folder is not None:
        from everest.searching.lance import write_lance

        write_lance(found, folder)
        return
    with beside(path) as part:
        match path.suffix.lower():
            case ".npz":
                write_npz(found, part)
            case ".csv":
                write_csv(found, part)
            case ".parquet":
                from everest.searching.arrow import parquet, table_of

                parquet().write_table(table_of(found), part)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A file that becomes `path` when it is whole."""
    part = path.with_name(f".{path.name}.tmp")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_npz(found: Embeddings, path: Path) -> None:
    arrays = {
        "vectors": found.vectors.astype(np.float32),
        "paths": np.array(found.paths, dtype=str),
        "starts": found.starts,
        "ends": found.ends,
    }
    if found.positions is not None:
        arrays["positions"] = found.positions
    if found.about is not None:
        arrays["about"] = np.array(json.dumps(found.about.to_json()))
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def write_csv(found: Embeddings, path: Path) -> None:
    numbers = [f"v{number}" for number in range(found.vectors.shape[1])]
    position = [] if found.positions is None else ["position"]
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "start", "end", *position, *numbers])
        for number, vector in enumerate(found.vectors.tolist()):
            span = [cell(found.paths[number]), found.starts[number], found.ends[number]]
            place = [] if found.positions is None else [found.positions[number]]
            writer.writerow([*span, *place, *vector])


def read_embeddings(place: str | Path) -> Embeddings:
    """What `Embeddings.save` wrote; raises ValueError for another file."""
    place = str(place)
    folder, path = lance_folder(place), Path(place)
    if folder is not None:
        from everest.searching.lance import Lance

        return Lance(folder).load()
    if not path.is_file():
        if part_of(place).is_dir():
            raise ValueError(f"{place}: is not finished; give its everest embed command again")
        known = ", ".join((*ENDINGS, "lance:DIR"))
        raise ValueError(f"{place}: no such file; give what everest embed wrote ({known})")
    try:
        match path.suffix.lower():
            case ".npz":
                return read_npz(path)
            case ".csv":
                return read_csv(path)
            case ".parquet":
                from everest.searching.arrow import embeddings_of, parquet

                return embeddings_of(parquet().read_table(path))
    except (KeyError, IndexError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{place}: not what everest embed writes ({error})") from error
    raise ValueError(f"{place}: embeddings end in {', '.join(ENDINGS)}, or are lance:DIR")


def read_npz(path: Path) -> Embeddings:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no .npz")
    with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
        about = None
        if "about" in kept:
            about = About.from_json(json.loads(str(kept["about"])))
        found = Embeddings(
            kept["vectors"], kept["paths"].tolist(), kept["starts"], kept["ends"], [], about
        )
        if "positions" in kept:
            found = found._replace(positions=kept["positions"])
    if found.vectors.ndim != 2 or len(found.vectors) != len(found.paths):
        raise ValueError(f"vectors of shape {found.vectors.shape}, {len(found.paths)} paths")
    return found


def read_csv(path: Path) -> Embeddings:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        reader = csv.reader(file)
        head = next(reader, [])
        first = head.index("v0")
        rows = list(reader)
    vectors = np.array([row[first:] for row in rows], np.float32).reshape(len(rows), -1)
    starts, ends = (np.array([float(row[place]) for row in rows]) for place in (1, 2))
    found = Embeddings(vectors, [text_of(row[0]) for row in rows], starts, ends, [])
    if "position" in head:
        place = head.index("position")
        found = found._replace(positions=np.array([int(row[place]) for row in rows]))
    return found
