"""One value far outside: how improbable the newest value is, given the 30 before it.

The distance from their median in standard deviations, as a normal deviate that has paid for heavy tails and
for the few rows that the scatter is known from.

What it cannot see: anything that is not sudden; and it cannot know whether the value stays: the monitor
calls the event a drop or rise when the next rows are there too.

Reference: Student's t prediction interval; Wallace (1959) for its deviate.

>>> import numpy as np
>>> y = np.append(np.random.default_rng(7).standard_normal(40), -9.0)
>>> state = start(1)
>>> for value in y:
...     state, verdict = step(state, np.array([value]))
>>> verdict.score[0] > 4, verdict.rows[0]
(np.True_, np.int64(1))
"""

from __future__ import annotations

import numpy as np

from foreshock.detect import noise
from foreshock.detect._verdict import NONE, Verdict, silent
from foreshock.detect.noise import Seen
from foreshock.detect.scan import FEW, HOLD, normal
from foreshock.run import FloatArray

_BEFORE = 30
_SUDDEN = 2.0  # standard deviations from the value before
_MEDIAN = np.pi / 2  # variance of a median over that of a mean


def start(k: int) -> noise.State:
    """State for k signals."""
    return noise.start(k)


def step(state: noise.State, x: FloatArray) -> tuple[noise.State, Verdict]:
    """Take in one row of k values and judge."""
    state, seen = noise.step(state, x)
    return state, judge(seen)


def judge(seen: Seen) -> Verdict:
    """Normal deviate of the newest value."""
    state = seen.noise
    ready = seen.fresh & (state.rows > HOLD) & (state.sd > 0) & (state.moved >= FEW)
    moved = np.abs(state.window[:, -1] - state.window[:, -2]) > _SUDDEN * state.sd
    if not (ready & moved).any():
        return silent(len(ready))
    shortest = int(state.rows[ready].min()) - 1
    before = min(_BEFORE, shortest)
    half = before // 2
    earlier = state.window[:, -1 - before : -1]
    middle = np.partition(earlier, half, axis=1)[:, half]
    sd = np.where(state.sd > 0, state.sd, 1.0)
    t = (middle - state.window[:, -1]) / (sd * np.sqrt(1 + _MEDIAN / before))
    dof = 1 / (1 / (4 + 6 / state.tails) + 1 / state.dof)
    ready &= moved
    return Verdict(np.where(ready, normal(t, dof), NONE), ready.astype(np.int64))
