"""Where a signal changes its level or its trend: straight lines between change points.

Two passes. The first finds the best partition into straight lines at a low price, so that nothing is
missed; the second takes boundaries away, the weakest first, until each one left is worth more than noise
that remembers itself could fake. `design/segmentation.md` says how this was chosen.

Source: Jackson et al. 2005, "An algorithm for optimal partitioning of data on an interval" (first pass);
Yao 1988 and Bai & Perron 1998 for counting parameters as BIC does and for the long-run variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from foreshock._arrays import median_of, mirrored, running_sums
from foreshock.run import FloatArray, IntArray

CANDIDATE_PRICE = 0.15  # of a boundary in the first pass, in log(n) times the variance of the signal
BOUNDARY_PRICE = 3.5  # in the second pass, in log(n) times the long-run variance of the residuals
LINE_PRICE = 1.0  # what a slope must gain over a level, in the same unit: BIC's price of one parameter
SHORTEST = 4  # points of a segment
LONGEST = 1000  # points beyond which means of blocks are partitioned
SPIKE = 4.0  # robust standard deviations from the median of its neighbours that make a spike

_PHI_LIMIT = 0.97
_FLOOR = 1e-9  # of the variance of the signal: what counts as an exact fit
_CLIP = 3.0  # robust standard deviations to which outliers are drawn in before a line is fitted again
_FITS = 5  # times that a line is fitted: enough for one point to lose its pull


@dataclass(frozen=True)
class Segment:
    """A straight piece of a signal.

    Attributes:
        start: first index.
        stop: one past the last index.
        start_level: fitted value at the first point.
        end_level: fitted value at the last point.
        sd: standard deviation of the points around the fit, outliers drawn in.
    """

    start: int
    stop: int
    start_level: float
    end_level: float
    sd: float


def change_points(y: npt.ArrayLike) -> list[int]:
    """Find where a signal changes its level or its trend.

    A growth curve becomes a few straight lines, not stairs, and slow wander of the noise is not taken for
    change. It cannot see a change of scatter alone, a spike (one or two points), or two changes closer than
    4 points; beyond 1,000 points, two changes closer than n / 250. It says nothing about significance:
    `analyze` gives a p-value for each event.

    Memory is O(n); time is O(n^2) up to 1,000 points and O(n) beyond.

    Args:
        y: shape (n,), equally spaced; NaN and infinities count as missing, the index goes on.

    Returns:
        The 0-based first index of every segment after the first, increasing; empty for fewer than 8 finite
        points and for a constant.

    >>> change_points([1.0] * 20 + [2.0] * 20)
    [20]
    >>> change_points(range(100))
    []
    """
    values = np.asarray(y, dtype=np.float64).ravel()
    kept = np.flatnonzero(np.isfinite(values))
    return [int(kept[bound]) for bound in boundaries(kept.astype(np.float64), values[kept])]


def segment(steps: IntArray | FloatArray, y: FloatArray) -> list[Segment]:
    """Describe a signal by straight lines between its change points.

    Args:
        steps: shape (n,), increasing.
        y: shape (n,), finite.
    """
    x = np.asarray(steps, dtype=np.float64)
    return fit(x, y, boundaries(x, y)) if len(y) else []


def boundaries(x: FloatArray, y: FloatArray, most: int = LONGEST) -> list[int]:
    """Indices at which new segments begin.

    Args:
        x: shape (n,), places of the points, increasing.
        y: shape (n,), finite.
        most: points that the search looks at; longer signals are averaged into as many blocks first.
    """
    n = len(y)
    if n < 2 * SHORTEST or np.ptp(_scaled(y)) < 1e-12:
        return []
    y = _standardised(_without_spikes(_scaled(y)))
    if not y.any():
        return []
    if n <= most:
        lines = Lines(x, y)
        return _eliminate(lines, _candidates(lines))
    edges = np.linspace(0, n, most + 1).astype(np.int64)
    size = np.diff(edges)
    means = [np.add.reduceat(column, edges[:-1]) / size for column in (x, y)]
    blocks = Lines(means[0], _standardised(means[1]))
    return _refine(Lines(x, y), edges, _eliminate(blocks, _candidates(blocks)))


def fit(x: FloatArray, y: FloatArray, bounds: Sequence[int]) -> list[Segment]:
    """The line through each stretch between `bounds`; outliers are drawn in, fit by fit."""
    edges = [0, *bounds, len(y)]
    return [_line(x, y, start, stop) for start, stop in zip(edges[:-1], edges[1:], strict=True)]


def _line(x: FloatArray, y: FloatArray, start: int, stop: int) -> Segment:
    unit = float(np.abs(y[start:stop]).max()) or 1.0
    here, there = x[start:stop], y[start:stop] / unit
    values, line = there, there
    if len(there) < 3:
        return Segment(start, stop, float(y[start]), float(y[stop - 1]), 0.0)
    centred = here - here.mean()
    weight = centred / (centred**2).sum()
    for _ in range(_FITS):
        line = values.mean() + float((weight * values).sum()) * centred
        residual = there - line
        reach = _CLIP * 1.4826 * median_of(np.abs(residual))
        values = line + np.clip(residual, -reach, reach) if reach > 0 else values
    ends = np.clip(line[[0, -1]], there.min(), there.max())  # a line may not leave the values it describes
    rest = values - line
    sd = float(np.sqrt((rest**2).sum() / max(len(rest) - 2, 1)))
    return Segment(start, stop, float(ends[0]) * unit, float(ends[1]) * unit, sd * unit)


def _scaled(y: FloatArray) -> FloatArray:
    """Values of magnitude 1 at most, so that squares of huge ones stay finite."""
    return y / (float(np.abs(y).max()) or 1.0)


def _standardised(y: FloatArray) -> FloatArray:
    """Mean 0, standard deviation 1; all zero where the signal is constant."""
    y = y - y.mean()
    sd = float(y.std())
    return y / sd if sd > 0 else np.zeros_like(y)


def _without_spikes(y: FloatArray, half: int = 3) -> FloatArray:
    """Put the median of its neighbours in place of each spike.

    A spike is far off the median of the 7 points around it with at most one other such point among them;
    more than two are a short change, and stay.
    """
    windows = np.lib.stride_tricks.sliding_window_view(mirrored(y, half), 2 * half + 1)
    middle = np.partition(windows, half, axis=-1)[:, half]
    off = np.abs(y - middle)
    # A signal that mostly stands still has no typical distance: its own spread takes the place.
    far = off > SPIKE * (1.4826 * median_of(off) or float(np.std(y)))
    around = np.convolve(far, np.ones(2 * half + 1), mode="same")
    return np.where(far & (around <= 2), middle, y)


class Lines:
    """Squared errors of levels and lines on any stretch, in constant time from running sums."""

    def __init__(self, x: FloatArray, y: FloatArray) -> None:
        span = float(x[-1] - x[0]) or 1.0
        self.x = (x - x.mean()) / span
        self.y = y
        self.n = len(y)
        columns = np.stack([self.x, y, self.x**2, self.x * y, y**2])
        self.sums = running_sums(columns)

    def gains(self, start: IntArray, stop: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Of each stretch: squared error of its mean, what a slope takes off it, and that slope."""
        x, y, xx, xy, yy = self.sums[:, stop] - self.sums[:, start]
        count = np.maximum(stop - start, 1)
        xx, xy, yy = xx - x**2 / count, xy - x * y / count, yy - y**2 / count
        slope = np.divide(xy, xx, out=np.zeros_like(xy), where=xx > 0)
        return np.maximum(yy, 0.0), slope * xy, slope

    def error(self, start: IntArray, stop: IntArray, price: float = 0.0) -> FloatArray:
        """Squared error of the cheaper of a level and a line that costs `price` more."""
        level, gain, _ = self.gains(start, stop)
        return np.asarray(np.maximum(level - np.maximum(gain - price, 0.0), 0.0))

    def errors_up_to(self, stop: int, price: float) -> FloatArray:
        """`error` of all stretches that end before `stop`, by their start; the search lives on its speed."""
        many = stop - SHORTEST + 1
        x, y, xx, xy, yy = self.sums[:, stop : stop + 1] - self.sums[:, :many]
        share = 1.0 / np.arange(stop, SHORTEST - 1, -1)
        xy -= x * y * share
        xx -= x * x * share
        yy -= y * y * share
        xy *= xy
        xy /= xx
        xy -= price
        np.maximum(xy, 0.0, out=xy)
        yy -= xy
        return np.asarray(np.maximum(yy, 0.0, out=yy))

    def residuals(self, edges: IntArray, price: float) -> tuple[FloatArray, int]:
        """What the best fits leave over at each point, and how many parameters they have."""
        start, stop = edges[:-1], edges[1:]
        _, gain, slope = self.gains(start, stop)
        slope = np.where(gain > price, slope, 0.0)
        count = stop - start
        x, y = (self.sums[:2, stop] - self.sums[:2, start]) / count
        line = np.repeat(y - slope * x, count) + np.repeat(slope, count) * self.x
        return self.y - line, len(start) + int((gain > price).sum())


