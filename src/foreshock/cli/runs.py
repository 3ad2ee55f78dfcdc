"""`foreshock runs PATH`: which runs a path holds."""

from __future__ import annotations

from typing import Annotated

import typer

from foreshock.cli._options import FormatOption, PathArgument


def runs(
    path: PathArgument,
    format: FormatOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the runs in PATH with their format and number of rows."""
    from foreshock.readers import list_runs

    found = list_runs(path, format=format)
    if json:
        import orjson

        rows = [{"number": i, "id": r.id, "format": r.format, "rows": r.rows} for i, r in enumerate(found, 1)]
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    width = max((len(r.id) for r in found), default=0)
    for number, info in enumerate(found, 1):
        typer.echo(f"{number:>3}  {info.id:<{width}}  {info.format}  {info.rows} rows")
