"""Where a fall begins and ends: level, ramp, level, by least squares, with an interval for the onset."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from foreshock.run import FloatArray, IntArray

_FINE = 80  # rows that are fitted at full resolution
_SLOPE_COSTS = 4.0  # squared errors, in units of the noise, that a slope must save
_SHORT = 4  # blocks of a coarse ramp that are looked at again, row by row
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


def locate(y: FloatArray, first: int, last: int, sd: float, phi: float, *, falls: bool = False) -> Ramp:
    """Fit slope, ramp, slope to y[first:last] and give the 95 % interval of the onset.

    Long stretches are fitted on means of blocks first, then refined around a short ramp. The interval holds
    every onset whose best fit is nearly as good as the best one, given the noise and its autocorrelation.

    Args:
        y: shape (n,), finite.
        first: first row to look at.
        last: one past the last row to look at; last - first >= 4.
        sd: noise of one point.
        phi: its autocorrelation.
        falls: look for a fall between two sides that do not fall themselves, so that a slow decline is one
            long ramp and not a short one with a falling side.
    """
    inflation = (1 + max(phi, 0.0)) / (1 - max(phi, 0.0))
    size = -(-(last - first) // _FINE)
    if size == 1:
        return _moved(_fit(y[first:last], sd * np.sqrt(inflation), falls), first)
    whole = (last - first) // size * size
    coarse = _fit(y[first : first + whole].reshape(-1, size).mean(-1), sd * np.sqrt(inflation / size), falls)
    near = max(first, first + (coarse.low - 3) * size), min(last, first + (coarse.end + 6) * size)
    if coarse.end - coarse.onset <= _SHORT and near[1] - near[0] <= (last - first) // 2:
        # A short ramp is placed among the rows; its levels are better known from the longer stretch.
        fine = locate(y, *near, sd, phi, falls=falls)
        return replace(fine, before=coarse.before, after=coarse.after)
    return Ramp(
        onset=first + coarse.onset * size,
        low=first + coarse.low * size,
        high=min(first + (coarse.high + 1) * size - 1, last - 1),
        end=min(first + coarse.end * size, last - 1),
        before=coarse.before,
        after=coarse.after,
        slopes=(coarse.slopes[0] / size, coarse.slopes[1] / size),
    )


def _moved(ramp: Ramp, rows: int) -> Ramp:
    """The same ramp, counted from `rows` rows earlier."""
    return replace(
        ramp, onset=ramp.onset + rows, low=ramp.low + rows, high=ramp.high + rows, end=ramp.end + rows
    )


def _fit(y: FloatArray, sd: float, falls: bool) -> Ramp:
    """Try every last row before and every end of a ramp."""
    n = len(y)
    level, end = (grid.ravel() for grid in np.meshgrid(np.arange(1, n - 1), np.arange(2, n), indexing="ij"))
    keep = (end > level) & (end <= n - 2) if n > 4 else end > level
    level, end = level[keep], end[keep]
    error, coefficient = _least_squares(y, level, end, falls, sd)
    best = int(np.argmin(error))
    spread = max(sd**2, error[best] / max(n - 6, 1) if n > 10 else 0.0, 1e-300)
    profile = np.full(n, np.inf)
    # Rivals must tell of the same event: a change the same way and of at least half the size.
    same = coefficient[:, 1] * np.sign(coefficient[best, 1]) >= 0.5 * abs(coefficient[best, 1])
    np.minimum.at(profile, level[same], error[same])
    likely = np.flatnonzero(profile <= error[best] + _LIKELY * spread)
    if not len(likely):  # no fit is like any other where differences are at the limit of a double
        likely = level[best : best + 1]
    # A slope fitted to a few points may overshoot: no level lies beyond all values.
    before = float(np.clip(coefficient[best, 0], y.min(), y.max()))
    after = float(np.clip(coefficient[best, 0] + coefficient[best, 1], y.min(), y.max()))
    slopes = float(coefficient[best, 2]) / n, float(coefficient[best, 3]) / n
    rows = int(level[best]) + 1, int(likely[0]) + 1, int(likely[-1]) + 1, int(end[best])
    return Ramp(*rows, before, after, slopes)


def _least_squares(
    y: FloatArray, level: IntArray, end: IntArray, falls: bool, sd: float
) -> tuple[FloatArray, FloatArray]:
    """Squared error and (level before, change, slope before, slope after) of each ramp.

    For falls a slope is fitted only where it does not fall itself and earns its place.
    """
    n = len(y)
    row = np.arange(n, dtype=np.float64)
    ramp = np.clip((row - level[:, None]) / (end - level)[:, None], 0.0, 1.0)
    # A slope needs a handful of points; with fewer the side is taken as flat.
    earlier = np.minimum(row - level[:, None], 0.0) * (level >= 5)[:, None]
    later = np.maximum(row - end[:, None], 0.0) * (n - end >= 5)[:, None]
    design = np.stack([np.ones_like(ramp), ramp, earlier / n, later / n], axis=-1)
    shifted = y - y.mean()
    gram = design.transpose(0, 2, 1) @ design
    target = (design.transpose(0, 2, 1) @ shifted[:, None])[..., 0]
    error = np.full(len(level), np.inf)
    coefficient = np.zeros((len(level), 4))
    for kept in ((0, 1, 2, 3), (0, 1, 2), (0, 1, 3), (0, 1)) if falls else ((0, 1, 2, 3),):
        part = gram[:, kept][:, :, kept] + 1e-9 * np.eye(len(kept))
        some = np.linalg.solve(part, target[:, kept][..., None])[..., 0]
        left = np.maximum((shifted**2).sum() - (some * target[:, kept]).sum(-1), 0.0)
        left += _SLOPE_COSTS * sd**2 * (len(kept) - 2)
        better = left < error
        if falls:
            better &= (some[:, 2:] >= 0).all(-1)
        error[better] = left[better]
        coefficient[better] = 0.0
        coefficient[np.ix_(better, kept)] = some[better]
    coefficient[:, 0] += y.mean()
    return error, coefficient
