"""The live view as one picture of a given size; pure, so that it can be drawn without a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from foreshock.report._event_marks import EventMarks, Line
from foreshock.report._numbers import one_line
from foreshock.report.term_chart import render
from foreshock.watch._state import LENGTH, REWARD, WatchState, total_steps

COLOURS = {"trouble": "red", "watch": "yellow"}
_CURVES = ((LENGTH, "Response Length", "blue"), (REWARD, "Train Reward", "red"))
_SIDE_BY_SIDE = 70  # columns from which both charts stand next to one another
_PLOT = (5, 18)  # rows of a plot, at least and at most
_AXES = 3  # rows of a chart beside the plot
_ROOMY = 30  # rows from which parts are set apart by an empty line


def picture(
    state: WatchState,
    phases: Sequence[str],
    messages: Sequence[tuple[str, str]],
    size: tuple[int, int],
    *,
    ascii_only: bool = False,
) -> RenderableType:
    """What a terminal of `size` (columns, rows) shows.

    Args:
        state: where the watch stands.
        phases: one line for each curve.
        messages: (text, style) of what was told and said, the newest last.
        size: columns and rows; below 40 x 12 the lower part is cut.
        ascii_only: whether the terminal shows ASCII only.
    """
    width, height = size
    page = _Page(width, ascii_only)
    page.line(_headline(state), "bold")
    page.line(_pace(state))
    if state.run is None or state.step is None:
        page.gap()
        page.paragraph(f"Waiting: {state.waiting or 'for the first finished step'}", "", most=6)
        page.gap()
        page.messages(messages, height - page.rows)
        return page.group()
    roomy = height >= _ROOMY
    alarms = page.wrapped(_alarms(state), most=max(2, (height - 12) // 4))
    lower = len(phases) + len(alarms) + 1 + 3 * roomy
    least = 3 if messages else 0
    page.charts(state, height - page.rows - lower - least)
    for part in (phases, None, alarms):
        if roomy:
            page.gap()
        if part is None:
            count = len(state.open)
            page.line(f"Open alarms: {count}" if count else "No open alarm", "bold" if count else "green")
            roomy = False
            continue
        for each in part:
            page.line(*(each if isinstance(each, tuple) else (each, "")))
    if height >= _ROOMY and messages:
        page.gap()
    page.messages(messages, height - page.rows)
    return page.group()


class _Page:
    """Parts of a picture from top to bottom; counts the rows that they take."""

    def __init__(self, width: int, ascii_only: bool) -> None:
        self.rows = 0
        self._width, self._ascii = width, ascii_only
        self._parts: list[RenderableType] = []

    def line(self, text: str, style: str = "") -> None:
        """One line, cut where it is too long."""
        indent = text[: len(text) - len(text.lstrip(" "))]
        shown = Text(indent + self._clean(text), style=style, no_wrap=True)
        shown.truncate(self._width, overflow="ellipsis" if not self._ascii else "crop")
        self._parts.append(shown)
        self.rows += 1

    def gap(self) -> None:
        """An empty line."""
        self.line("")

    def paragraph(self, text: str, style: str, most: int) -> None:
        """A text on several lines."""
        for line, _ in self.wrapped([(text, style)], most):
            self.line(line, style)

    def wrapped(self, texts: Sequence[tuple[str, str]], most: int) -> list[tuple[str, str]]:
        """Texts on lines of the width of the page; what does not fit into `most` lines is counted."""
        lines: list[tuple[str, str]] = []
        for place, (text, style) in enumerate(texts):
            own = [
                (line, style)
                for line in textwrap.wrap(self._clean(text), self._width, subsequent_indent="  ")
            ]
            left = len(texts) - place
            if len(lines) + len(own) + (left > 1) > most and place:
                return [*lines[: most - 1], (f"... and {left} more", "")]
            lines += own
        return lines[:most]

    def messages(self, messages: Sequence[tuple[str, str]], room: int) -> None:
        """The newest of the messages that fit, one line each."""
        for text, style in messages[-room:] if room > 0 else ():
            self.line(text, style)

    def charts(self, state: WatchState, room: int) -> None:
        """Both curves side by side, the raw points as logged; only the reward where there is no room."""
        run = state.run
        assert run is not None
        curves = [each for each in _CURVES if each[0] in run.series.canonical]
        if not curves:
            self.line("Neither reward nor response length is known in this log.", "dim")
            return
        wide = self._width >= _SIDE_BY_SIDE
        if not wide:
            curves = curves[-1:]
        rows = min(max(room - _AXES, _PLOT[0]), _PLOT[1])
        width = (self._width - 2 * (len(curves) - 1)) // len(curves)
        grid = Table.grid(padding=(0, 2, 0, 0))
        cells = []
        for name, title, colour in curves:
            onsets = sorted({each.onset for each in state.open if each.signal == name})
            marks = EventMarks(lines=tuple(Line(step, "", ()) for step in onsets))
            cells.append(
                render(
                    run.steps,
                    run.series[name],
                    width=width,
                    height=rows,
                    title=title,
                    color=colour,
                    ascii_only=self._ascii,
                    events=marks,
                )
            )
        grid.add_row(*cells)
        self._parts.append(grid)
        self.rows += rows + _AXES

    def group(self) -> Group:
        """All parts."""
        return Group(*self._parts)

    def _clean(self, text: str) -> str:
        shown = one_line(text).replace("`", "")
        return shown.encode("ascii", "replace").decode() if self._ascii else shown


def _headline(state: WatchState) -> str:
    if state.run is None:
        return state.source
    framework = f" | {state.run.framework}" if state.run.framework else ""
    return f"{state.run.id}{framework}" + (" | ended" if state.done else "")


def _pace(state: WatchState) -> str:
    """Step, share done, steps an hour, time left, age of the data."""
    if state.run is None or state.step is None:
        return "Ctrl-C ends the watch"
    total = total_steps(state.run.facts)
    parts = [f"step {state.step}" + (f" of {total} ({100 * state.step / total:.0f} %)" if total else "")]
    if state.steps_per_hour is not None:
        parts.append(f"{_figures(state.steps_per_hour)} steps/h")
    if state.seconds_left is not None and not state.done:
        parts.append(f"{duration(state.seconds_left)} left")
    parts.append(f"last row {duration(state.age)} ago")
    return " | ".join(parts) + (f" | {state.waiting}" if state.waiting else "")


def _alarms(state: WatchState) -> list[tuple[str, str]]:
    """Open alarms, the gravest and then the newest first."""
    ordered = sorted(state.open, key=lambda one: (one.severity != "trouble", -one.onset))
    return [(f"{one.severity}: {one.text}", COLOURS.get(one.severity, "")) for one in ordered]


def _figures(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def duration(seconds: float) -> str:
    """A time span as people say it: "12 s", "4 min", "9 h 54 min", "3 d 4 h"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
