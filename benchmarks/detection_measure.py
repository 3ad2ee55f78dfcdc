"""What a detector does, in numbers: false alarms per 1000 steps, and steps until a change is told.

A statistic is an array (curves, n), larger = more evidence of a fall; NaN where there is no opinion. It
alarms at a row where it reaches a threshold. Alarms fewer than 20 rows apart are one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from foreshock.run import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]
APART = 20  # rows without an alarm after which the next one is another
CAP = 60  # rows after the onset at which one stops waiting


@dataclass(frozen=True)
class Rate:
    """Alarms, and the rows at which one could have begun."""

    alarms: int
    rows: int

    def __add__(self, other: Rate) -> Rate:
        return Rate(self.alarms + other.alarms, self.rows + other.rows)

    @property
    def per_1000(self) -> float:
        """Alarms per 1000 rows."""
        return 1000 * self.alarms / max(self.rows, 1)

    @property
    def error(self) -> float:
        """Standard error of it, as if alarms were Poisson."""
        return 1000 * float(np.sqrt(max(self.alarms, 1))) / max(self.rows, 1)


@dataclass(frozen=True)
class Delay:
    """How fast changes are told.

    Attributes:
        mean: rows from the first fallen one to the alarm, both counted; 60 where there is none by then.
        error: its standard error.
        found: share told within 60 rows.
        dropped: share of curves left out as they had alarmed within the 20 rows before it.
        counted: curves behind it.
    """

    mean: float
    error: float
    found: float
    dropped: float
    counted: int


def reached(statistic: FloatArray, threshold: float) -> BoolArray:
    """Where a statistic is at or above a threshold."""
    with np.errstate(invalid="ignore"):
        return np.asarray(statistic >= threshold)


def false_alarms(alarmed: BoolArray) -> Rate:
    """Alarms that begin, and the rows at which one could: no other in the 20 rows before."""
    count = np.cumsum(alarmed, axis=1, dtype=np.int64)
    before = np.zeros_like(count)
    before[:, 1:] = count[:, :-1]
    before[:, APART + 1 :] -= count[:, : -APART - 1]
    free = before == 0
    return Rate(int((alarmed & free).sum()), int(free.sum()))


def tune(statistics: FloatArray | Sequence[FloatArray], rate: float = 1.0) -> float:
    """The lowest threshold with at most `rate` alarms per 1000 steps on curves without a change."""
    arrays = [statistics] if isinstance(statistics, np.ndarray) else list(statistics)
    values = np.unique(np.concatenate([array[np.isfinite(array)].ravel() for array in arrays]))

    def per_1000(threshold: float) -> float:
        rates = (false_alarms(reached(array, threshold)) for array in arrays)
        return sum(rates, Rate(0, 0)).per_1000

    low, high = 0, len(values)  # at values[high] it holds
    while low < high:
        middle = (low + high) // 2
        if per_1000(values[middle]) <= rate:
            high = middle
        else:
            low = middle + 1
    return float(values[high]) if high < len(values) else float(np.nextafter(values[-1], np.inf))


@dataclass(frozen=True)
class Waits:
    """Rows until each change was told, of curves that had not alarmed in the 20 rows before it."""

    took: FloatArray
    found: BoolArray
    dropped: int

    def __add__(self, other: Waits) -> Waits:
        return Waits(
            np.concatenate([self.took, other.took]),
            np.concatenate([self.found, other.found]),
            self.dropped + other.dropped,
        )

    def delay(self) -> Delay:
        """Their mean."""
        counted = len(self.took)
        if not counted:
            return Delay(np.nan, np.nan, np.nan, 1.0, 0)
        return Delay(
            float(self.took.mean()),
            float(self.took.std() / counted**0.5),
            float(self.found.mean()),
            self.dropped / (self.dropped + counted),
            counted,
        )


def waits(alarmed: BoolArray, onset: IntArray, among: BoolArray | None = None) -> Waits:
    """How long the change at the row `onset` of each curve takes to be told.

    Curves that are in an alarm at the change are left out. Those with an alarm long before it are not: to
    leave them out as well would keep the curves whose noise a method judges best.

    Args:
        alarmed: (curves, n); may be fewer curves than there are onsets.
        onset: first changed row of each curve.
        among: which curves to look at; all of them unless given.
    """
    if among is not None:
        among = among[: len(alarmed)]
        alarmed, onset = alarmed[among], onset[: len(among)][among]
    onset, n = onset[: len(alarmed)], alarmed.shape[1]
    since = np.arange(n) - onset[:, None]
    early = (alarmed & (since < 0) & (since >= -APART)).any(1)
    window = onset[:, None] + np.arange(CAP)
    if window.max(initial=0) >= n:
        raise ValueError(f"a change at row {onset.max()} of {n} leaves no {CAP} rows to be found in")
    hits = np.take_along_axis(alarmed, window, axis=1)[~early]
    found = np.asarray(hits.any(1))
    return Waits(np.where(found, hits.argmax(1) + 1.0, float(CAP)), found, int(early.sum()))


def delays(alarmed: BoolArray, onset: IntArray) -> Delay:
    """How fast the change at the row `onset` of each curve is told."""
    return waits(alarmed, onset).delay()
