"""`foreshock report PATH`: the charts and the analysis of one run."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated, Any

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
from foreshock.run import Run


class FailOn(str, enum.Enum):
    """Verdicts that `--fail-on` can turn into exit code 1."""

    trouble = "trouble"
    watch = "watch"


def report(
    path: PathArgument,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the report files.")
    ] = Path("foreshock-report"),
    json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON on standard output and write no files.")
    ] = False,
    pdf: Annotated[bool, typer.Option("--pdf", help="Write charts.pdf too.")] = False,
    signals: SignalsOption = None,
    smooth: SmoothOption = None,
    run: RunOption = None,
    map: MapOption = None,
    step_key: StepKeyOption = None,
    format: FormatOption = None,
    fail_on: Annotated[
        FailOn | None, typer.Option("--fail-on", help="Exit with 1 when the verdict is this or worse.")
    ] = None,
) -> None:
    """Draw and analyse the run at PATH; write report.html, .md, .json, charts.png and .svg."""
    from foreshock.readers import open_run

    opened = open_run(path, run=run, format=format, mapping=parse_mapping(map), step_key=step_key)
    verdict = present(opened, None if json else out, pdf=pdf, signals=parse_names(signals), smooth=smooth)
    failing = {None: (), FailOn.trouble: ("trouble",), FailOn.watch: ("trouble", "watch")}[fail_on]
    if verdict in failing:
        raise typer.Exit(1)


def present(
    run: Run,
    folder: Path | None,
    *,
    pdf: bool = False,
    signals: list[str] | None = None,
    smooth: int | None = None,
) -> str:
    """Analyse `run` and return the verdict; JSON to standard output where `folder` is None, else files."""
    from foreshock.analysis import analyze
    from foreshock.diagnosis import open_causes, what_to_log
    from foreshock.report import build

    analysis = analyze(run, signals=signals)
    causes = open_causes(run, analysis)
    document = build(run, analysis, causes, what_to_log(run, [cause.id for cause in causes]))
    if folder is None:
        from foreshock.report.json import dumps

        sys.stdout.buffer.write(dumps(document))
        sys.stdout.buffer.flush()
    else:
        _summary_and_files(document, run, analysis, folder, pdf=pdf, signals=signals, smooth=smooth)
    return analysis.verdict


def _summary_and_files(
    document: dict[str, Any],
    run: Run,
    analysis: Any,
    folder: Path,
    *,
    pdf: bool,
    signals: list[str] | None,
    smooth: int | None,
) -> None:
    from rich.console import Console

    from foreshock.report import make_folder, write_all
    from foreshock.report.terminal import print_summary

    make_folder(folder)  # what fails is told before the summary, not below it
    console = Console(highlight=False)
    print_summary(document, run, analysis, console)
    formats = ("html", "md", "json", "png", "svg", *(("pdf",) if pdf else ()))
    written = write_all(document, run, analysis, folder, formats=formats, signals=signals, smooth=smooth)
    console.print(
        f"Written to {folder}/: " + ", ".join(path.name for path in written), markup=False, soft_wrap=True
    )
