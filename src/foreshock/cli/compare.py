"""`foreshock compare A B ...`: several runs in the same charts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foreshock.cli._options import (
    FormatOption,
    MapOption,
    SignalsOption,
    StepKeyOption,
    parse_mapping,
    parse_names,
)


def compare(
    paths: Annotated[list[str], typer.Argument(metavar="A B ...", help="Two or more logs, as for `report`.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="File to write; .png, .svg or .pdf.")
    ] = Path("comparison.png"),
    band: Annotated[
        bool, typer.Option("--band", help="The runs are seeds of one experiment: draw their mean and range.")
    ] = False,
    signals: SignalsOption = None,
    map: MapOption = None,
    step_key: StepKeyOption = None,
    format: FormatOption = None,
) -> None:
    """Overlay several runs, one colour each, or as a band with --band."""
    from foreshock.errors import UsageError
    from foreshock.readers import open_run
    from foreshock.report.comparison import draw_comparison
    from foreshock.report.figure import save

    if len(paths) < 2:
        raise UsageError("compare needs at least two runs; for one run use `foreshock report PATH`")
    opened = [open_run(path, format=format, mapping=parse_mapping(map), step_key=step_key) for path in paths]
    save(draw_comparison(opened, signals=parse_names(signals), band=band), output)
    typer.echo(f"Written: {output}")
