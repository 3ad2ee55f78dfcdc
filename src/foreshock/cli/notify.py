"""`foreshock notify --test URL...`: try out where `foreshock watch` would send its messages."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer


def notify(
    urls: Annotated[
        list[str] | None,
        typer.Argument(metavar="URL", help="Where to: a webhook, discord://..., mailtos://..., ..."),
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Send a message that is marked as a test.")] = False,
    exec: Annotated[
        list[str] | None,
        typer.Option("--exec", metavar="COMMAND", help="Run this with the message. Repeatable."),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="Wait so long for each.")
    ] = 15.0,
    webhook_chart: Annotated[
        bool, typer.Option("--webhook-chart", help="Put the chart into the JSON of webhooks.")
    ] = False,
) -> None:
    """Send a test message to every URL and command, and say of each whether it arrived."""
    from foreshock.errors import UsageError
    from foreshock.watch._trial import trial
    from foreshock.watch.notify import channels, probe

    if not test:
        raise UsageError(
            "`foreshock notify` only sends tests: add --test; alarms come from `foreshock watch`"
        )
    if not urls and not exec:
        raise UsageError("there is nobody to notify: name an address, or a command with --exec")
    made = channels(urls or (), exec or (), webhook_chart=webhook_chart)
    with tempfile.TemporaryDirectory(prefix="foreshock-") as folder:
        message = trial(Path(folder), lambda sentence: typer.echo(f"foreshock: {sentence}", err=True))
        outcomes = probe(made, message, timeout)
    for outcome in outcomes:
        typer.echo(f"{outcome.channel}: " + (f"not delivered: {outcome.why}" if outcome.why else "delivered"))
    if any(outcome.why for outcome in outcomes):
        raise typer.Exit(1)
