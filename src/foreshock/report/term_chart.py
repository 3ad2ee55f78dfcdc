"""A line chart in the terminal, drawn in braille dots: two by four to a character."""

from __future__ import annotations

import numpy as np
from rich.text import Text

from foreshock.report._display import connect, decimate, robust_limits
from foreshock.report._event_marks import EventMarks
from foreshock.report._text import number
from foreshock.run import FloatArray, IntArray

_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # bit of each dot, rows by columns


def render(
    steps: IntArray,
    y: FloatArray,
    *,
    width: int,
    height: int,
    title: str,
    color: str,
    ascii_only: bool = False,
    events: EventMarks | None = None,
) -> Text:
    """One curve as text: title, values on the left, steps below.

    Every logged point is drawn: where several share a column of dots, the column spans their lowest and
    highest. Values beyond the robust range (an infinity, one of 1e14) are drawn at the edge, holes in the
    steps and NaN are left open.

    Args:
        steps: shape (n,), increasing.
        y: shape (n,); NaN leaves a gap.
        width: columns in all.
        height: rows of the plot itself; title and axis take three more.
        title: heading.
        color: rich colour of the curve.
        ascii_only: draw with "*" where the terminal has no braille.
        events: marked on the axis: a diamond for each line, a short stroke for each tick.
    """
    text = Text(title.center(width).rstrip() + "\n", style="bold")
    if not np.isfinite(y).any():
        return text.append("(no values)".center(width), style="not bold")
    limits = robust_limits(y)
    low, high = limits.low, limits.high
    places = _places(high - low)
    middle = height // 2
    labelled = {0: high, middle: high - (high - low) * middle / max(height - 1, 1), height - 1: low}
    labels = {row: number(value, places) for row, value in labelled.items()}
    if ascii_only:
        labels = {row: label.replace("\u2212", "-") for row, label in labels.items()}
    margin = max(6, *(len(label) + 1 for label in labels.values()))
    columns = max(width - margin - 1, 10)
    per = (1, 1) if ascii_only else (4, 2)
    # An infinity is drawn at the edge, like a value beyond the range; only NaN leaves a gap.
    x, shown = connect(steps, np.clip(y, low, high))
    curve = decimate(x, shown, columns * per[1])
    grid = _dots(*curve, low, high, columns * per[1], height * per[0])
    rows = _stars(grid) if ascii_only else _braille(grid)
    for index, row in enumerate(rows):
        text.append(f"{labels.get(index, ''):>{margin}}", style="not bold")
        text.append("|" if ascii_only else ("┤" if index in labels else "│"), style="not bold dim")
        text.append(row + "\n", style=f"not bold {color}")
    text.append(" " * margin + ("+" if ascii_only else "└"), style="not bold dim")
    text.append_text(_ruler(events or EventMarks(), steps, columns, ascii_only)).append("\n")
    text.append(" " * (margin + 1) + _axis(steps, columns), style="not bold")
    return text


def _dots(x: FloatArray, y: FloatArray, low: float, high: float, columns: int, rows: int) -> FloatArray:
    """A (rows, columns) grid of 0 and 1: the curve, joined between neighbouring points, open at NaN."""
    span = max(float(x[-1] - x[0]), 1.0)
    column = np.round((x - x[0]) / span * (columns - 1)) if len(x) > 1 else np.array([columns // 2])
    height = high - low if high > low else 1.0
    row = np.round((high - y) / height * (rows - 1)) if high > low else np.where(np.isnan(y), y, rows // 2)
    grid = np.zeros((rows, columns))
    known = np.isfinite(row)
    grid[row[known].astype(int), column[known].astype(int)] = 1
    for i in np.flatnonzero(known[:-1] & known[1:]):
        count = int(max(column[i + 1] - column[i], abs(row[i + 1] - row[i]), 1))
        along = np.linspace(0, 1, count + 1)
        joined = np.round(row[i] + (row[i + 1] - row[i]) * along).astype(int)
        grid[joined, np.round(column[i] + (column[i + 1] - column[i]) * along).astype(int)] = 1
    return grid


def _braille(grid: FloatArray) -> list[str]:
    cells = grid.reshape(grid.shape[0] // 4, 4, grid.shape[1] // 2, 2)
    codes = (cells * _DOTS[None, :, None, :]).sum(axis=(1, 3)).astype(int)
    return ["".join(chr(0x2800 + code) for code in row) for row in codes]


def _stars(grid: FloatArray) -> list[str]:
    return ["".join("*" if dot else " " for dot in row) for row in grid]


def _ruler(events: EventMarks, steps: IntArray, columns: int, ascii_only: bool) -> Text:
    """The line under the plot, with the recorded events on it."""
    line, tick, mark = "-'^" if ascii_only else "─┴◆"
    ruler = Text(line * columns, style="not bold dim")
    span = max(int(steps[-1] - steps[0]), 1)
    marks = [(step, tick) for step in events.ticks]
    marks += [(event.step, mark) for event in reversed(events.lines)]
    for step, sign in marks:
        column = round((step - int(steps[0])) / span * (columns - 1))
        if 0 <= column < columns:
            shown = Text(sign, style="not bold" if sign == mark else "not bold dim")
            ruler = ruler[:column] + shown + ruler[column + 1 :]
    return ruler


def _places(span: float) -> int:
    """Decimals that tell the labels of an axis of this span apart."""
    return int(np.clip(np.ceil(1 - np.log10(span)), 0, 6)) if span > 0 else 2


def _axis(steps: IntArray, columns: int) -> str:
    """First, middle and last step under the plot."""
    first, last = str(int(steps[0])), str(int(steps[-1]))
    if len(steps) == 1:
        return first
    middle = str(int(steps[0] + steps[-1]) // 2)
    line = f"{first}{middle.center(columns - len(first) - len(last))}{last}"
    return line if len(line) <= columns else f"{first}{last.rjust(columns - len(first))}"
