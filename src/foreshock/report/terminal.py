"""The summary in the terminal: verdict, both charts, findings, phases, changes, what to do next."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from foreshock.analysis import Analysis
from foreshock.report._event_marks import event_marks
from foreshock.report._findings import notable
from foreshock.report._numbers import Gap, Writer, one_line, pointer
from foreshock.report._phrases import decimals, decimals_of_change
from foreshock.report.term_chart import render
from foreshock.run import Run

_COLOURS = {"healthy": "green", "watch": "yellow", "trouble": "red", "cannot tell": "cyan"}
_CHART_HEIGHT = 10
_SIDE_BY_SIDE = 100  # columns from which both charts fit next to one another
_WIDEST = 160  # longer lines are hard to read
_TITLE = 24
_EVENTS, _TOGETHER, _PHASES, _CHANGES, _CAUSES, _NOTES = 4, 2, 10, 5, 3, 3  # at most; the report has all

_SIZES = (
    ("from", "value"),
    ("to", "value"),
    ("percent_of_peak", "percent"),
    ("percent_of_gain", "percent"),
    ("sigma", "ratio"),
    ("p_value", "p"),
    ("recovered", "share"),
)


def print_summary(document: dict[str, Any], run: Run, analysis: Analysis, console: Console) -> None:
    """Print the summary of a report, some 50 lines at 100 columns; plain text where it is not a terminal.

    Control characters in names and texts of the log are never printed.
    """
    _Summary(document, run, analysis, console).print()


class _Summary:
    """One summary being printed."""

    def __init__(self, document: dict[str, Any], run: Run, analysis: Analysis, console: Console) -> None:
        self.document = document
        self.run = run
        self.analysis = analysis
        self.console = console
        self.ascii = console.options.ascii_only
        self.width = min(console.width, _WIDEST)
        self.events = event_marks(run, analysis.changes)

    def print(self) -> None:
        """All of it, each part after an empty line."""
        self._put(self._header())
        for chart in self._charts():
            self._put(chart)
        sentences = self._section("overview")[1:]
        self._list("", [sentence["text"] for sentence in sentences], mark="")
        self._list("Recorded events", *self._recorded())
        self._list("How they move together", self._together()[:_TOGETHER])
        self._put(self._phases())
        self._put(self._changes())
        self._list("Causes that remain possible, and what would decide", *self._causes())
        self._list(
            "", [line["text"] for line in self._section("decide") if "also log" in line["text"]], mark=""
        )
        self._list("Read with care", *self._notes())

    def _put(self, part: RenderableType | None) -> None:
        if part is not None:
            self.console.print(part, width=self.width)
            self.console.print()

    def _list(self, heading: str, lines: Sequence[str], left_out: int = 0, *, mark: str = "- ") -> None:
        if not lines:
            return
        if heading:
            self.console.print(Text(heading, style="bold"))
        more = [f"... and {left_out} more in the report"] if left_out else []
        for line in [*(mark + line for line in lines), *more]:
            wrapped = textwrap.wrap(self._text(line).plain, self.width, subsequent_indent=" " * len(mark))
            self.console.print(Text("\n".join(wrapped)), soft_wrap=True)
        self.console.print()

    def _text(self, text: object, style: str = "") -> Text:
        """Text without control characters, without our backticks, and only what the terminal can show."""
        clean = one_line(text).replace("`", "")
        return Text(clean.encode("ascii", "replace").decode() if self.ascii else clean, style=style)

    def _section(self, name: str) -> list[dict[str, Any]]:
        found = [section["text"] for section in self.document["narrative"] if section["id"] == name]
        return found[0] if found else []

    def _header(self) -> Text:
        run = self.document["run"]
        steps = run["steps"]
        header = self._text(run["id"], "bold")
        framework = f", {run['framework']}" if run["framework"] else ""
        span = f" ({steps['first']} to {steps['last']})" if steps["count"] > 1 else ""
        read = f"{steps['count']} steps{span}, read as {run['format']}{framework}"
        header.append("  ", style="not bold").append_text(self._text(read, "not bold"))
        header.append("\nVerdict: ", style="bold")
        return header.append(
            self.document["verdict"], style=f"bold {_COLOURS.get(self.document['verdict'], '')}"
        )

    def _charts(self) -> list[RenderableType]:
        """The main curves; length on the left and reward on the right, as people expect them."""
        names = list(reversed(self.document["primary"]))
        wide = self.width >= _SIDE_BY_SIDE and len(names) > 1
        width = (self.width - 2) // 2 if wide else min(self.width, 110)
        charts = [
            render(
                self.run.steps,
                self.run.series[name],
                width=width,
                height=_CHART_HEIGHT,
                title=f"{self.analysis.signals[name].title} vs Step",
                color="red" if name == "reward_mean" else "blue",
                ascii_only=self.ascii,
                events=self.events,
            )
            for name in names
        ]
        if not wide:
            return list(charts)
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_row(*charts)
        return [grid]

    def _recorded(self) -> tuple[list[str], int]:
        """The events that the charts mark with a diamond, by step, and what the others are; else nothing."""
        shown = sorted(self.events.lines[:_EVENTS], key=lambda line: line.step)
        lines = [f"{line.step}: {' '.join(line.texts)}" for line in shown]
        notes = [note.removeprefix("ticks: ") for note in self.events.notes[:1]]
        return (lines + notes if lines else []), 0

    def _together(self) -> list[str]:
        """What is said about relations and is not in the overview already."""
        told = {sentence["text"] for sentence in self._section("overview")}
        return [line["text"] for line in self._section("observations") if line["text"] not in told]

    def _phases(self) -> Table | None:
        write = Writer(self.document)
        rows: list[list[Text]] = []
        for name in self.document["primary"]:
            found = self.document["signals"][name]
            for index, phase in enumerate(found["phases"]):
                base, places = pointer("signals", name, "phases", index), decimals(self.document, name)
                shown = [
                    write.show(Gap(f"{base}/{key}", style, places))[0]
                    for key, style in (
                        ("start_value", "value"),
                        ("end_value", "value"),
                        ("slope", "figures"),
                        ("noise_sd", "spread"),
                    )
                ]
                steps = f"{phase['start']} to {phase['end']}"
                first = found["title"] if index == 0 else ""
                rows.append([self._text(t) for t in (first, steps, phase["kind"].replace("_", " "), *shown)])
        heads = ("signal", "steps", "phase", "from", "to", "a step", "noise sd")
        return _table(heads, rows[:_PHASES], left={0, 2})

    def _changes(self) -> Table | None:
        """The significant changes, those of the main signals first."""
        write = Writer(self.document)
        order = notable(self.document)
        rows: list[list[Text]] = []
        for index in order[:_CHANGES]:
            change = self.document["changes"][index]
            base, places = pointer("changes", index), decimals_of_change(self.document, change)
            low, high = change["step_interval"]
            shown = [
                write.show(Gap(f"{base}/{key}", style, places))[0] if change[key] is not None else ""
                for key, style in _SIZES
            ]
            found = self.document["signals"].get(change["signal"])
            part = change["signal"].partition("/")[2]  # one of several of a kind: its own name says more
            title = part or (found["title"] if found else change["signal"])
            onset = f"{change['step']} ({low} to {high})" if high > low else str(change["step"])
            kind = change["kind"].replace("_", " ")
            cells = (title[:_TITLE], kind, onset, *shown)
            rows.append([self._text(cell.removeprefix("= ")) for cell in cells])
        if len(order) > _CHANGES:
            rows.append([self._text(f"... {len(order) - _CHANGES} more"), *[Text() for _ in range(9)]])
        heads = (
            "change of",
            "kind",
            "onset",
            "from",
            "to",
            "% of peak",
            "% of gain",
            "x noise",
            "p",
            "% back",
        )
        spare = ("% of gain", "% back", "x noise")
        return _table(heads, rows, left={0, 1}, width=self.width, spare=spare)

    def _causes(self) -> tuple[list[str], int]:
        causes = self.document["causes"]
        lines = [
            f"{cause['title']}: {cause['decide']}" if len(cause["decide"]) > 1 else cause["title"]
            for cause in causes[:_CAUSES]
        ]
        return lines, max(len(causes) - _CAUSES, 0)

    def _notes(self) -> tuple[list[str], int]:
        notes = [note["text"] for note in self.document["run"]["notes"]]
        # A clip ratio that is always 0 is no reason for care; the report lists it.
        notes += [found["detail"] for found in self.document["quality"] if found["kind"] != "constant"]
        return notes[:_NOTES], max(len(notes) - _NOTES, 0)


def _table(
    heads: Sequence[str],
    rows: Sequence[Iterable[Text]],
    *,
    left: set[int],
    width: int = 10_000,
    spare: Sequence[str] = (),
) -> Table | None:
    """A table without lines; None without rows. Where it is too wide, columns of `spare` go one by one."""
    if not rows:
        return None
    cells = [list(row) for row in rows]
    widths = [
        max(cell_len(head), *(row[index].cell_len for row in cells)) for index, head in enumerate(heads)
    ]
    kept = list(range(len(heads)))
    for head in spare:
        if sum(widths[index] + 1 for index in kept) > width:
            kept.remove(heads.index(head))
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", show_edge=False)
    for index in kept:
        table.add_column(
            heads[index], justify="left" if index in left else "right", no_wrap=index not in left
        )
    for row in cells:
        table.add_row(*(row[index] for index in kept))
    return table
