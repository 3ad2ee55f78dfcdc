"""Where a fall begins and ends: level, ramp, level, by least squares, with an interval for the onset."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from foreshock.run import FloatArray, IntArray

_FINE = 80  # rows that are fitted at full resolution
_LIKELY = 7.0  # chi-square limit of the interval: 3.84 and a margin for a step location (tests: test_figure)


@dataclass(frozen=True)
class Ramp:
    """A change from one level to another; all rows are indices into the series."""

    onset: int  # first row of the new behaviour
    low: int  # interval for the onset, inclusive
    high: int
    end: int  # first row at the new level
    before: float
    after: float
    slopes: tuple[float, float]  # per row, before and after


def locate(y: FloatArray, first: int, last: int, sd: float, phi: float) -> Ramp:
    """Fit slope, ramp, slope to y[first:last] and give the 95 % interval of the onset.

    Long stretches are fitted on means of blocks first, then refined around the ramp. The interval holds
    every onset whose best fit is nearly as good as the best one, given the noise and its autocorrelation.

    Args:
        y: shape (n,), finite.
        first: first row to look at.
        last: one past the last row to look at; last - first >= 4.
        sd: noise of one point.
        phi: its autocorrelation.
    """
    inflation = (1 + max(phi, 0.0)) / (1 - max(phi, 0.0))
    size = -(-(last - first) // _FINE)
    if size > 1:
        whole = (last - first) // size * size
        means = y[first : first + whole].reshape(-1, size).mean(-1)
        coarse = _fit(means, sd * np.sqrt(inflation / size))
        span = (coarse.end - coarse.onset + 8) * size
        near = max(first, first + (coarse.low - 2) * size), min(last, first + (coarse.end + 6) * size)
        if near[1] - near[0] > _FINE * 2 or span >= last - first:
            return Ramp(
                first + coarse.onset * size,
                first + coarse.low * size,
                min(first + (coarse.high + 1) * size - 1, last - 1),
                min(first + coarse.end * size, last - 1),
                coarse.before,
                coarse.after,
                (coarse.slopes[0] / size, coarse.slopes[1] / size),
            )
        first, last = near
    fine = _fit(y[first:last], sd * np.sqrt(inflation))
    return replace(
        fine,
        onset=first + fine.onset,
        low=first + fine.low,
        high=first + fine.high,
        end=first + fine.end,
    )


def _fit(y: FloatArray, sd: float) -> Ramp:
    """Try every last row before and every end of a ramp."""
    n = len(y)
    level, end = (grid.ravel() for grid in np.meshgrid(np.arange(1, n - 1), np.arange(2, n), indexing="ij"))
    keep = (end > level) & (end <= n - 2) if n > 4 else end > level
    level, end = level[keep], end[keep]
    error, coefficient = _least_squares(y, level, end)
    best = int(np.argmin(error))
    spread = max(sd**2, error[best] / max(n - 6, 1) if n > 10 else 0.0, 1e-300)
    profile = np.full(n, np.inf)
    # Rivals must tell of the same event: a change the same way and of at least half the size.
    same = coefficient[:, 1] * np.sign(coefficient[best, 1]) >= 0.5 * abs(coefficient[best, 1])
    np.minimum.at(profile, level[same], error[same])
    likely = np.flatnonzero(profile <= error[best] + _LIKELY * spread)
    # A slope fitted to a few points may overshoot: no level lies beyond all values.
    before = float(np.clip(coefficient[best, 0], y.min(), y.max()))
    after = float(np.clip(coefficient[best, 0] + coefficient[best, 1], y.min(), y.max()))
    slopes = float(coefficient[best, 2]) / n, float(coefficient[best, 3]) / n
    rows = int(level[best]) + 1, int(likely[0]) + 1, int(likely[-1]) + 1, int(end[best])
    return Ramp(*rows, before, after, slopes)


def _least_squares(y: FloatArray, level: IntArray, end: IntArray) -> tuple[FloatArray, FloatArray]:
    """Squared error and (level before, change, slope before, slope after) of each ramp."""
    n = len(y)
    row = np.arange(n, dtype=np.float64)
    ramp = np.clip((row - level[:, None]) / (end - level)[:, None], 0.0, 1.0)
    # A slope needs a handful of points; with fewer the side is taken as flat.
    earlier = np.minimum(row - level[:, None], 0.0) * (level >= 5)[:, None]
    later = np.maximum(row - end[:, None], 0.0) * (n - end >= 5)[:, None]
    design = np.stack([np.ones_like(ramp), ramp, earlier / n, later / n], axis=-1)
    shifted = y - y.mean()
    gram = np.einsum("kni,knj->kij", design, design) + 1e-9 * np.eye(4)
    target = np.einsum("kni,n->ki", design, shifted)
    coefficient = np.linalg.solve(gram, target[..., None])[..., 0]
    error = (shifted**2).sum() - (coefficient * target).sum(-1)
    coefficient[:, 0] += y.mean()
    return np.maximum(error, 0.0), coefficient
