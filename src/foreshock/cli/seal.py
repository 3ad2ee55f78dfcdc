"""`foreshock seal RUNDIR`: pack a finished recording into one Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def seal(
    folders: Annotated[list[Path], typer.Argument(metavar="RUNDIR ...", help="Folders of recorded runs.")],
) -> None:
    """Pack the journals of finished runs into run.parquet each, and remove them once that reads back."""
    from foreshock.record.seal import seal as pack

    for folder in folders:
        sealed = pack(folder)
        share = sealed.after / max(sealed.points, 1)
        typer.echo(
            f"{sealed.path}: {sealed.rows:,} rows, {sealed.points:,} numbers, {sealed.before:,} -> "
            f"{sealed.after:,} bytes ({share:.1f} a number)"
        )