def _candidates(lines: Lines) -> list[int]:
    """Optimal partition at a low price: more boundaries than there are changes."""
    n = lines.n
    price = CANDIDATE_PRICE * float(np.log(n))
    best = np.full(n + 1, np.inf)
    best[0] = -price
    last = np.zeros(n + 1, dtype=np.int64)
    for stop in range(SHORTEST, n + 1):
        total = lines.errors_up_to(stop, LINE_PRICE * price)
        total += best[: len(total)]
        last[stop] = k = int(total.argmin())
        best[stop] = total[k] + price
    found = []
    stop = int(last[n])
    while stop > 0:
        found.append(stop)
        stop = int(last[stop])
    return found[::-1]


def _eliminate(lines: Lines, cuts: Sequence[int]) -> list[int]:
    """Take away the weakest boundary until each one left pays its price in long-run noise.

    The noise is what the lines leave over: too many lines leave little and white noise, so the price is low
    at first and rises as boundaries go. Those that stay move to where they now fit best.
    """
    unit = CANDIDATE_PRICE * float(np.log(lines.n))
    cuts = list(cuts)
    seen: set[tuple[int, ...]] = set()  # settling changes the price: it could go on for ever
    while cuts:
        edges = np.array([0, *cuts, lines.n])
        unit = _long_run_variance(lines, edges, LINE_PRICE * unit) * float(np.log(lines.n))
        apart = lines.error(edges[:-1], edges[1:], LINE_PRICE * unit)
        together = lines.error(edges[:-2], edges[2:], LINE_PRICE * unit)
        worth = (together - apart[:-1] - apart[1:]) / unit
        weakest = int(np.argmin(worth))
        if worth[weakest] >= BOUNDARY_PRICE:
            settled = _settle(lines, cuts, LINE_PRICE * unit)
            if settled == cuts or tuple(settled) in seen:
                break
            seen.add(tuple(settled))
            cuts = settled
        else:
            del cuts[weakest]
    return cuts


