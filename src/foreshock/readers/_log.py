"""What a reader hands over: the rows of one run as logged, before any cleaning."""

from __future__ import annotations

import copy
from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np

from foreshock.run import Event, FloatArray, Note

_BLOCK = 4096  # rows whose cells are held together


class Log:
    """One run as its source holds it: rows in the order logged, nothing repaired.

    Columns are kept as packed doubles (8 bytes a cell), so a log of 100,000 rows stays small. A cell is
    NaN where the row lacks the key; a NaN that was really logged is remembered in `nan_rows`.
    """

    def __init__(self, id: str, source: str, format: str) -> None:
        self.id = id
        self.source = source
        self.format = format
        self.rows = 0
        self.steps: list[float | None] | None = None
        """Step of each row where the format itself has one (an event file's step); else None and
        the cleaner looks for a step column."""
        self.steps_count_calls = False
        """Whether `steps` number the calls of a tracker's `log`, as W&B and Trackio do: a column that
        counts training steps is then better."""
        self.notes: list[Note] = []
        self.events: list[Event] = []
        self.evidence: list[Event] = []
        self.superseded = False
        """Whether a later run in the same place took over: it is read only when named."""
        self.facts: dict[str, Any] = {}
        self._columns: dict[str, array[float]] = {}
        self._nan_rows: dict[str, list[int]] = {}
        self._shape: tuple[str, ...] = ()
        self._cells = array("d")  # of the last rows, which all have this shape, row by row
        self._parted = 0  # rows whose cells are in their columns

    def add(self, values: Mapping[str, float], step: float | None = None) -> None:
        """Append one row; `step` only where the format states it outside the metrics."""
        if step is not None and self.steps is None:
            self.steps = [None] * self.rows
        if self.steps is not None:
            self.steps.append(step)
        shape = tuple(values)
        if shape != self._shape or self.rows - self._parted == _BLOCK:  # seldom: most rows are alike
            self._part()
            self._shape = shape
        self._cells.extend(values.values())
        self.rows += 1

    def _part(self) -> None:
        """Bring the cells of the last rows into their columns."""
        first, self._parted = self._parted, self.rows
        cells, self._cells = self._cells, array("d")
        width = len(self._shape) if cells else 0
        for place, key in enumerate(self._shape[:width]):
            column = self._columns.get(key)
            if column is None:
                column = self._columns[key] = array("d")
            if len(column) < first:
                column.extend([np.nan] * (first - len(column)))
            values = cells[place::width]
            column.extend(values)
            total = sum(values)
            if total != total:  # a NaN, or infinities of both signs
                self._nan_rows.setdefault(key, []).extend(
                    first + row for row, value in enumerate(values) if value != value
                )

    @property
    def nan_rows(self) -> dict[str, list[int]]:
        """Rows of each column in which a NaN was logged; the other NaN were not logged."""
        self._part()
        return self._nan_rows

    @property
    def keys(self) -> tuple[str, ...]:
        """Column names in the order first logged."""
        self._part()
        return tuple(self._columns)

    def column(self, key: str) -> FloatArray:
        """Values of one column, shape (rows,), NaN where not logged."""
        self._part()
        values = np.full(self.rows, np.nan)
        held = np.frombuffer(self._columns[key], dtype=np.float64)
        values[: len(held)] = held
        return values

    def copy(self) -> Log:
        """The same rows with notes and facts of their own; it is not for adding rows."""
        self._part()
        other = copy.copy(self)
        other.notes, other.facts = list(self.notes), dict(self.facts)
        return other

    def note(self, kind: str, text: str, count: int = 1) -> None:
        """Remember a repair, to be told in the report."""
        self.notes.append(Note(kind, text, count))
