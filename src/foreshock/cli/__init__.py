"""The command line: one file per command, no logic of its own.

Exit codes: 0 done (and nothing at or above `--fail-on`), 1 findings at or above `--fail-on`, 2 usage or
input. A user's mistake is one sentence on standard error; a bug shows its traceback.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import typer

from foreshock.errors import ForeshockError

COMMANDS = (
    "run",
    "watch",
    "notify",
    "report",
    "plot",
    "compare",
    "runs",
    "signals",
    "seal",
    "events",
    "samples",
    "demo",
)


def command_line(*names: str) -> typer.Typer:
    """The command line with these commands, all of them by default; each is imported only here."""
    app = typer.Typer(
        name="foreshock",
        help="The seismograph and the on-call engineer for RL post-training runs.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for name in names or COMMANDS:
        module = importlib.import_module(f"foreshock.cli.{name}")
        app.command(name, context_settings=getattr(module, "SETTINGS", None))(getattr(module, name))
    app.callback()(_root)
    return app


def _version(asked: bool) -> None:
    if asked:
        from foreshock import __version__

        typer.echo(f"foreshock {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line with `argv` (default: the process arguments) and exit."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    asked = arguments[:1] if arguments and arguments[0] in COMMANDS else ()
    try:
        command_line(*asked)(args=arguments)
    except ForeshockError as error:
        typer.echo(f"foreshock: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        # The reader of our output went away (`foreshock report ... | head`): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
