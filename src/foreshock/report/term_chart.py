"""A line chart in the terminal, drawn in braille dots: two by four to a character."""

from __future__ import annotations

import numpy as np
from rich.text import Text

from foreshock.report._display import decimate, robust_limits
from foreshock.report._text import number
from foreshock.run import FloatArray, IntArray

_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # bit of each dot, rows by columns
_LABEL = 8  # columns for the values on the left


def render(
    steps: IntArray,
    y: FloatArray,
    *,
    width: int,
    height: int,
    title: str,
    color: str,
    ascii_only: bool = False,
) -> Text:
    """One curve as text: title, values on the left, steps below.

    Every logged point is drawn: where several share a column of dots, the column spans their lowest and
    highest. Values beyond the robust range (an infinity, one of 1e14) are drawn at the edge.

    Args:
        steps: shape (n,), increasing.
        y: shape (n,); NaN leaves a gap.
        width: columns in all.
        height: rows of the plot itself; title and axis take three more.
        title: heading.
        color: rich colour of the curve.
        ascii_only: draw with "*" where the terminal has no braille.
    """
    text = Text(title.center(width).rstrip() + "\n", style="bold")
    columns = max(width - _LABEL - 1, 10)
    known = ~np.isnan(y)
    if not known.any():
        return text.append("(no values)".center(width), style="not bold")
    limits = robust_limits(y)
    low, high = limits.low, limits.high
    per = (1, 1) if ascii_only else (4, 2)
    x, clipped = decimate(steps[known].astype(np.float64), np.clip(y[known], low, high), columns * per[1])
    grid = _dots(x, clipped, low, high, columns * per[1], height * per[0])
    rows = _stars(grid) if ascii_only else _braille(grid)
    labelled = {0: high, height // 2: (high + low) / 2, height - 1: low}
    places = _places(high - low)
    for index, row in enumerate(rows):
        label = number(labelled[index], places) if index in labelled else ""
        text.append(f"{label[:_LABEL]:>{_LABEL}}", style="not bold")
        text.append("|" if ascii_only else ("┤" if index in labelled else "│"), style="not bold dim")
        text.append(row + "\n", style=f"not bold {color}")
    corner, line = ("+", "-") if ascii_only else ("└", "─")
    text.append(" " * _LABEL + corner + line * columns + "\n", style="not bold dim")
    text.append(" " * (_LABEL + 1) + _axis(steps, columns), style="not bold")
    return text


def _dots(steps: FloatArray, y: FloatArray, low: float, high: float, columns: int, rows: int) -> FloatArray:
    """A (rows, columns) grid of 0 and 1: the curve, joined between neighbouring points."""
    span = max(float(steps[-1] - steps[0]), 1.0)
    x = np.round((steps - steps[0]) / span * (columns - 1)).astype(int) if len(steps) > 1 else np.array([0])
    height = high - low if high > low else 1.0
    level = np.round((high - y) / height * (rows - 1)).clip(0, rows - 1)
    if high <= low:
        level[:] = rows // 2
    grid = np.zeros((rows, columns))
    grid[level.astype(int), x] = 1
    for left, right, a, b in zip(x[:-1], x[1:], level[:-1], level[1:], strict=True):
        _join(grid, int(left), int(right), float(a), float(b))
    return grid


def _join(grid: FloatArray, left: int, right: int, a: float, b: float) -> None:
    """Draw the straight line between two points of the grid."""
    count = max(abs(right - left), int(abs(b - a)), 1)
    along = np.linspace(0, 1, count + 1)
    rows = np.round(a + (b - a) * along).astype(int)
    columns = np.round(left + (right - left) * along).astype(int)
    grid[rows, columns] = 1


def _braille(grid: FloatArray) -> list[str]:
    cells = grid.reshape(grid.shape[0] // 4, 4, grid.shape[1] // 2, 2)
    codes = (cells * _DOTS[None, :, None, :]).sum(axis=(1, 3)).astype(int)
    return ["".join(chr(0x2800 + code) for code in row) for row in codes]


def _stars(grid: FloatArray) -> list[str]:
    return ["".join("*" if dot else " " for dot in row) for row in grid]


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
