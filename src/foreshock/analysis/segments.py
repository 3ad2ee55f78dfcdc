"""Where a curve changes its course: optimal partitioning into straight segments.

The curve is cut into segments, each fitted by a straight line; the number of segments is what minimises
residual sum of squares / scale + 3 log n per segment (two coefficients and a place, as BIC counts them).
The scale lies between the variance of the whole curve and that of its noise, on a logarithmic axis one third
of the way: with the noise alone, a smooth autocorrelated curve is cut into dozens of pieces; with the whole
variance alone (what standardising a series amounts to), small steps on long curves are missed.
`design/segmentation.md` has the measurements.

Source: Jackson et al. 2005, "An algorithm for optimal partitioning of data on an interval" (the exact
search); Killick, Fearnhead & Eckley 2012 for the penalised cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from foreshock.run import FloatArray, IntArray

_SHARE = 1 / 3  # how far the scale goes from the variance of the curve towards that of the noise
_PENALTY = 3.0  # times log(n) for each segment
_SHORTEST = 3  # points in a segment
_MOST = 1000  # points that the search looks at; longer curves are averaged into blocks first
_FLOOR = 1e-3  # of the variance: the least noise that is believed


@dataclass(frozen=True)
class Segment:
    """A straight piece of a curve: points `start` to `stop` (exclusive) and the line through them."""

    start: int
    stop: int
    start_level: float
    end_level: float
    sd: float


def change_points(y: npt.ArrayLike) -> list[int]:
    """Where a curve changes its course: the 0-based first index of every new segment.

    Decides by straight pieces, so a steady climb is one segment and not a staircase. Says nothing about
    significance (`analyze` does), cannot see a change within 3 points of an end or of another change, and sees
    no change of scatter alone. NaN and infinities are skipped and keep their index. O(n^2) for up to 1,000
    points; longer curves are searched in blocks of means first, then on the raw points around each change.

    Args:
        y: shape (n,), equally spaced.

    Returns:
        indices in increasing order, without 0; empty for fewer than 6 finite points or a constant.

    >>> change_points([1.0, 1.1, 0.9, 1.0, 5.0, 5.1, 4.9, 5.0])
    [4]
    """
    values = np.asarray(y, dtype=np.float64).ravel()
    kept = np.flatnonzero(np.isfinite(values))
    bounds = boundaries(kept.astype(np.float64), values[kept])
    return [int(kept[bound]) for bound in bounds]


def boundaries(x: FloatArray, y: FloatArray, most: int = _MOST) -> list[int]:
    """Indices at which new segments begin, for finite `y` at the places `x` (both of shape (n,))."""
    n = len(y)
    spread = float(np.var(y)) if n else 0.0
    if n < 2 * _SHORTEST or spread <= (1e-12 * max(float(np.abs(y).max()), 1e-300)) ** 2:
        return []
    z = (y - y.mean()) / np.sqrt(spread)
    width = -(-n // most)
    if width == 1:
        return _partition(Sums(x, z), z)
    whole = n // width * width
    blocks = z[:whole].reshape(-1, width).mean(axis=1)
    places = x[:whole].reshape(-1, width).mean(axis=1)
    coarse = [bound * width for bound in _partition(Sums(places, blocks), blocks)]
    return _refine(Sums(x, z), coarse, width, n)


class Sums:
    """Running sums from which the cost of any straight segment follows at once."""

    def __init__(self, x: FloatArray, y: FloatArray) -> None:
        x = (x - x[0]) / max(float(x[-1] - x[0]), 1e-300)

        def running(values: FloatArray) -> FloatArray:
            return np.concatenate([[0.0], np.cumsum(values)])

        self.x, self.y = running(x), running(y)
        self.xx, self.xy, self.yy = running(x * x), running(x * y), running(y * y)

    def cost(self, start: IntArray | int, stop: IntArray | int) -> FloatArray:
        """Residual sum of squares of the line through the points `start` to `stop` (exclusive)."""
        m = np.asarray(np.subtract(stop, start), dtype=np.float64)
        sx, sy = self.x[stop] - self.x[start], self.y[stop] - self.y[start]
        vx = self.xx[stop] - self.xx[start] - sx * sx / m
        vy = self.yy[stop] - self.yy[start] - sy * sy / m
        cxy = self.xy[stop] - self.xy[start] - sx * sy / m
        explained = np.divide(cxy * cxy, vx, out=np.zeros_like(vy), where=vx > 1e-18)
        return np.asarray(np.maximum(vy - explained, 0.0))


def _partition(sums: Sums, z: FloatArray) -> list[int]:
    """The exact minimum over all partitions of the standardised curve `z`."""
    n = len(z)
    differences = np.diff(z)
    noise = (1.4826 * float(np.median(np.abs(differences - np.median(differences))))) ** 2 / 2
    scale = max(noise, _FLOOR) ** _SHARE
    penalty = _PENALTY * float(np.log(n))
    best = np.full(n + 1, np.inf)
    best[0] = -penalty
    cut_before = np.zeros(n + 1, dtype=np.int64)
    for stop in range(_SHORTEST, n + 1):
        starts = np.arange(stop - _SHORTEST + 1)
        totals = best[: len(starts)] + sums.cost(starts, stop) / scale
        cut_before[stop] = int(np.argmin(totals))
        best[stop] = totals[cut_before[stop]] + penalty
    cuts = []
    stop = n
    while stop > 0:
        stop = int(cut_before[stop])
        if stop > 0:
            cuts.append(stop)
    return cuts[::-1]


def _refine(sums: Sums, coarse: Sequence[int], width: int, n: int) -> list[int]:
    """Move each cut to the best raw point within one block, its neighbours held."""
    cuts = [0, *coarse, n]
    for k in range(1, len(cuts) - 1):
        low = max(cuts[k - 1] + _SHORTEST, cuts[k] - width)
        high = min(cuts[k + 1] - _SHORTEST, cuts[k] + width)
        if low <= high:
            tried = np.arange(low, high + 1)
            total = sums.cost(np.full(len(tried), cuts[k - 1]), tried) + sums.cost(
                tried, np.full(len(tried), cuts[k + 1])
            )
            cuts[k] = int(tried[int(np.argmin(total))])
    return cuts[1:-1]


def fit(x: FloatArray, y: FloatArray, bounds: Sequence[int]) -> list[Segment]:
    """The segments between `bounds` with a line through each; outliers are drawn in before a second fit."""
    edges = [0, *bounds, len(y)]
    return [
        _line(x, y, start, stop) for start, stop in zip(edges[:-1], edges[1:], strict=True) if stop > start
    ]


def _line(x: FloatArray, y: FloatArray, start: int, stop: int) -> Segment:
    here, values = x[start:stop], y[start:stop].copy()
    if len(values) < 3 or here[-1] == here[0]:
        return Segment(start, stop, float(values[0]), float(values[-1]), float(values.std()))
    centred = here - here.mean()
    line = values
    for _ in range(2):
        slope = float(centred @ values / (centred @ centred))
        line = values.mean() + slope * centred
        residual = y[start:stop] - line
        reach = 3 * 1.4826 * float(np.median(np.abs(residual - np.median(residual))))
        values = line + np.clip(residual, -reach, reach) if reach > 0 else values
    low, high = float(y[start:stop].min()), float(y[start:stop].max())
    ends = np.clip(line[[0, -1]], low, high)  # a line may not leave the values that it describes
    sd = float(np.sqrt(np.mean((values - line) ** 2) * len(values) / max(len(values) - 2, 1)))
    return Segment(start, stop, float(ends[0]), float(ends[1]), sd)
