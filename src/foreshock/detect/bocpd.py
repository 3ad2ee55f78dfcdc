"""Bayesian online change-point detection: how probable it is that a lower level began within the last rows.

The posterior over the length of the current stretch is updated with each value: Student-t predictions around
the mean of each possible stretch, of the scatter that the run has shown, widened for autocorrelation. The
score is the log odds that a stretch began at one of the last 12 rows and lies lower than the 20 rows before
it. It is the quickest of the evidences on a clear step of 3 standard deviations and more.

What it cannot see: slow declines; and where values follow each other closely it would cry wolf by itself, so
it only ever speaks together with the scan (`joint`).

Reference: Adams & MacKay, Bayesian Online Changepoint Detection (2007), arXiv 0710.3742; stretches longer
than 40 rows count as one, so the cost of a row does not grow.

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
_LONGEST = 40  # rows of a stretch that are told apart
_HAZARD = 1 / 200  # of a change, per row
_RECENT = 12  # rows within which the stretch must have begun
_BEFORE = 20
_PRIOR = 0.05  # rows that the prior of a new stretch counts for
_LEAST = 1e-15  # probability, and its distance from 1
_FLOOR = 1e-30  # probabilities near the end of the range of a double are slow to multiply
_LENGTHS = np.arange(1, _LONGEST + 1)
_SPREAD = 1 + 1 / (_LENGTHS + _PRIOR)  # variance of a prediction over that of a value
_LOG_SPREAD = 0.5 * np.log(_SPREAD)


class Own(NamedTuple):
    """Posterior of the length of the current stretch.

    Attributes:
        p: (k, 40) of 1 to 40 rows and more.
        begun: (k,) whether there is one.
    """

    p: FloatArray
    begun: noise.BoolArray


class State(NamedTuple):
    """Noise and own state, for use by itself."""

    noise: noise.State
    own: Own


def start_own(k: int) -> Own:
    """Nothing seen of k signals."""
    return Own(np.zeros((k, _LONGEST)), np.zeros(k, dtype=bool))


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
    centred = (state.window[:, -_LONGEST - _BEFORE - 1 :][:, ::-1] - state.window[:, -1:]) / sd[:, None]
    sums = running_sums(centred)  # newest first
    held = np.minimum(state.rows - 1, _LONGEST)
    before_now = (sums[:, 2 : _LONGEST + 2] - sums[:, 1:2]) / _LENGTHS  # means without the newest
    usual = before_now[np.arange(k), held - 1]
    widened = np.sqrt(np.maximum((1 + state.phi) / (1 - state.phi), 1.0))
    dof = 1 / (1 / (4 + 6 / state.tails) + 1 / state.dof)
    mean = (_LENGTHS * before_now + _PRIOR * usual[:, None]) / (_LENGTHS + _PRIOR)
    tilt = -(dof + 1) / 2
    unit = widened * dof
    predicted = tilt[:, None] * np.log1p(mean**2 / (unit[:, None] * _SPREAD)) - _LOG_SPREAD
    surprise = tilt * np.log1p(usual**2 / (unit * (1 + 1 / _PRIOR))) - 0.5 * np.log1p(1 / _PRIOR)
    p = own.p if own.begun.all() else np.where(own.begun[:, None], own.p, _LENGTHS == held[:, None])
    best = np.maximum(predicted.max(1), surprise)
    grown = p * np.exp(predicted - best[:, None]) * (1 - _HAZARD)
    new = np.empty_like(grown)
    new[:, 0] = np.exp(surprise - best) * _HAZARD
    new[:, 1:] = grown[:, :-1]
    new[:, -1] += grown[:, -1]
    new /= new.sum(1, keepdims=True)
    np.maximum(new, _FLOOR, out=new)
    recent = _LENGTHS[:_RECENT]
    level = sums[:, 1 : _RECENT + 1] / recent
    if state.rows.min() >= _RECENT + _BEFORE:
        earlier = (sums[:, 1 + _BEFORE : _RECENT + 1 + _BEFORE] - sums[:, 1 : _RECENT + 1]) / _BEFORE
        lower = level < earlier
    else:
        before = np.clip(state.rows[:, None] - recent, 1, _BEFORE)
        earlier = (np.take_along_axis(sums, recent + before, axis=1) - sums[:, 1 : _RECENT + 1]) / before
        lower = (level < earlier) & (recent + HOLD <= state.rows[:, None])
    yes = np.where(lower, new[:, :_RECENT], 0.0)
    chance = np.clip(yes.sum(1), _LEAST, 1 - _LEAST)
    score = np.where(ready, np.log(chance / (1 - chance)), NONE)
    p = new if ready.all() else np.where(ready[:, None], new, own.p)
    rows = np.where(ready & (yes.sum(1) > 0), yes.argmax(1) + 1, 0)
    return Own(p, own.begun | ready), Verdict(score, rows)
