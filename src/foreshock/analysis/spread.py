"""A change of variance: the signal becomes much noisier, or much calmer, for good."""

from __future__ import annotations

import math

import numpy as np

from foreshock._arrays import median_of
from foreshock.analysis._records import Change
from foreshock.analysis._trace import Trace

_SIDE = 15  # differences needed on each side
_RATIO = 2.0  # of the standard deviations: less is not worth a sentence
_LOG_VARIANCE = 1.2337 * 1.3  # of log|x| for normal x, pi^2/8, raised for the dependence of differences


def find_variance_change(trace: Trace, alpha: float) -> list[Change]:
    """Find the one place where the scatter from point to point changes most.

    Compares the mean log size of the differences before and after every row: insensitive to the level,
    the trend and single outliers. p is Bonferroni over the rows searched, hence on the safe side. Cannot
    see a change of less than a factor of two, nor one that comes back.
    """
    difference = np.diff(trace.y)
    rows = np.flatnonzero(difference)
    size = np.abs(difference[rows] - median_of(difference))
    n = len(size)
    if n < 2 * _SIDE or not median_of(size) > 0:
        return []
    logs = np.log(np.maximum(size, 0.05 * median_of(size)))
    path = np.cumsum(logs)
    split = np.arange(_SIDE, n - _SIDE + 1)
    before = path[split - 1] / split
    after = (path[-1] - path[split - 1]) / (n - split)
    z = (after - before) / np.sqrt(_LOG_VARIANCE * (1 / split + 1 / (n - split)))
    best = int(np.argmax(np.abs(z)))
    ratio = math.exp(after[best] - before[best])
    p = min(1.0, len(split) * math.erfc(abs(float(z[best])) / math.sqrt(2)))
    if p > alpha or max(ratio, 1 / ratio) < _RATIO:
        return []
    likely = np.flatnonzero(np.abs(z) >= abs(z[best]) - 0.6)
    # exp(mean log|d|) of a normal difference is 0.53 of its sd, and its sd is sqrt(2) of the point's.
    scale = math.exp(0.635) / math.sqrt(2)
    onset, low, high = (
        int(rows[min(k, n - 1)]) + 1 for k in (split[best], split[likely[0]], split[likely[-1]])
    )
    calmer = "calmer" if ratio < 1 else "noisier"
    return [
        Change(
            signal=trace.name,
            kind="variance_change",
            step=trace.step(onset),
            step_interval=(trace.step(low), trace.step(high)),
            end_step=trace.step(onset),
            from_value=scale * math.exp(before[best]),
            to_value=scale * math.exp(after[best]),
            percent_of_peak=None,
            percent_of_gain=None,
            sigma=None,
            p_value=max(p, 1e-12),
            significant=True,
            detail=f"{max(ratio, 1 / ratio):.1f} times {calmer} from point to point",
        )
    ]
