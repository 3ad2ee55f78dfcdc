"""`foreshock events PATH`: what happened to a run, and when."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Annotated

import typer

from foreshock.cli._options import FormatOption, PathArgument, RunOption
from foreshock.run import Event

_NAMES = 28  # columns for the kinds, at most
_NARROW = 20  # columns of text below which wrapping helps nobody


def events(
    path: PathArgument,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="Only events of this kind, e.g. resumed. Repeatable."),
    ] = None,
    since: Annotated[
        int | None, typer.Option("--since", metavar="STEP", help="Only events from this step on.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    run: RunOption = None,
    format: FormatOption = None,
) -> None:
    """List what happened to the run at PATH: resumes, checkpoints, changes of code, data and settings."""
    from foreshock.readers import open_run
    from foreshock.report.document import plain
    from foreshock.report.json import dumps

    opened = open_run(path, run=run, format=format, require_reward=False)
    wanted = {name.replace("-", "_").replace(" ", "_") for name in kind or ()}
    chosen = [
        event
        for event in opened.events
        if (not wanted or event.kind in wanted) and (since is None or event.step >= since)
    ]
    if json:
        sys.stdout.buffer.write(dumps(plain([dataclasses.asdict(event) for event in chosen])))
    elif chosen:
        _print(chosen)
    else:
        there = ", ".join(sorted({event.kind for event in opened.events}))
        typer.echo("no such event; there are: " + there if there else "no events", err=True)


def _print(chosen: Sequence[Event]) -> None:
    """One line for each event; wrapped under its text where they go to a terminal."""
    from foreshock.report._numbers import one_line
    from foreshock.report._recorded import told

    events = told(chosen)
    steps = max(len(str(event.step)) for event in events)
    names = min(max(len(one_line(event.kind)) for event in events), _NAMES)
    indent = " " * (steps + names + 4)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for event in events:
        several = f" ({len(event.processes)} processes)" if len(event.processes) > 1 else ""
        line = f"{event.step:>{steps}}  {one_line(event.kind):<{names}}  {event.text}{several}"
        if width > len(indent) + _NARROW:
            line = textwrap.fill(line, width, subsequent_indent=indent, drop_whitespace=True)
        typer.echo(line)
