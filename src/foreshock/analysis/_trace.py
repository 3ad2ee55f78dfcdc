"""One signal prepared for the search: finite rows only, with their noise and what sizes are measured by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foreshock.analysis._records import Change, Noise
from foreshock.analysis.noise import Scatter, noise_from, scatter_of_one
from foreshock.run import FloatArray, IntArray

_ABSURD = 1e100  # larger values are taken for this one, so that their squares stay finite
_NOTHING = 1e-100  # smaller ones for 0, so that theirs do not vanish
_FEW = 5  # rows that give the level at either end of a run


@dataclass(frozen=True)
class Trace:
    """The finite points of one signal; rows are positions in `y`, never steps."""

    name: str
    steps: IntArray
    y: FloatArray
    noise: Noise
    scatter: Scatter  # of the one series, shapes (1, ...)

    @property
    def one_sign(self) -> bool:
        """Whether a percentage of the level means anything."""
        return bool(self.y.min() >= 0)

    def step(self, row: int) -> int:
        """Step number of a row."""
        return int(self.steps[min(max(row, 0), len(self.steps) - 1)])


def trace_of(name: str, steps: IntArray, y: FloatArray) -> Trace:
    """Keep the finite points (at least 3) of a signal."""
    finite = np.isfinite(y)
    kept = np.clip(y[finite], -_ABSURD, _ABSURD)
    kept[np.abs(kept) < _NOTHING] = 0.0
    scatter = scatter_of_one(kept)
    return Trace(name, steps[finite], kept, noise_from(scatter, len(kept)), scatter)


def start_level(y: FloatArray) -> float:
    """Level at the first row: a line through the first five points, so that a steep start is met."""
    few = min(_FEW, len(y))
    if few < 3:
        return float(y[0])
    slope, level = np.polyfit(np.arange(few), y[:few], 1)
    return float(level) if np.isfinite(slope) else float(y[0])


def sized(
    trace: Trace,
    kind: str,
    rows: tuple[int, int, int, int],
    levels: tuple[float, float],
    p_value: float | None,
    detail: str = "",
) -> Change:
    """A change with its sizes: in percent of the peak, of the gain since the start, and in noise.

    Args:
        trace: the signal.
        kind: as in `Change`.
        rows: onset, lowest and highest likely onset, end.
        levels: from and to.
        p_value: of the search.
        detail: anything a person should know besides.
    """
    onset, low, high, end = rows
    before, after = levels
    size = abs(before - after)
    sd = trace.noise.sd
    gain = before - start_level(trace.y)
    moved = abs(gain) > 4 * sd and abs(gain) > 0 and onset > _FEW
    # A fall undoes a gain, a rise undoes a decline: otherwise "share of the gain" is a riddle.
    against = moved and (gain > 0) == (before > after)
    return Change(
        signal=trace.name,
        kind=kind,
        step=trace.step(onset),
        step_interval=(trace.step(low), trace.step(high)),
        end_step=trace.step(end),
        from_value=before,
        to_value=after,
        percent_of_peak=100 * size / max(before, after)
        if trace.one_sign and max(before, after) > 0
        else None,
        percent_of_gain=100 * size / abs(gain) if against else None,
        sigma=size / sd if sd > 0 else None,
        p_value=p_value,
        significant=True,
        detail=detail,
    )


def recovery(trace: Trace, end: int, before: float, after: float) -> tuple[float, int | None]:
    """Share of a change undone by the end of the run, and the step at which that share was reached.

    The level at the end comes from a line through the last points after the bottom (at most ten).
    """
    rest = trace.y[end:]
    last = len(trace.y) - 1
    if len(rest) < 2 or before == after:
        return 0.0, None
    few = rest[-min(10, len(rest)) :]
    final = (
        float(np.mean(few))
        if len(few) < 4
        else float(np.polyval(np.polyfit(np.arange(len(few)), few, 1), len(few) - 1))
    )
    share = float(np.clip((final - after) / (before - after), 0.0, 1.0))
    if share == 0.0:
        return 0.0, None
    undone = (rest - after) / (before - after)
    width = min(3, len(undone))
    smooth = np.convolve(undone, np.ones(width) / width, mode="valid")
    reached = np.flatnonzero(smooth >= share)
    row = end + int(reached[0]) + width // 2 if len(reached) else last
    return share, trace.step(row)