def _settle(lines: Lines, cuts: Sequence[int], price: float) -> list[int]:
    """Move each boundary to the point that splits what lies between its neighbours best."""
    edges = [0, *cuts, lines.n]
    for i in range(1, len(edges) - 1):
        before, after = edges[i - 1], edges[i + 1]
        at = np.arange(before + SHORTEST, after - SHORTEST + 1)
        total = lines.error(np.full_like(at, before), at, price) + lines.error(
            at, np.full_like(at, after), price
        )
        # Strictly better only, so that settling comes to an end.
        if total.min() < total[edges[i] - at[0]] * (1 - 1e-12):
            edges[i] = int(at[np.argmin(total)])
    return edges[1:-1]


def _long_run_variance(lines: Lines, edges: IntArray, price: float) -> float:
    """Variance of what the fits leave over, times what its lag-1 autocorrelation adds to sums of points."""
    rest, parameters = lines.residuals(edges, price)
    inside = np.ones(lines.n - 1, dtype=bool)
    inside[edges[1:-1] - 1] = False
    total = max(float(rest @ rest), _FLOOR * lines.n)
    phi = min(max(float(rest[1:][inside] @ rest[:-1][inside]) / total, 0.0), _PHI_LIMIT)
    spent = parameters + len(edges) - 2  # a boundary's place is fitted, too
    return total / max(lines.n - spent, 1) * (1 + phi) / (1 - phi)


def _refine(lines: Lines, edges: IntArray, coarse: Sequence[int]) -> list[int]:
    """Move each boundary between blocks to the point within one block that splits its neighbourhood best."""
    cuts = [0, *(int(edges[k]) for k in coarse), lines.n]
    for i, k in enumerate(coarse, start=1):
        at = np.arange(int(edges[k - 1]) + 1, int(edges[k + 1]))
        total = lines.error(np.full_like(at, cuts[i - 1]), at) + lines.error(
            at, np.full_like(at, cuts[i + 1])
        )
        cuts[i] = int(at[np.argmin(total)])
    return cuts[1:-1]
