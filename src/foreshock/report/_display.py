"""What is done to a curve so that it can be drawn, and nothing that an analysis would read.

All functions take and return float64 arrays of shape (n,), with one value per step and NaN for "not
logged". None of them samples: a point that stands alone is drawn whatever the length of the run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from foreshock._arrays import median_of, quantiles_of
from foreshock.run import FloatArray

Steps = npt.NDArray[np.int64] | FloatArray

_FAR = 40.0  # a range this many times the range of the middle 80 % would flatten the curve
_KEPT = 4.0  # what is then kept around the middle, in the same widths
_HOLE = 5.0  # a step between two rows this many times its neighbours is a hole, not a slow logger


@dataclass(frozen=True)
class Limits:
    """The range of values that a chart shows.

    Attributes:
        low: smallest value drawn to scale.
        high: largest value drawn to scale.
        above: indices of the points above `high`, +inf included.
        below: indices of the points below `low`, -inf included.
    """

    low: float
    high: float
    above: npt.NDArray[np.intp]
    below: npt.NDArray[np.intp]


def robust_limits(y: FloatArray) -> Limits:
    """Decide which range of `y` to draw to scale.

    Everything is drawn to scale unless a few values are so far out that the rest would be a flat line
    (range over 40 times that of the middle 80 %); those are then named in `above` and `below`, never
    dropped. It cannot see whether the far values are what matters: the caller marks them at the edge.
    """
    finite = y[np.isfinite(y)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if finite.size >= 8:
        bottom, middle, top = quantiles_of(finite, 0.1, 0.5, 0.9)
        width = max(top - bottom, 0.05 * abs(middle))
        if width > 0 and (high / 2 - low / 2) > _FAR * width / 2:  # halves: no overflow near 1e308
            near = finite[(finite >= bottom - _KEPT * width) & (finite <= top + _KEPT * width)]
            low, high = float(near.min()), float(near.max())
    with np.errstate(invalid="ignore"):
        return Limits(low, high, np.flatnonzero(y > high), np.flatnonzero(y < low))


def connect(steps: Steps, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Decide where the line is broken: at NaN, at infinities and at holes in the steps.

    A signal that is logged only every few rows (most finite points stand alone) is joined up instead:
    its NaN rows say "not logged here", not "a gap". A hole is a stretch without rows more than 5 times
    as wide as the steps on both its sides; a NaN is put into it.
    """
    x = np.asarray(steps, dtype=np.float64)
    y = np.where(np.isfinite(y), y, np.nan)
    finite = np.isfinite(y)
    if finite.sum() > 2 and lone_points(y).sum() > finite.sum() / 2:
        x, y = x[finite], y[finite]
    if x.size > 3:
        gap = np.diff(x)
        beside = np.maximum(np.r_[0.0, gap[:-1]], np.r_[gap[1:], 0.0])
        holes = np.flatnonzero(gap > _HOLE * beside)
        holes = holes[(holes > 0) & (holes < gap.size - 1)]
        x = np.insert(x, holes + 1, x[holes] + gap[holes] / 2)
        y = np.insert(y, holes + 1, np.nan)
    return x, y


def lone_points(y: FloatArray) -> npt.NDArray[np.bool_]:
    """Finite points with a NaN (or the end of the run) on both sides: a line would not show them."""
    finite: npt.NDArray[np.bool_] = np.isfinite(y)
    before = np.r_[False, finite[:-1]]
    after = np.r_[finite[1:], False]
    alone: npt.NDArray[np.bool_] = finite & ~before & ~after
    return alone


def decimate(x: FloatArray, y: FloatArray, buckets: int) -> tuple[FloatArray, FloatArray]:
    """Keep the smallest and the largest point of every bucket of equal width along x, in order.

    Args:
        x: increasing, shape (n,).
        y: values, NaN = a gap, shape (n,); no infinities (see `connect`).
        buckets: how many; one per pixel column draws the same picture as all points.

    Returns:
        At most 2 * buckets + 2 points (all of them where there are no more), the first and the last
        included. A bucket without a finite value stays a gap; a gap narrower than a bucket is closed.
    """
    if x.size <= 2 * buckets + 2:
        return x, y
    place = _bucket(x, x[0], x[-1], buckets)
    finite = np.isfinite(y)
    keep = {0, int(x.size) - 1}
    rows = np.flatnonzero(finite)
    if rows.size:
        order = rows[np.lexsort((y[rows], place[rows]))]
        first = np.flatnonzero(np.r_[True, np.diff(place[order]) > 0])
        last = np.r_[first[1:] - 1, order.size - 1]
        keep.update(order[first].tolist(), order[last].tolist())
    filled = np.isin(np.arange(buckets), place[rows])
    empty = np.flatnonzero(~filled[place])
    keep.update(empty[np.unique(place[empty], return_index=True)[1]].tolist())
    kept = np.array(sorted(keep))
    return x[kept], y[kept]


def bucket_medians(x: FloatArray, y: FloatArray, at: FloatArray, buckets: int) -> FloatArray:
    """For each step in `at`, which `decimate` kept, the median of the bucket it stands for.

    Smoothing the kept points themselves would follow the extremes; the medians stand for all points.
    NaN where a bucket has no finite value.
    """
    rows = np.flatnonzero(np.isfinite(y))
    place = _bucket(x[rows], x[0], x[-1], buckets)
    ordered = y[rows][np.lexsort((y[rows], place))]  # by bucket, and by value within each
    filled, starts, counts = np.unique(place, return_index=True, return_counts=True)
    medians = np.full(buckets, np.nan)
    medians[filled] = (ordered[starts + (counts - 1) // 2] + ordered[starts + counts // 2]) / 2
    return medians[_bucket(at, x[0], x[-1], buckets)]


def _bucket(x: FloatArray, first: float, last: float, buckets: int) -> npt.NDArray[np.int64]:
    """The bucket of equal width that each step falls into."""
    place: npt.NDArray[np.int64] = ((x - first) / (last - first) * buckets).astype(np.int64)
    return np.minimum(place, buckets - 1)


def envelope(
    x: FloatArray, low: FloatArray, high: FloatArray, buckets: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The lowest `low` and the highest `high` of every bucket of equal width along x, all finite."""
    if x.size <= 2 * buckets:
        return x, low, high
    starts = np.unique(np.searchsorted(x, np.linspace(x[0], x[-1], buckets + 1)[:-1]))
    return x[starts], np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)


def centred_median(
    steps: Steps, y: FloatArray, window: int, points: int = 2000
) -> tuple[FloatArray, FloatArray]:
    """Median over the steps within window / 2 on both sides: for the eye, never for the analysis.

    It cannot show a change shorter than half the window, which is why the raw line stays beneath it.
    Evaluated at no more than `points` rows; NaN where a row has no value of its own; infinities are
    left out.

    Returns:
        Steps and medians, both of shape (min(n, points),).
    """
    x = np.asarray(steps, dtype=np.float64)
    finite = np.isfinite(y)
    at = np.unique(np.linspace(0, x.size - 1, min(points, x.size)).astype(np.int64))
    low = np.searchsorted(x, x[at] - window / 2, side="left")
    high = np.searchsorted(x, x[at] + window / 2, side="right")
    smooth = np.full(len(at), np.nan)
    for position, (row, a, b) in enumerate(zip(at, low, high, strict=True)):
        if finite[row]:
            piece = y[a:b]
            smooth[position] = median_of(piece[finite[a:b]])
    return x[at], smooth
