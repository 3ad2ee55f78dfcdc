"""Isotonic-null scan: the mean of the last rows lies below that of rows before them, however both are cut.

Over pairs of windows, the later one up to now, with a gap between them for changes that come slowly, it takes
the greatest difference in units of its own standard error. Any mean that never falls makes every one of these
differences smaller, so a learning curve needs no model: growth, plateau, saturation are all safe. Values are
clipped at four standard deviations, but for the newest; the weight of tails and the few rows that the
scatter is known from are paid for by Student's t, and slow wander by wider errors.

With `steady` it must also lie below the line through the earlier rows, extended, and only up to 8 rows are
compared: that is safe under a drift that does not speed up (entropy that sinks, KL that grows) and bears one
that speeds up a little, at the price of slower answers and of slow changes.

What it cannot see: a decline over more than about 140 rows (`peak` does), and, with `steady`, a slow one.

References: the statistic is that of a two-sample GLR scan with winsorised means; deviates of t to normal
ones by Wallace, Annals of Mathematical Statistics 30 (1959).

>>> import numpy as np
>>> rng = np.random.default_rng(7)
>>> y = np.append(1.8 + 0.02 * rng.standard_normal(60), 1.74 + 0.02 * rng.standard_normal(20))
>>> state = start(1)
>>> scores = []
>>> for value in y:
...     state, verdict = step(state, np.array([value]))
...     scores.append(verdict.score[0])
>>> 1 + next(row for row, score in enumerate(scores) if score > 4)  # the drop is at row 61
62
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from foreshock.detect import noise
from foreshock.detect._verdict import NONE, Verdict, silent
from foreshock.detect.noise import WINDOW, Seen
from foreshock.run import FloatArray, IntArray

HOLD = 8  # rows before which nothing is said
_AFTER, _AFTER_STEADY = (1, 2, 3, 5, 8, 12, 20, 32), (1, 2, 3, 5, 8)
_BEFORE, _BEFORE_STEADY = (8, 20, 50), (16, 32)
_CLIP = 4.0  # standard deviations from the recent median
_MIDDLE = 20  # rows of that median
_MOST = 1e6  # standard errors
FEW = 8  # moves below which a signal stands still, and only ranks speak
_BACK = np.arange(1 - WINDOW, 1)  # rows from now
_WORTH, _NEARLY = 1.5, 0.9
_PHI = np.linspace(-0.3, 0.95, 126)


class Pairs(NamedTuple):
    """Pairs of windows, ordered by the length of the later one.

    Attributes:
        weights: (WINDOW, pairs); applied to a window they give the earlier less the later mean. For drifting
            signals (WINDOW, 2 * pairs): then the line through the earlier rows less the later mean.
        accuracy: (len(_PHI), the same): one over its standard error in units of the signal's.
        rows: (pairs,) rows from the end of the earlier window on.
        reach: (pairs,) rows from the middle of the earlier window to that of the later.
        need: (pairs,) rows that both take, with the gap.
        groups: (lengths,) where the pairs of each length of the later window begin.
        after: (lengths,) those lengths.
        wander: (lengths,) which of the scales of `noise.State.wander` they have.
    """

    weights: FloatArray
    accuracy: FloatArray
    rows: IntArray
    reach: FloatArray
    need: IntArray
    groups: IntArray
    after: IntArray
    wander: IntArray


def start(k: int) -> noise.State:
    """State for k signals."""
    return noise.start(k)


def step(state: noise.State, x: FloatArray, steady: bool = False) -> tuple[noise.State, Verdict]:
    """Take in one row of k values and judge."""
    state, seen = noise.step(state, x)
    return state, judge(seen, steady)


def judge(seen: Seen, steady: bool = False, patient: noise.BoolArray | None = None) -> Verdict:
    """The greatest difference over all pairs of windows, as a standard normal deviate.

    Args:
        seen: what there is to see.
        steady: whether the signals may drift.
        patient: (k,) signals of which a single row says nothing.
    """
    state, k = seen.noise, len(seen.fresh)
    pairs = pairs_of(steady)
    spoken = seen.fresh & (state.rows >= max(HOLD, int(pairs.need.min())))
    if not spoken.any():
        return silent(k)
    z = _differences(state, pairs)
    if state.rows.min() < WINDOW:
        z[pairs.need > state.rows[:, None]] = NONE
    if patient is not None:
        z[patient, : pairs.groups[1]] = NONE
    best = np.maximum.reduceat(z, pairs.groups, axis=1)
    tails = 4 + 6 * pairs.after / state.tails[:, None]  # of a mean of that many
    dof = 1 / (1 / tails + 1 / state.dof[:, None])
    score = normal(np.maximum(best, -_MOST) / state.wander[:, pairs.wander], dof).max(1)
    rows = np.zeros(k, dtype=np.int64)
    told = np.flatnonzero(score > _WORTH)
    if len(told):  # of pairs that are nearly as good the most recent onset
        good = z[told] >= _NEARLY * z[told].max(1, keepdims=True)
        rows[told] = np.where(good, pairs.rows, WINDOW).min(1)
    still = state.moved < FEW
    if still.any():
        score[still], rows[still] = _by_rank(state.window[still], state.rows[still])
    return Verdict(np.where(spoken, score, NONE), np.where(spoken, rows, 0))


def _differences(state: noise.State, pairs: Pairs) -> FloatArray:
    """Each difference in units of its standard error, (k, pairs); of two kinds the smaller one.

    Under `steady` the slope is taken out before values are clipped, and given back to differences of means.
    """
    count = len(pairs.rows)
    steady = pairs.weights.shape[1] > count
    sd = np.where(state.sd > 0, state.sd, 1.0)[:, None]
    window = state.window - state.slope[:, None] * _BACK if steady else state.window
    recent = window[:, -_MIDDLE:] if state.rows.min() >= _MIDDLE else window[:, -HOLD:]
    half = recent.shape[1] // 2
    centred = (window - np.partition(recent, half, axis=1)[:, half : half + 1]) / sd
    clipped = np.minimum(np.maximum(centred, -_CLIP), _CLIP)
    z = clipped @ pairs.weights
    beyond = clipped[:, -1:] - centred[:, -1:]  # the newest row speaks unclipped
    if beyond.any():
        for first in range(0, z.shape[1], count):
            z[:, first : first + pairs.groups[1]] += beyond
    if steady:
        z[:, :count] -= state.slope[:, None] / sd * pairs.reach
    z *= pairs.accuracy[np.rint((state.phi - _PHI[0]) / (_PHI[1] - _PHI[0])).astype(np.int64)]
    return np.minimum(z[:, :count], z[:, count:]) if steady else z


def normal(t: FloatArray, dof: FloatArray) -> FloatArray:
    """Student's t as the normal deviate of the same probability (Wallace 1959, to about 1 %)."""
    size = np.sqrt(dof * np.log1p(t * t / dof)) * (8 * dof + 1) / (8 * dof + 3)
    return np.asarray(np.copysign(size, t))


