"""Parquet tables, by pyarrow (the `parquet` extra, imported only when one is read)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foreshock.errors import MissingExtraError, NotARunError, UnreadableError
from foreshock.readers._log import Log
from foreshock.readers._sniff import run_name
from foreshock.readers._tables import Cell, table_logs

NAME = "parquet"
DESCRIPTION = "Parquet tables (needs `pip install 'foreshock[parquet]'`)"

_MAGIC = b"PAR1"


def recognises(path: Path, head: bytes) -> bool:
    """By its first four bytes."""
    return head.startswith(_MAGIC)


def read(path: Path) -> list[Log]:
    """The runs in the table; null is not logged, NaN is. Nested columns are left out.

    Raises:
        MissingExtraError: pyarrow is not installed.
        UnreadableError: cut or damaged: a Parquet file without its end cannot be read at all.
        NotARunError: no column of numbers.
    """
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        import pyarrow.parquet as pq  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError(f"reading {path}", "parquet") from error
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = [field.name for field in file.schema_arrow if _is_plain(pa, field.type)]
            logs = table_logs(names, _rows(file, names), run_name(path), path, NAME)
    except (pa.ArrowException, OSError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableError(f"{path} is a Parquet file that was cut or damaged: {first}") from error
    if not logs:
        raise NotARunError(f"{path} is a Parquet table without a number")
    return logs


def _is_plain(pa: Any, kind: Any) -> bool:
    types = pa.types
    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_decimal(kind)
        or types.is_string(kind)
        or types.is_large_string(kind)
    )


def _plain(column: Any) -> Any:
    return column.cast("double") if str(column.type).startswith("decimal") else column


def _rows(file: Any, names: list[str]) -> Iterator[tuple[Cell, ...]]:
    for batch in file.iter_batches(batch_size=8192, columns=names):
        columns = [_plain(batch.column(name)).to_pylist() for name in names]
        yield from zip(*columns, strict=True)
