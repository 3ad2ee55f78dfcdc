"""The rows of a run that were handed over, and what another reading of it changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from foreshock.run import FloatArray, IntArray, Run

_CHUNK = 1024  # rows turned into records at once

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Row:
    """What one step logged.

    Attributes:
        step: the step.
        values: number by canonical name, or by original name where the dictionary does not know it; what
            was not logged is absent.
        nan: names that were logged as NaN.
    """

    step: int
    values: Mapping[str, float]
    nan: frozenset[str] = frozenset()


class Table:
    """Rows by column, iterated as `Row`; it can be cut, joined and compared."""

    def __init__(
        self, steps: IntArray, columns: Mapping[str, FloatArray], nan: Mapping[str, BoolArray]
    ) -> None:
        self.steps = steps
        self._columns = {name: columns[name] for name in sorted(columns, key=_place)}
        self._nan = {name: nan[name] for name in sorted(nan)}

    @classmethod
    def of(cls, run: Run) -> Table:
        """All rows of a run: its canonical signals, and its columns that the dictionary does not know."""
        keys = {name: column.key for name, column in run.columns.items()}
        columns = dict(run.series.canonical)
        for key in run.unrecognised:
            if key not in columns:
                columns[key] = run.series.original[key]
                keys[key] = key
        nan = {}
        for name in columns:
            at = run.nan_steps.get(keys.get(name, name))
            if at is not None and len(at):
                nan[name] = np.isin(run.steps, at) & np.isnan(columns[name])
        return cls(run.steps, columns, nan)

    @classmethod
    def empty(cls) -> Table:
        """No row."""
        return cls(np.zeros(0, dtype=np.int64), {}, {})

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Row]:
        for start in range(0, len(self), _CHUNK):
            part = self.cut(start, start + _CHUNK)
            names = list(part._columns)
            columns = [column.tolist() for column in part._columns.values()]
            steps = part.steps.tolist()
            for place, cells in enumerate(zip(*columns, strict=True) if columns else [()] * len(part)):
                values = {name: cell for name, cell in zip(names, cells, strict=True) if cell == cell}
                nan = frozenset(name for name, mask in part._nan.items() if mask[place])
                yield Row(steps[place], values, nan)

    def cut(self, start: int, stop: int | None = None) -> Table:
        """The rows from `start` up to `stop`, without copying them."""
        part = slice(start, stop)
        return Table(
            self.steps[part],
            {name: column[part] for name, column in self._columns.items()},
            {name: mask[part] for name, mask in self._nan.items()},
        )

    def joined(self, more: Table) -> Table:
        """These rows and then those of `more`."""
        if not len(self):
            return more
        columns = {
            name: np.concatenate([self._column(name), more._column(name)])
            for name in self._columns.keys() | more._columns.keys()
        }
        nan = {
            name: np.concatenate([self._mask(name), more._mask(name)])
            for name in self._nan.keys() | more._nan.keys()
        }
        return Table(np.concatenate([self.steps, more.steps]), columns, nan)

    def common(self, other: Table) -> int:
        """How many rows both begin with."""
        size = min(len(self), len(other))
        differs = self.steps[:size] != other.steps[:size]
        for name in self._columns.keys() | other._columns.keys():
            mine, yours = self._column(name)[:size], other._column(name)[:size]
            differs |= (mine != yours) & ~(np.isnan(mine) & np.isnan(yours))
        for name in self._nan.keys() | other._nan.keys():
            differs |= self._mask(name)[:size] != other._mask(name)[:size]
        return int(np.argmax(differs)) if differs.any() else size

    def contradicts(self, other: Table) -> bool:
        """Whether the first rows disagree on the step, or on a value that both have."""
        if not len(self) or not len(other):
            return False
        if self.steps[0] != other.steps[0]:
            return True
        shared = self._columns.keys() & other._columns.keys()
        pairs = [(self._columns[name][0], other._columns[name][0]) for name in shared]
        return any(mine != yours and mine == mine and yours == yours for mine, yours in pairs)

    def _column(self, name: str) -> FloatArray:
        column = self._columns.get(name)
        return np.full(len(self), np.nan) if column is None else column

    def _mask(self, name: str) -> BoolArray:
        mask = self._nan.get(name)
        return np.zeros(len(self), dtype=np.bool_) if mask is None else mask


def _place(name: str) -> tuple[bool, bool, str]:
    """The order of names: reward, length, then the others, whatever order they were logged in."""
    return name != "reward_mean", name != "response_length_mean", name
