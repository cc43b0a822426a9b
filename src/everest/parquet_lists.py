"""This file decides how a table in a Parquet file is read as a list (pyarrow)."""

from everest.entries import Listing, SourceError, Wanted, shown
from everest.tables import cell_of, read_rows


def read_parquet(source: str, wanted: Wanted) -> Listing:
    """Reads a table with a column of paths, as `metadata.parquet` beside a folder's videos.

    Raises SourceError for a damaged file, one that holds the videos themselves, and without
    pyarrow.
    """
    header, columns = _columns(source)
    rows = [
        (number, [cell_of(value) for value in row])
        for number, row in enumerate(zip(*columns, strict=True), start=1)
    ]
    return read_rows(source, header, rows, ",", wanted)


def column_names(source: str) -> list[str]:
    """The names of the columns; raises SourceError as `read_parquet` does."""
    return _columns(source, only_names=True)[0]


def _columns(source: str, *, only_names: bool = False) -> tuple[list[str], list[list[object]]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise SourceError(
            f"{shown(source)}: a Parquet file is read with pyarrow, which is not installed: pip"
            " install 'everest-video[search]', or write the table as CSV"
        ) from error
    try:
        header = list(parquet.read_schema(source).names)
        if only_names:
            return header, []
        table = parquet.read_table(source)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise SourceError(f"{shown(source)}: cannot be read as Parquet: {error}") from error
    for field in table.schema:
        if pyarrow.types.is_struct(field.type) or pyarrow.types.is_binary(field.type):
            raise SourceError(
                f"{shown(source)}: its column '{shown(field.name)}' holds files and not their"
                " paths; write the videos out as files, and their names into the table"
            )
    return header, [column.to_pylist() for column in table.columns]
