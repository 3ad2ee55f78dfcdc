"""Sealed runs: what `foreshock seal` packed into a Parquet file, back as the records that were written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foreshock.errors import MissingExtraError, UnreadableError
from foreshock.readers._sniff import loads

SEALED = "run.parquet"
MARK = b"foreshock.sealed"
METRICS = "metrics."
_FOOTER = 1 << 20


def is_sealed(path: Path) -> bool:
    """Whether a file is a run that `foreshock seal` packed."""
    if path.suffix != ".parquet" or not path.is_file():
        return False
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _FOOTER))
        return MARK in file.read()


def unsealed(path: Path) -> Iterator[dict[str, Any]]:
    """The records in a sealed run, in the order they were written.

    Raises:
        MissingExtraError: pyarrow is not installed.
        UnreadableError: the file was cut or damaged.
    """
    pa, pq = pyarrow(path)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(batch_size=8192):
                yield from _records({name: batch.column(name).to_pylist() for name in batch.schema.names})
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise UnreadableError(f"{path} is a sealed run that was cut or damaged: {error}") from error


def _records(columns: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    metrics = [
        (name.removeprefix(METRICS), values) for name, values in columns.items() if name[:8] == METRICS
    ]
    for at, (step, time, line) in enumerate(
        zip(columns["step"], columns["time"], columns["line"], strict=True)
    ):
        if line is not None:
            yield loads(line)
        else:
            values = {name: column[at] for name, column in metrics if column[at] is not None}
            yield {"step": step, "time": time, "metrics": values}


def pyarrow(path: Path) -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet.

    Raises:
        MissingExtraError: they are not installed.
    """
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        import pyarrow.parquet as pq  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError(f"a sealed run ({path})", "parquet") from error
    return pa, pq
