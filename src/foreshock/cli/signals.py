"""`foreshock signals [NAME]`: the metric dictionary."""

from __future__ import annotations

from typing import Annotated

import typer


def signals(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A canonical name, or a key as a trainer logs it.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Print the metric dictionary: signals, units, meanings and each trainer's keys."""
    raise NotImplementedError
