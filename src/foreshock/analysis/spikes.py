"""Spikes: one or two points far from their neighbours on both sides, which agree with one another."""

from __future__ import annotations

import numpy as np

from foreshock.analysis._records import Change
from foreshock.analysis._trace import Trace, sized
from foreshock.analysis.noise import moving_median
from foreshock.run import FloatArray

_MOST = 3  # spikes listed per signal; the rest are counted
_HALF = 4  # neighbours on each side
_AROUND = 15  # neighbours on each side that say how large residuals are there
_LEAST = 6.0  # in noise: smaller excursions are not worth a sentence


def find_spikes(trace: Trace, alpha: float) -> list[Change]:
    """Find excursions of one or two points that return at once.

    The p-value is that of the largest of n residuals with Student-t tails (5 degrees of freedom), so it
    needs about six standard deviations in a run of 71 points. Cannot see spikes at the first or the last
    point, nor ones longer than two points (those are drops, rises or level shifts).
    """
    y, n = trace.y, len(trace.y)
    if n < 2 * _HALF + 1:
        return []
    middle = moving_median(y[None, :], _HALF)[0]
    residual = y - middle
    around = 1.4826 * moving_median(np.abs(residual)[None, :], _AROUND)[0]
    sd = np.maximum(np.maximum(around, trace.noise.sd), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(sd > 0, np.abs(residual) / sd, 0.0)
    p = np.minimum(1.0, n * _two_sided_t5(score))
    far = (p <= alpha) & (score >= _LEAST)
    found = [row for row in np.flatnonzero(far).tolist() if _returns(residual, row)]
    found = _peaks(found, score)
    found.sort(key=lambda row: -score[row])
    rest = len(found) - _MOST
    changes = []
    for i, row in enumerate(found[:_MOST]):
        detail = f"the largest of {len(found)} spikes" if rest > 0 and i == 0 else ""
        end = row + 1 if far[row + 1] else row
        changes.append(
            sized(
                trace,
                "spike",
                (row, row, row, end),
                (float(middle[row]), float(y[row])),
                float(p[row]),
                detail,
            )
        )
    return sorted(changes, key=lambda change: change.step)


def _returns(residual: FloatArray, row: int) -> bool:
    """Whether the signal is back, on both sides, within two points."""
    n, half = len(residual), 0.4 * abs(residual[row])
    before, after = residual[max(row - 2, 0) : row], residual[row + 1 : row + 3]
    return 0 < row < n - 1 and bool(np.abs(before).min() < half and np.abs(after).min() < half)


def _peaks(rows: list[int], score: FloatArray) -> list[int]:
    """Of neighbouring rows the highest one."""
    kept: list[int] = []
    for row in rows:
        if kept and row - kept[-1] <= 2:
            kept[-1] = max(kept[-1], row, key=lambda r: float(score[r]))
        else:
            kept.append(row)
    return kept


def _two_sided_t5(z: FloatArray) -> FloatArray:
    """P(|T| >= z) for a Student-t with 5 degrees of freedom scaled to unit variance."""
    x = np.asarray(z) * np.sqrt(5 / 3)
    # For large x the closed form loses its digits: the series of the tail takes over.
    theta = np.arctan(x / np.sqrt(5))
    sine, cosine = np.sin(theta), np.cos(theta)
    near = 1 - 2 / np.pi * (theta + sine * (cosine + 2 / 3 * cosine**3))
    far = 2 * 9.4901 / np.maximum(x, 1.0) ** 5
    return np.asarray(np.where(x < 30, near, far))
