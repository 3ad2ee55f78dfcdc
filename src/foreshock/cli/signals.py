"""`foreshock signals [NAME]`: the metric dictionary."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer


def signals(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A canonical name, or a key as a trainer logs it.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Print the metric dictionary: signals, units, meanings and each trainer's keys."""
    from foreshock.signals import catalogue, explain, frameworks

    found = explain(name) if name else list(catalogue().values())
    if json:
        import orjson

        rows = [dataclasses.asdict(signal) for signal in found]
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    if name is None:
        for signal in found:
            typer.echo(f"{signal.name:<32} {signal.unit or '-':<16} {signal.title}")
        return
    for signal in found:
        typer.echo(f"{signal.name}: {signal.title}\n  {signal.meaning}")
        typer.echo(f"  unit {signal.unit or '-'}, good {signal.good or 'neither'}, valid {signal.range}")
        for framework, keys in signal.keys.items():
            shown = ", ".join(key.pattern + (f" ({key.says})" if key.says else "") for key in keys)
            typer.echo(f"  {frameworks()[framework].title:<20} {shown}")
