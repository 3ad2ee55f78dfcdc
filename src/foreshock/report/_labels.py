"""Where a label can stand without covering the line, a marker or another label.

All coordinates are pixels inside one chart, x to the right, y upwards from its lower left corner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from foreshock.run import FloatArray

_CELL = 3  # pixels per cell of the map
_COVER = 30.0  # pixels of distance that a label travels rather than cover one cell of line
_NEAR = 14.0  # a label is best at this distance from its point, so that the leader can be seen


@dataclass(frozen=True)
class Box:
    """A rectangle: lower left corner and size."""

    x: float
    y: float
    width: float
    height: float


class FreeSpace:
    """A coarse map of what is taken in a chart; finds the nearest free place for a label."""

    def __init__(self, width: float, height: float) -> None:
        self.width = width
        self.height = height
        self._taken: FloatArray = np.zeros((int(height / _CELL) + 1, int(width / _CELL) + 1))

    def add_line(self, x: FloatArray, y: FloatArray) -> None:
        """Take the pixels of a polyline; NaN breaks it, and what lies outside the chart is left out."""
        whole = np.isfinite(x[:-1]) & np.isfinite(y[:-1]) & np.isfinite(x[1:]) & np.isfinite(y[1:])
        x0, x1 = x[:-1][whole], x[1:][whole]
        y0, y1 = (
            np.clip(y[:-1][whole], -_CELL, self.height + _CELL),
            np.clip(y[1:][whole], -_CELL, self.height + _CELL),
        )
        cells = np.maximum(np.abs(x1 - x0), np.abs(y1 - y0)) / _CELL
        count = np.ceil(cells).astype(np.int64) + 1
        segment = np.repeat(np.arange(count.size), count)
        along = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        part = along / np.maximum(count[segment] - 1, 1)
        self._mark(x0[segment] + part * (x1 - x0)[segment], y0[segment] + part * (y1 - y0)[segment])
        self._mark(x[np.isfinite(y)], y[np.isfinite(y)])

    def _mark(self, x: FloatArray, y: FloatArray) -> None:
        rows, columns = self._taken.shape
        row, column = (y / _CELL).astype(np.int64), (x / _CELL).astype(np.int64)
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        self._taken[row[inside], column[inside]] = 1.0

    def add_box(self, box: Box, weight: float = 1.0) -> None:
        """Take a rectangle; a higher weight is avoided at the cost of covering the line."""
        bottom, left = max(0, int(box.y / _CELL)), max(0, int(box.x / _CELL))
        top, right = int((box.y + box.height) / _CELL) + 1, int((box.x + box.width) / _CELL) + 1
        if top > 0 and right > 0:
            area = self._taken[bottom:top, left:right]
            np.maximum(area, weight, out=area)

    def hides(self, box: Box) -> bool:
        """Whether a box covers anything that must be seen: the line, a marker, another label."""
        bottom, left = max(0, int(box.y / _CELL)), max(0, int(box.x / _CELL))
        top, right = int((box.y + box.height) / _CELL) + 1, int((box.x + box.width) / _CELL) + 1
        return bool((self._taken[bottom:top, left:right] >= 1).any())

    def place(self, x: float, y: float, width: float, height: float) -> tuple[Box, float]:
        """The best box of this size for a label of the point (x, y), and how much it covers (0 = nothing).

        Every position of the chart is tried, on a grid of 3 pixels: nearest first, but never across
        what is taken as long as any free place exists.
        """
        rows, columns = self._taken.shape
        tall, wide = int(np.ceil(height / _CELL)) + 1, int(np.ceil(width / _CELL)) + 1
        if tall >= rows or wide >= columns:  # larger than the chart: keep its left end readable
            return Box(
                max(0.0, min(x, self.width - width)), max(0.0, self.height - height), width, height
            ), 1.0
        total = np.zeros((rows + 1, columns + 1))
        total[1:, 1:] = self._taken.cumsum(0).cumsum(1)
        covered: npt.NDArray[np.float64] = (
            total[tall:, wide:] - total[:-tall, wide:] - total[tall:, :-wide] + total[:-tall, :-wide]
        )
        left = np.arange(covered.shape[1]) * _CELL
        bottom = np.arange(covered.shape[0]) * _CELL
        aside = np.maximum(0, np.maximum(left - x, x - left - width))[None, :]
        away = np.maximum(0, np.maximum(bottom - y, y - bottom - height))[:, None]
        distance = np.hypot(aside, away)
        cost = covered * _COVER + np.abs(distance - _NEAR) + np.where(distance < 6, 40.0, 0.0)
        cost = cost + 1e-3 * np.abs(left + width / 2 - x)[None, :]  # of two equals, the more central
        row, column = np.unravel_index(int(np.argmin(cost)), cost.shape)
        box = Box(float(left[column]), float(bottom[row]), width, height)
        return box, float(covered[row, column])
