"""`foreshock plot PATH -o FILE`: only the charts, for a slide or a paper."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from foreshock.cli._options import (
    FormatOption,
    MapOption,
    PathArgument,
    RunOption,
    SignalsOption,
    SmoothOption,
    StepKeyOption,
    parse_mapping,
    parse_names,
)


class Size(str, enum.Enum):
    """Where the figure goes."""

    screen = "screen"
    page = "page"
    column = "column"


def plot(
    path: PathArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="File to write; .png, .svg or .pdf.")
    ] = Path("charts.png"),
    size: Annotated[
        Size, typer.Option("--size", help="Width: a screen, a page, or one column of a paper.")
    ] = Size.screen,
    signals: SignalsOption = None,
    smooth: SmoothOption = None,
    run: RunOption = None,
    map: MapOption = None,
    step_key: StepKeyOption = None,
    format: FormatOption = None,
) -> None:
    """Draw the charts of the run at PATH into one image file."""
    from foreshock.analysis import analyze
    from foreshock.readers import open_run
    from foreshock.report.figure import draw, save

    opened = open_run(path, run=run, format=format, mapping=parse_mapping(map), step_key=step_key)
    names = parse_names(signals)
    figure = draw(opened, analyze(opened, signals=names), signals=names, smooth=smooth, size=size.value)
    save(figure, output)
    typer.echo(f"Written: {output}")
