"""What a reader hands over: the rows of one run as logged, before any cleaning."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from foreshock.run import Event, FloatArray, Note


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
        self.nan_rows: dict[str, list[int]] = {}
        self.notes: list[Note] = []
        self.events: list[Event] = []
        self.evidence: list[Event] = []
        self.superseded = False
        """Whether a later run in the same place took over: it is read only when named."""
        self.facts: dict[str, Any] = {}
        self._columns: dict[str, array[float]] = {}
        self._shape: tuple[str, ...] | None = None
        self._appends: list[Callable[[float], None]] = []

    def add(self, values: Mapping[str, float], step: float | None = None) -> None:
        """Append one row; `step` only where the format states it outside the metrics."""
        row = self.rows
        if step is not None and self.steps is None:
            self.steps = [None] * row
        if self.steps is not None:
            self.steps.append(step)
        shape = tuple(values)
        if shape != self._shape:  # seldom: nearly all rows of nearly all logs are like the row before
            self._reshape(shape)
        for append, value in zip(self._appends, values.values(), strict=True):
            append(value)
        total = sum(values.values())
        if total != total:  # a NaN, or infinities of both signs
            for key, value in values.items():
                if value != value:
                    self.nan_rows.setdefault(key, []).append(row)
        self.rows += 1

    def _reshape(self, shape: tuple[str, ...]) -> None:
        """Bring the columns of the coming row up to this row."""
        for key in shape:
            column = self._columns.setdefault(key, array("d"))
            if len(column) < self.rows:
                column.extend([np.nan] * (self.rows - len(column)))
        self._shape = shape
        self._appends = [self._columns[key].append for key in shape]

    @property
    def keys(self) -> tuple[str, ...]:
        """Column names in the order first logged."""
        return tuple(self._columns)

    def column(self, key: str) -> FloatArray:
        """Values of one column, shape (rows,), NaN where not logged."""
        values = np.full(self.rows, np.nan)
        held = np.frombuffer(self._columns[key], dtype=np.float64)
        values[: len(held)] = held
        return values

    def note(self, kind: str, text: str, count: int = 1) -> None:
        """Remember a repair, to be told in the report."""
        self.notes.append(Note(kind, text, count))
