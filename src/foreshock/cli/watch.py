"""`foreshock watch PATH`: follow a run while it trains, and say when it goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foreshock.cli._options import (
    FormatOption,
    MapOption,
    RunOption,
    SignalsOption,
    StepKeyOption,
    parse_mapping,
    parse_names,
    parse_range,
)
from foreshock.cli.report import FailOn


def watch(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="A log: file or folder, that exists or will exist.")
    ],
    budget: Annotated[
        float, typer.Option("--budget", help="False alarms per 1000 steps of the whole run.")
    ] = 1.0,
    guaranteed: Annotated[
        bool,
        typer.Option("--guaranteed", help="Tell only falls of the reward that are proven, at that rate."),
    ] = False,
    reward_range: Annotated[
        str | None,
        typer.Option("--reward-range", metavar="LOW:HIGH", help="All rewards lie in it; for --guaranteed."),
    ] = None,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", help="Time between two looks, at least.")
    ] = 1.0,
    once: Annotated[
        bool, typer.Option("--once", help="Tell what is new since the last call, and end: for timers.")
    ] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Run a finished log as if it were live, and end.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print messages as JSON lines.")] = False,
    fail_on: Annotated[
        FailOn | None,
        typer.Option("--fail-on", help="Exit with 1 when an alarm this grave was told or is open."),
    ] = None,
    until_done: Annotated[
        bool, typer.Option("--exit-when-done", help="End when the log says that the training has ended.")
    ] = False,
    notify: Annotated[
        list[str] | None,
        typer.Option(
            "--notify", metavar="URL", help="Send messages there: a webhook, Slack, ... Repeatable."
        ),
    ] = None,
    exec: Annotated[
        list[str] | None,
        typer.Option("--exec", metavar="COMMAND", help="Run this with each message. Repeatable."),
    ] = None,
    cooldown: Annotated[
        float,
        typer.Option(
            "--cooldown", metavar="SECONDS", help="Between two notifications of one kind, at least."
        ),
    ] = 600.0,
    webhook_chart: Annotated[
        bool, typer.Option("--webhook-chart", help="Put the chart into the JSON of webhooks.")
    ] = False,
    prometheus: Annotated[
        str | None, typer.Option("--prometheus", metavar="ADDRESS", help="Serve /metrics there, e.g. :9464.")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="FILE", help="Remember there what was told, not in the home folder."),
    ] = None,
    signals: SignalsOption = None,
    run: RunOption = None,
    map: MapOption = None,
    step_key: StepKeyOption = None,
    format: FormatOption = None,
) -> None:
    """Follow the run at PATH and tell when a signal goes wrong, with few false alarms."""
    from foreshock.watch.session import Options, watch_path

    found = watch_path(
        Options(
            path,
            budget=budget,
            guaranteed=guaranteed,
            reward_range=parse_range(reward_range),
            interval=interval,
            once=once,
            replay=replay,
            json=json,
            run=run,
            mapping=parse_mapping(map),
            step_key=step_key,
            format=format,
            signals=parse_names(signals) or (),
            state=state,
            notify=notify or (),
            commands=exec or (),
            cooldown=cooldown,
            webhook_chart=webhook_chart,
            prometheus=prometheus,
            until_done=until_done,
        )
    )
    failing = {None: set(), FailOn.trouble: {"trouble"}, FailOn.watch: {"trouble", "watch"}}[fail_on]
    if found & failing:
        raise typer.Exit(1)
