"""Spikes: one or two points far from their neighbours on both sides, which agree with one another."""

from __future__ import annotations

import numpy as np

from foreshock._arrays import median
from foreshock.analysis._records import Change
from foreshock.analysis._trace import Trace, sized
from foreshock.analysis.noise import moving_median
from foreshock.run import FloatArray

_MOST = 3  # spikes listed per signal; the rest are counted
_HALF = 4  # neighbours on each side
_AROUND = 15  # neighbours on each side that say how large residuals are there


def find_spikes(trace: Trace, alpha: float, good: str | None = None) -> list[Change]:
    """Find excursions of one or two points that return at once.

    The p-value is that of the largest of n residuals with heavy tails: Student-t with 5 degrees of
    freedom for one point, with 8 for the mean of two. It takes nearly six standard deviations for one
    point in a run of 71. Cannot see spikes at the first or the last point, nor ones longer than two
    points (those are falls or shifts).

    Args:
        trace: the signal.
        alpha: share of runs that get any spike by chance.
        good: "up" looks for dips only, "down" for peaks only, None for both.
    """
    y, n = trace.y, len(trace.y)
    if n < 2 * _HALF + 1:
        return []
    middle = moving_median(y[None, :], _HALF)[0]
    residual = y - middle
    around = 1.4826 * _typical_around(np.abs(residual))
    sd = np.maximum(around, trace.noise.sd)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.clip(np.where(sd > 0, residual / sd, 0.0), -1e6, 1e6)
    score = np.where({"up": score > 0, "down": score < 0}.get(good or "", np.zeros(n, bool)), 0.0, score)
    paired = np.append((score[:-1] + score[1:]) / np.sqrt(2), 0.0)
    # Two points are one excursion only where each has a fair part in it.
    fair = np.append(score[:-1] * score[1:] > 0.1 * np.maximum(score[:-1] ** 2, score[1:] ** 2), False)
    p_one, p_two = n * _two_sided(score, 5), np.where(fair, n * _two_sided(paired, 8), 1.0)
    p = np.minimum(np.minimum(p_one, p_two), 1.0)
    found = _peaks([row for row in np.flatnonzero(p <= alpha).tolist() if _returns(residual, row)], p)
    found.sort(key=lambda row: float(p[row]))
    return sorted(
        (
            _describe(
                trace, row, bool(p_two[row] < p_one[row]), middle, float(p[row]), len(found) if not i else 0
            )
            for i, row in enumerate(found[:_MOST])
        ),
        key=lambda change: change.step,
    )


def _describe(trace: Trace, row: int, two: bool, middle: FloatArray, p: float, of: int) -> Change:
    """One spike; the largest of more than are listed says how many there are."""
    y = trace.y
    last = row + 1 if two else row
    tip = row if abs(y[row] - middle[row]) >= abs(y[last] - middle[last]) else last
    levels = float(middle[row]), float(y[tip])
    detail = f"the largest of {of} spikes" if of > _MOST else ""
    return sized(trace, "spike", (row, row, row, last), levels, max(p, 1e-12), detail)


def _typical_around(size: FloatArray) -> FloatArray:
    """Median size within `_AROUND` points of each; in a long run of every eighth, held until the next."""
    hop = 1 if len(size) <= 2000 else 8
    half = min(_AROUND, (len(size) - 1) // 2)
    padded = np.pad(size, half, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)[::hop]
    return np.repeat(median(windows)[..., 0], hop)[: len(size)]


def _returns(residual: FloatArray, row: int) -> bool:
    """Whether the signal is back, on both sides, within two points."""
    n, half = len(residual), 0.4 * abs(residual[row])
    before, after = residual[max(row - 2, 0) : row], residual[row + 1 : row + 4]
    return 0 < row < n - 1 and bool(np.abs(before).min() < half and np.abs(after).min() < half)


def _peaks(rows: list[int], p: FloatArray) -> list[int]:
    """Of neighbouring rows the most certain one."""
    kept: list[int] = []
    for row in rows:
        if kept and row - kept[-1] <= 2:
            kept[-1] = min(kept[-1], row, key=lambda r: float(p[r]))
        else:
            kept.append(row)
    return kept


def _two_sided(z: FloatArray, freedom: int) -> FloatArray:
    """P(|T| >= |z|) for a Student-t with 5 or 8 degrees of freedom scaled to unit variance."""
    x = np.abs(z) * np.sqrt(freedom / (freedom - 2))
    if freedom == 5:
        # For large x the closed form loses its digits: the leading term of the tail takes over.
        theta = np.arctan(x / np.sqrt(5))
        sine, cosine = np.sin(theta), np.cos(theta)
        near = 1 - 2 / np.pi * (theta + sine * (cosine + 2 / 3 * cosine**3))
        far = 2 * 9.4901 / np.maximum(x, 1.0) ** 5
        return np.asarray(np.where(x < 30, near, far))
    u = x / np.sqrt(8 + x**2)
    c = 1 - u**2  # the tail of the closed form, expanded in 1 - u^2 so that it keeps its digits
    near = 1 - u * (1 + c / 2 + 3 * c**2 / 8 + 5 * c**3 / 16)
    far = 35 / 128 * c**4
    return np.asarray(np.where(c > 1e-3, near, far))
