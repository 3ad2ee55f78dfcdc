"""`foreshock run -- COMMAND ...`: run a command and record the metrics that it prints."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

SETTINGS = {"ignore_unknown_options": True, "allow_interspersed_args": False}  # all after COMMAND is its own


def run(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="The command and its arguments.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="RUNDIR", help="Folder of the run; default: a new one in foreshock-runs."
        ),
    ] = None,
) -> None:
    """Run COMMAND unchanged and record the metrics it prints, live; its exit code becomes ours."""
    from foreshock.errors import UsageError

    if sys.platform == "win32":
        raise UsageError(
            "`foreshock run` needs Linux or macOS; on Windows use foreshock.Recorder in the script"
        )
    from foreshock.record.console import record_command

    folder = out or Path("foreshock-runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{_name(command)}"
    try:
        code, recording = record_command(command, folder)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        typer.echo(f"foreshock: cannot run {command[0]!r}: {error.strerror or error}", err=True)
        raise typer.Exit(127 if missing else 126) from None
    if sys.stderr.isatty():  # otherwise standard error holds what the command wrote, and nothing else
        if recording.rows:
            typer.echo(f"foreshock: {recording.rows:,} rows of metrics in {recording.folder}", err=True)
        else:
            typer.echo("foreshock: no metrics were recognised in the output", err=True)
    raise typer.Exit(code)


def _name(command: list[str]) -> str:
    """What the command runs: the first script among its arguments, else the program."""
    scripts = [part for part in command if part.endswith((".py", ".sh"))]
    name = Path(scripts[0] if scripts else command[0]).stem
    return "".join(c if c.isalnum() or c in "_.-" else "_" for c in name)[:40] or "run"