def _by_rank(window: FloatArray, count: IntArray) -> tuple[FloatArray, IntArray]:
    """Of signals that stand still: all of the last 2, 3 or 4 rows lie below all rows before them.

    The chance of that is one in the number of ways to choose so many rows, whatever the distribution.
    """
    score, rows = np.full(len(window), NONE), np.zeros(len(window), dtype=np.int64)
    for after in (2, 3, 4):
        before = np.maximum(np.minimum(count, WINDOW) - after, 0)
        held = np.arange(WINDOW - after) >= WINDOW - after - before[:, None]
        lowest = np.where(held, window[:, : WINDOW - after], np.inf).min(1)
        below = (window[:, -after:].max(1) < lowest) & (before > 0)
        chance = np.ones(len(window))
        for chosen in range(1, after + 1):
            chance *= chosen / (before + chosen)
        # Normal deviate of a small tail probability (Abramowitz & Stegun 26.2.23).
        t = np.sqrt(-2 * np.log(chance))
        deviate = t - (2.515517 + 0.802853 * t + 0.010328 * t * t) / (
            1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t**3
        )
        rows = np.where(below & (deviate > score), after, rows)
        score = np.where(below, np.maximum(score, deviate), score)
    return score, rows


@functools.cache
def pairs_of(steady: bool) -> Pairs:
    """All pairs of windows."""
    lengths = _AFTER_STEADY if steady else _AFTER
    found = []
    for after in lengths:
        for before in _BEFORE_STEADY if steady else _BEFORE:
            for gap in (0, after) if steady or after < 5 else (0, after, 2 * after):
                if after + gap + before <= WINDOW:
                    found.append((after, gap, before))
    kinds = [np.zeros((WINDOW, len(found))) for _ in range(2 if steady else 1)]
    for pair, (after, gap, before) in enumerate(found):
        first = WINDOW - after - gap - before
        place = np.arange(before) - (before - 1) / 2
        reach = (before + after) / 2 + gap  # from the middle of the earlier rows to that of the later
        for weights, tilt in zip(kinds, (0.0, reach / (place**2).sum()), strict=False):
            weights[WINDOW - after :, pair] = -1 / after
            weights[first : first + before, pair] = 1 / before + tilt * place
    afters, gaps, befores = np.array(found).T
    return Pairs(
        weights=np.concatenate(kinds, axis=1),
        accuracy=_accuracy(np.concatenate(kinds, axis=1)),
        rows=afters + gaps,
        reach=(befores + afters) / 2 + gaps,
        need=afters + gaps + befores,
        groups=np.flatnonzero(np.diff(afters, prepend=0)),
        after=np.array(lengths),
        wander=np.searchsorted((5, 12), lengths, side="right"),
    )


def _accuracy(weights: FloatArray) -> FloatArray:
    """One over the standard error of each weighted sum of an AR(1) of unit variance, by autocorrelation."""
    lags = np.array([np.correlate(w, w, "full")[WINDOW - 1 :] for w in weights.T])
    lags[:, 1:] *= 2
    variance = (_PHI[:, None] ** np.arange(WINDOW)) @ lags.T
    return np.asarray(1 / np.sqrt(np.maximum(variance, 1e-9)))
