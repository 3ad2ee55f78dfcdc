"""The summary in the terminal: verdict, both charts, findings, phases, what to do next."""

from __future__ import annotations

from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from foreshock.analysis import Analysis
from foreshock.report._numbers import show_value
from foreshock.report._phrases import decimals
from foreshock.report.term_chart import render
from foreshock.run import Run

_COLOURS = {"healthy": "green", "watch": "yellow", "trouble": "red", "cannot tell": "cyan"}
_CHART_HEIGHT = 12
_SIDE_BY_SIDE = 100  # columns from which both charts fit next to one another


def print_summary(document: dict[str, Any], run: Run, analysis: Analysis, console: Console) -> None:
    """Print the summary of a report; plain text where the console is not a terminal."""
    console.print(_header(document))
    console.print()
    for chart in _charts(document, run, analysis, console):
        console.print(chart)
        console.print()
    console.print(_plain(document["summary"]), soft_wrap=False)
    for section in document["narrative"]:
        if section["id"] in ("observations", "interpretation") and section["text"]:
            console.print()
            console.print(Text(section["title"], style="bold"))
            for sentence in section["text"]:
                console.print(Padding(_plain(f"- {sentence['text']}"), (0, 0, 0, 2)))
    if any(document["signals"][name]["phases"] for name in document["primary"]):
        console.print()
        console.print(_phases(document))
    _causes(document, console)
    _notes(document, console)
    console.print()


def _header(document: dict[str, Any]) -> Text:
    run = document["run"]
    steps = run["steps"]
    header = Text()
    header.append(_clean(run["id"]), style="bold")
    framework = f", {run['framework']}" if run["framework"] else ""
    header.append(
        f"  {steps['count']} steps ({steps['first']} to {steps['last']}), read as {run['format']}{framework}"
    )
    header.append("\nVerdict: ", style="bold")
    header.append(document["verdict"], style=f"bold {_COLOURS[document['verdict']]}")
    return header


def _charts(document: dict[str, Any], run: Run, analysis: Analysis, console: Console) -> list[RenderableType]:
    """The main curves as braille charts; length on the left, reward on the right, as people expect them."""
    names = list(reversed(document["primary"]))
    wide = console.width >= _SIDE_BY_SIDE and len(names) > 1
    width = (console.width - 2) // 2 if wide else min(console.width, 110)
    charts = []
    for name in names:
        found = analysis.signals[name]
        colour = "red" if name == "reward_mean" else "blue"
        heading = f"{found.title} vs Step"
        charts.append(
            render(
                run.steps, run.series[name], width=width, height=_CHART_HEIGHT, title=heading, color=colour
            )
        )
    if not wide:
        return charts
    grid = Table.grid(padding=(0, 2))
    grid.add_row(*charts)
    return [grid]


def _phases(document: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for heading, justify in (
        ("signal", "left"),
        ("steps", "right"),
        ("phase", "left"),
        ("from", "right"),
        ("to", "right"),
        ("a step", "right"),
        ("noise sd", "right"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for name in document["primary"]:
        found = document["signals"][name]
        places = decimals(document, name)
        for index, phase in enumerate(found["phases"]):
            table.add_row(
                found["title"] if index == 0 else "",
                f"{phase['start']} to {phase['end']}",
                phase["kind"].replace("_", " "),
                show_value(phase["start_value"], places),
                show_value(phase["end_value"], places),
                show_value(phase["slope"], places + 2),
                show_value(phase["noise_sd"], places + 1),
            )
    return table


def _causes(document: dict[str, Any], console: Console) -> None:
    if document["causes"]:
        console.print()
        console.print(Text("Causes that remain possible (no probabilities; what would decide)", style="bold"))
        for cause in document["causes"][:6]:
            console.print(Padding(_plain(f"- {cause['title']}: {cause['decide']}"), (0, 0, 0, 2)))
        if len(document["causes"]) > 6:
            console.print(
                Padding(_plain(f"... and {len(document['causes']) - 6} more in the report"), (0, 0, 0, 2))
            )
    if document["to_log"] and document["verdict"] != "healthy":
        names = ", ".join(entry["signal"] for entry in document["to_log"])
        console.print(Padding(_plain(f"To tell them apart, also log: {names}"), (0, 0, 0, 2)))


def _notes(document: dict[str, Any], console: Console) -> None:
    notes = [note["text"] for note in document["run"]["notes"]]
    notes += [quality["detail"] for quality in document["quality"]]
    if notes:
        console.print()
        console.print(Text("Read with care", style="bold"))
        for note in notes[:8]:
            console.print(Padding(_plain(f"- {note}"), (0, 0, 0, 2)))
        if len(notes) > 8:
            console.print(Padding(_plain(f"... and {len(notes) - 8} more in the report"), (0, 0, 0, 2)))


def _plain(text: str) -> Text:
    return Text(_clean(text).replace("`", ""))


def _clean(text: object) -> str:
    """No control characters: a log must not be able to drive the terminal."""
    return "".join(character if character.isprintable() else " " for character in str(text))
