"""The command line: one file per command, no logic of its own.

Exit codes: 0 done (and nothing at or above `--fail-on`), 1 findings at or above `--fail-on`, 2 usage or
input. A user's mistake is one sentence on standard error; a bug shows its traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from foreshock.cli import compare, demo, events, plot, report, run, runs, samples, seal, signals
from foreshock.errors import ForeshockError

app = typer.Typer(
    name="foreshock",
    help="The seismograph and the on-call engineer for RL post-training runs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run", context_settings=run.SETTINGS)(run.run)
app.command("report")(report.report)
app.command("plot")(plot.plot)
app.command("compare")(compare.compare)
app.command("runs")(runs.runs)
app.command("signals")(signals.signals)
app.command("seal")(seal.seal)
app.command("events")(events.events)
app.command("samples")(samples.samples)
app.command("demo")(demo.demo)


def _version(asked: bool) -> None:
    if asked:
        from foreshock import __version__

        typer.echo(f"foreshock {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line with `argv` (default: the process arguments) and exit."""
    try:
        app(args=list(argv) if argv is not None else None)
    except ForeshockError as error:
        typer.echo(f"foreshock: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        # The reader of our output went away (`foreshock report ... | head`): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
