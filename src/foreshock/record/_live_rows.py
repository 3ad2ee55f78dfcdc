"""The rows of a run while it logs them, as a reader of its journal will see them.

What a key means is decided by the readers, who look at the whole log; here it is only applied to one more
row. `Names.fits` says where that is not enough and the journal must be read again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import orjson

from foreshock.detect._watched import watched
from foreshock.readers._clean import _averaged
from foreshock.readers._follow_table import Row, _place
from foreshock.readers._records import flatten
from foreshock.run import Run
from foreshock.signals import catalogue
from foreshock.signals._transform import apply

_LENGTH = "response_length_mean"


class Making:
    """The row of one step while it is being logged: in one call of `log`, or in several."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.cells: dict[str, list[float]] = {}

    def add(self, line: bytes) -> None:
        """Take a line of the journal."""
        for key, value in flatten(orjson.loads(line)["metrics"]).items():
            self.cells.setdefault(key, []).append(value)

    def as_full_as(self, other: Making | None) -> bool:
        """Whether everything was logged that was logged in another step, and as often."""
        if other is None:
            return False
        return all(len(self.cells.get(key, ())) >= len(cells) for key, cells in other.cells.items())


class Averages:
    """Which keys are logged several times in most steps: the readers average those of a step."""

    def __init__(self) -> None:
        self._steps: dict[str, int] = {}
        self._several: dict[str, int] = {}

    def values(self, row: Making) -> tuple[dict[str, float], bool]:
        """The value of each key at a row, and whether the row changes how those before it are read."""
        values, turned = {}, False
        for key, cells in row.cells.items():
            steps, several = self._steps.get(key, 0), self._several.get(key, 0)
            now = _mostly(several + (len(cells) > 1), steps + 1)
            turned |= bool(steps) and now != _mostly(several, steps)
            values[key] = _mean(cells) if now and len(cells) > 1 else cells[-1]
        return values, turned

    def count(self, row: Making) -> None:
        """This row is over."""
        for key, cells in row.cells.items():
            self._steps[key] = self._steps.get(key, 0) + 1
            if len(cells) > 1:
                self._several[key] = self._several.get(key, 0) + 1


def _mostly(several: int, steps: int) -> bool:
    return several > 0 and 2 * several >= steps


def _mean(cells: list[float]) -> float:
    return float(_averaged(np.array(cells), np.zeros(len(cells), dtype=np.int64), 1)[0])


class Names:
    """What the keys of a run mean.

    Args:
        run: as it was read last.
        asked: keys to hand on that the dictionary does not know.
    """

    def __init__(self, run: Run, asked: Collection[str] = ()) -> None:
        self._known = set(run.series.original)
        taken = {name: (column.key, column.transform) for name, column in run.columns.items()}
        others = [key for key in run.unrecognised if key not in taken and (key in asked or watched(key))]
        taken |= {key: (key, "identity") for key in others}
        # The length first, as sums over a sequence are divided by it.
        self._taken = sorted(taken.items(), key=lambda entry: entry[0] != _LENGTH)
        self.order = sorted(taken, key=_place)
        guessed = [(name, column.key) for name, column in run.columns.items() if column.via == "generic"]
        self._ranges = {
            key: (signal.low, signal.high)
            for name, key in guessed
            if (signal := catalogue().get(name.partition("/")[0])) is not None
        }

    def learn(self, keys: Iterable[str]) -> None:
        """The readers have seen these keys, and leave some of them out."""
        self._known.update(keys)

    def fits(self, values: Mapping[str, float]) -> bool:
        """Whether the readers would still say the same of all keys: none is new, no guess is refuted."""
        if not values.keys() <= self._known:
            return False
        for key, (low, high) in self._ranges.items():
            value = values.get(key)
            if value is None or not np.isfinite(value):
                continue
            if (low is not None and value < low - 1e-9) or (high is not None and value > high + 1e-6):
                return False
        return True

    def row(self, step: int, values: Mapping[str, float]) -> Row:
        """A row under canonical names."""
        found: dict[str, float] = {}
        nan = set()
        for name, (key, transform) in self._taken:
            value = values.get(key)
            if value is None:
                continue
            if value != value:
                nan.add(name)
            elif transform == "identity":
                found[name] = value
            else:
                length = np.array([found[_LENGTH]]) if _LENGTH in found else np.full(1, np.nan)
                made = apply(transform, np.array([value]), length)
                if made is not None and made[0] == made[0]:
                    found[name] = float(made[0])
        return Row(step, {name: found[name] for name in self.order if name in found}, frozenset(nan))

    def only(self, row: Row) -> Row:
        """A row that the readers made, less what is not handed on."""
        values = {name: row.values[name] for name in self.order if name in row.values}
        return Row(row.step, values, row.nan & frozenset(self.order))
