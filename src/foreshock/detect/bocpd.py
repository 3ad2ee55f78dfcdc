"""Bayesian online change-point detection: how probable it is that a lower level began within the last rows.

The posterior over the length of the current stretch is updated with each value: Student-t predictions around
the mean of each possible stretch, of the scatter that the run has shown, widened for autocorrelation. The
score is the log odds that a stretch began at one of the last 12 rows and lies lower than the 20 rows before
it. It is the quickest of the evidences on a clear step of 3 standard deviations and more.

What it cannot see: slow declines; and where values follow each other closely it would cry wolf by itself, so
it only ever speaks together with the scan (`joint`).

Reference: Adams & MacKay, Bayesian Online Changepoint Detection (2007), arXiv 0710.3742; stretches longer
than 60 rows count as one, so the cost of a row does not grow.

>>> import numpy as np
>>> rng = np.random.default_rng(7)
>>> y = np.append(1.8 + 0.02 * rng.standard_normal(60), 1.70 + 0.02 * rng.standard_normal(20))
>>> state = start(1)
>>> scores = []
>>> for value in y:
...     state, verdict = step(state, np.array([value]))
...     scores.append(verdict.score[0])
>>> 1 + next(row for row, score in enumerate(scores) if score > 2)  # the drop is at row 61
62
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from foreshock._arrays import running_sums
from foreshock.detect import noise
from foreshock.detect._verdict import NONE, Verdict, silent
from foreshock.detect.noise import Seen
from foreshock.run import FloatArray

HOLD = 8
_LONGEST = 60  # rows of a stretch that are told apart
_HAZARD = 1 / 200  # of a change, per row
_RECENT = 12  # rows within which the stretch must have begun
_BEFORE = 20
_PRIOR = 0.05  # rows that the prior of a new stretch counts for
_MOST = 40.0  # log odds
_LENGTHS = np.arange(1, _LONGEST + 1)


class Own(NamedTuple):
    """Posterior of the length of the current stretch.

    Attributes:
        log_p: (k, 60) of 1 to 60 rows and more.
        begun: (k,) whether there is one.
    """

    log_p: FloatArray
    begun: noise.BoolArray


class State(NamedTuple):
    """Noise and own state, for use by itself."""

    noise: noise.State
    own: Own


def start_own(k: int) -> Own:
    """Nothing seen of k signals."""
    return Own(np.full((k, _LONGEST), -np.inf), np.zeros(k, dtype=bool))


def start(k: int) -> State:
    """State for k signals."""
    return State(noise.start(k), start_own(k))


def step(state: State, x: FloatArray) -> tuple[State, Verdict]:
    """Take in one row of k values and judge."""
    scatter, seen = noise.step(state.noise, x)
    own, verdict = judge(state.own, seen)
    return State(scatter, own), verdict


def judge(own: Own, seen: Seen) -> tuple[Own, Verdict]:
    """Log odds of a lower stretch that began within the last 12 rows."""
    state, k = seen.noise, len(seen.fresh)
    ready = seen.fresh & (state.rows >= HOLD) & (state.sd > 0)
    if not ready.any():
        return own, silent(k)
    sd = np.where(state.sd > 0, state.sd, 1.0)
    centred = (state.window[:, ::-1] - state.window[:, -1:]) / sd[:, None]  # newest first
    sums = running_sums(centred[:, : _LONGEST + _BEFORE + 1])
    held = np.minimum(state.rows - 1, _LONGEST)
    each = np.arange(k)
    before_now = (sums[:, 2 : _LONGEST + 2] - sums[:, 1:2]) / _LENGTHS  # means without the newest
    usual = before_now[each, held - 1][:, None]
    widened = np.sqrt(np.maximum((1 + state.phi) / (1 - state.phi), 1.0))[:, None]
    weight = _LENGTHS + _PRIOR
    mean = (_LENGTHS * before_now + _PRIOR * usual) / weight
    dof = (1 / (1 / (4 + 6 / state.tails) + 1 / np.maximum(state.dof, 1.0)))[:, None]
    predicted = _log_t(mean, widened * (1 + 1 / weight), dof)
    surprise = _log_t(usual, widened * (1 + 1 / _PRIOR), dof)[:, 0]
    log_p = np.where(own.begun[:, None], own.log_p, np.where(_LENGTHS == held[:, None], 0.0, -np.inf))
    grown = log_p + predicted + np.log1p(-_HAZARD)
    new = np.empty_like(log_p)
    new[:, 0] = surprise + np.log(_HAZARD)
    new[:, 1:] = grown[:, :-1]
    new[:, -1] = np.logaddexp(new[:, -1], grown[:, -1])
    new -= np.logaddexp.reduce(new, axis=1)[:, None]
    lengths = np.arange(1, _RECENT + 1)
    level = sums[:, 1 : _RECENT + 1] / lengths
    before = np.clip(state.rows[:, None] - lengths, 1, _BEFORE)
    earlier = (np.take_along_axis(sums, lengths + before, axis=1) - sums[:, 1 : _RECENT + 1]) / before
    lower = (level < earlier) & (lengths + HOLD <= state.rows[:, None])
    yes = np.exp(np.where(lower, new[:, :_RECENT], -np.inf))
    odds = np.log(np.maximum(yes.sum(1), 1e-18)) - np.log(np.maximum(1 - yes.sum(1), 1e-18))
    score = np.where(ready, np.clip(odds, -_MOST, _MOST), NONE)
    log_p = np.where(ready[:, None], new, own.log_p)
    rows = np.where(ready & (yes.sum(1) > 0), yes.argmax(1) + 1, 0)
    return Own(log_p, own.begun | ready), Verdict(score, rows)


def _log_t(mean: FloatArray, variance: FloatArray, dof: FloatArray) -> FloatArray:
    """Log density of 0, up to a constant, under Student's t around a mean."""
    return -(dof + 1) / 2 * np.log1p(mean**2 / variance / dof) - 0.5 * np.log(variance)
