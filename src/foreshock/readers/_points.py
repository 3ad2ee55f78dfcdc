"""Single values (metric, step, value), as event files and MLflow store them, made into rows.

What is a row: all values of one step. A metric that goes back in its steps and logs some of them a second
time was restarted: those values make new rows after the old ones, so that the cleaner sees a resume.
A metric that merely arrives late or out of order, with no step twice, belongs to its step.
"""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt

from foreshock.readers._log import Log
from foreshock.run import Event, IntArray


class Points:
    """Values in the order logged, 20 bytes each."""

    def __init__(self) -> None:
        self.tags: dict[str, int] = {}
        self._tag = array("i")
        self._step = array("q")
        self._value = array("d")
        self._parts: list[tuple[int, int]] = []  # (how many values, part), in order; empty: all are part 0

    def __len__(self) -> int:
        return len(self._value)

    def index(self, tag: str) -> int:
        """The number under which a metric is added."""
        return self.tags.setdefault(tag, len(self.tags))

    def add(self, index: int, step: int, value: float) -> None:
        """Append one value of the metric `index`; `step` must fit 64 signed bits."""
        self._step.append(step)
        self._tag.append(index)
        self._value.append(value)

    def extend(self, other: Points, part: int) -> None:
        """Append the values of a later source; a higher `part` says that it restarted earlier steps."""
        names = np.array([self.index(tag) for tag in other.tags], dtype=np.int32)
        self._tag.frombytes(names[np.frombuffer(other._tag, dtype=np.int32)].tobytes())
        self._step.frombytes(other._step.tobytes())
        self._value.frombytes(other._value.tobytes())
        self._parts.append((len(other), part))

    def span(self, tags: set[str]) -> tuple[int, int]:
        """First and last step at which any of these tags was logged (they must all be here)."""
        mine = np.isin(np.frombuffer(self._tag, dtype=np.int32), [self.tags[tag] for tag in tags])
        steps = np.frombuffer(self._step, dtype=np.int64)[mine]
        return int(steps.min()), int(steps.max())

    def fill(self, log: Log) -> None:
        """Append one row per step to the log, and an event where a restart begins.

        When every value carries the same step, no step was given: rows then stand in the order
        logged, without steps.
        """
        if not len(self):
            return
        tag = np.frombuffer(self._tag, dtype=np.int32)
        step = np.frombuffer(self._step, dtype=np.int64)
        value = np.frombuffer(self._value, dtype=np.float64)
        counts, parts = zip(*(self._parts or [(len(self), 0)]), strict=True)
        attempt = _attempts(tag, np.repeat(np.array(parts, dtype=np.int64), counts), step)
        repeat = _occurrence(tag, attempt, step)
        order = np.lexsort((tag, repeat, step, attempt))
        key = np.stack([attempt[order], step[order], repeat[order]])
        starts = np.flatnonzero(np.r_[True, (np.diff(key) != 0).any(axis=0)])
        stepless = bool(len(starts) > 1 and (step == step[0]).all())
        names = list(self.tags)
        ends = [*starts[1:].tolist(), len(order)]
        previous = 0
        for start, end, number, now in zip(
            starts.tolist(), ends, key[1, starts].tolist(), key[0, starts].tolist(), strict=True
        ):
            here = order[start:end]
            row = dict(zip([names[i] for i in tag[here].tolist()], value[here].tolist(), strict=True))
            log.add(row, None if stepless else number)
            if now != previous:
                log.events.append(Event(number, "resumed"))
                previous = now


def _attempts(tag: npt.NDArray[np.int32], part: IntArray, step: IntArray) -> IntArray:
    """Which attempt each value belongs to: counts up where its metric logs earlier steps again."""
    order = np.lexsort((np.arange(len(tag)), part, tag))
    tags, parts, steps = tag[order], part[order], step[order]
    same = np.r_[False, (np.diff(tags) == 0) & (np.diff(parts) == 0)]
    back = same & np.r_[False, np.diff(steps) < 0]
    result = np.empty(len(tag), dtype=np.int64)
    if not back.any():
        result[:] = part
        return result
    group = np.cumsum(~same) - 1
    again = _occurrence(group, np.zeros_like(group), steps) > 0
    restarted = np.isin(group, group[again])
    turns = np.cumsum(back & restarted)
    first = np.flatnonzero(~same)
    within = turns - turns[first][group]
    # Restarts inside an earlier part come before the next part begins.
    most = np.zeros(int(parts.max()) + 1, dtype=np.int64)
    np.maximum.at(most, parts, within)
    offset = np.r_[0, np.cumsum(most)[:-1]]
    result[order] = parts + offset[parts] + within
    return result


def _occurrence(tag: npt.NDArray[np.integer], attempt: npt.NDArray[np.integer], step: IntArray) -> IntArray:
    """How many values with the same tag, attempt and step came before each one."""
    order = np.lexsort((np.arange(len(tag)), step, attempt, tag))
    changed = (np.diff(tag[order]) != 0) | (np.diff(attempt[order]) != 0) | (np.diff(step[order]) != 0)
    begins = np.flatnonzero(np.r_[True, changed])
    sizes = np.diff(np.r_[begins, len(order)])
    result = np.empty(len(tag), dtype=np.int64)
    result[order] = np.arange(len(order)) - np.repeat(begins, sizes)
    return result
