"""`foreshock demo`: the main job on a bundled real run; no network, no files of yours."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from foreshock.errors import UsageError


def demo(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="Which bundled run; `--list` names them.", show_default=False),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the report files.")
    ] = Path("demo-report"),
    list_runs: Annotated[bool, typer.Option("--list", help="Name the bundled runs and stop.")] = False,
) -> None:
    """Report on a real GRPO run that comes with the package, then tell what was done to it."""
    from foreshock.cli.report import present
    from foreshock.demo import GROUP_SIZE, RUNS
    from foreshock.readers import open_run

    if list_runs:
        for run in RUNS:
            typer.echo(run.name)
        return
    chosen = {run.name: run for run in RUNS}.get(name or RUNS[0].name)
    if chosen is None:
        raise UsageError(f"no bundled run {name!r}; there are: {', '.join(run.name for run in RUNS)}")
    opened = open_run(chosen.path)
    # A CSV has no place for these; a tracker's log would have them in its configuration.
    facts = {**opened.facts, "prompts_per_step": chosen.prompts_per_step, "group_size": GROUP_SIZE}
    present(dataclasses.replace(opened, facts=facts), out)
    typer.echo(f"\nWhat was really done to this run: {chosen.truth}.")
