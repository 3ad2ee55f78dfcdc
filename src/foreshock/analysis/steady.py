"""Stretches without life: a value that stands still, a length at its cap, values that are not finite."""

from __future__ import annotations

import numpy as np

from foreshock._arrays import median, median_of
from foreshock.analysis._records import Change
from foreshock.analysis._trace import Trace, sized
from foreshock.run import FloatArray, IntArray

_SHORTEST, _SHARE = 6, 0.05  # of a stretch: rows, and share of the run
_MOST = 2  # flat lines listed per signal
_FULL = 0.9  # share of truncated responses from which nearly all are
_FEW = 1e-3


def find_flat_lines(trace: Trace, alpha: float) -> list[Change]:
    """Find stretches in which a signal that varies elsewhere repeats one value exactly.

    A value that often repeats by chance (a reward in eighths) needs a longer stretch: p is n times the
    chance of so many repeats, given how often neighbours are equal outside the stretch. At the highest
    value of a length it is called saturation. Cannot see a stretch shorter than six rows.
    """
    y, n = trace.y, len(trace.y)
    if n < 2 * _SHORTEST:
        return []
    edges = np.flatnonzero(np.concatenate([[True], np.diff(y) != 0, [True]]))
    lengths = np.diff(edges)
    found = []
    for i in np.argsort(-lengths, kind="stable")[:_MOST]:
        start, length = int(edges[i]), int(lengths[i])
        if length < max(_SHORTEST, _SHARE * n) or length > n - 4:
            continue
        others = n - length - 1
        repeats = int(np.sum(np.diff(y) == 0)) - (length - 1)
        share = (repeats + 1) / (others + 2)
        p = min(1.0, n * share ** (length - 1))
        if p > alpha or share > 0.6:
            continue
        top = y[start] >= y.max()
        is_length = "length" in trace.name
        kind = "saturation" if top and is_length else "flat_line"
        before = median_of(y[max(0, start - 5) : start]) if start else float(y[start])
        detail = f"exactly {y[start]:.6g} for {length} rows" + (", its highest value" if top else "")
        rows = (start, start, start, start + length - 1)
        found.append(sized(trace, kind, rows, (before, float(y[start])), max(p, 1e-12), detail))
    return sorted(found, key=lambda change: change.step)


def find_saturation(trace: Trace) -> list[Change]:
    """Find the stretch from which nearly all responses are cut at the length limit.

    For a ratio between 0 and 1 of truncated responses: the longest stretch whose running median of five
    stays at 0.9 or above. It is a fact, not a test: there is no p-value.
    """
    y, n = trace.y, len(trace.y)
    if n < _SHORTEST or y.max() > 1 + _FEW:
        return []
    level = np.array([median_of(y[max(0, i - 2) : i + 3]) for i in range(n)]) if n <= 5000 else _rolling(y)
    full = np.concatenate([[False], level >= _FULL, [False]])
    edges = np.flatnonzero(np.diff(full.astype(np.int8)))
    if not len(edges):
        return []
    starts, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - starts))
    start, end = int(starts[longest]), int(ends[longest])
    if end - start < max(_SHORTEST, _SHARE * n):
        return []
    after = median_of(y[start:end])
    before = median_of(y[max(0, start - 5) : start]) if start else after
    low, high = max(start - 2, 0), min(start + 2, end - 1)
    detail = f"{100 * after:.0f} % of the responses reach the length limit"
    return [sized(trace, "saturation", (start, low, high, end - 1), (before, after), None, detail)]


def _rolling(y: FloatArray) -> FloatArray:
    """Running median of five."""
    padded = np.pad(y, 2, mode="edge")
    return median(np.lib.stride_tricks.sliding_window_view(padded, 5))[..., 0]


def find_non_finite(name: str, steps: IntArray, y: FloatArray, nan_steps: IntArray | None) -> list[Change]:
    """The first NaN (logged as NaN, not merely absent) or infinity after finite values.

    Args:
        name: of the signal.
        steps: shape (n,).
        y: shape (n,), as logged.
        nan_steps: steps at which NaN was explicitly logged.
    """
    bad = np.isinf(y)
    if nan_steps is not None and len(nan_steps):
        bad |= np.isin(steps, nan_steps) & np.isnan(y)
    rows = np.flatnonzero(bad)
    finite = np.flatnonzero(np.isfinite(y))
    if not len(rows) or not len(finite):
        return []
    later = rows[rows > finite[0]]
    first = int(later[0]) if len(later) else int(rows[0])
    before = finite[finite < first]
    value = float(y[before[-1]]) if len(before) else float(y[finite[0]])
    what = "infinity" if np.isinf(y[first]) else "NaN"
    step, last = int(steps[first]), int(steps[rows[-1]])
    return [
        Change(
            signal=name,
            kind="non_finite",
            step=step,
            step_interval=(step, step),
            end_step=last,
            from_value=value,
            to_value=float(y[first]),
            percent_of_peak=None,
            percent_of_gain=None,
            sigma=None,
            p_value=None,
            significant=True,
            detail=f"{what} at step {step}; {len(rows)} of {len(y)} values are not finite",
        )
    ]
