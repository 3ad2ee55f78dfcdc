"""NaN and infinity: a signal that had values was logged as none.

A fact and no estimate: there are no false alarms. A signal that has been NaN from its first row on (a trainer
that logs what it does not measure) is not reported.

What it cannot see: a value that the trainer leaves out of the row. That is no NaN here, and usual.

>>> import numpy as np
>>> state = start(2)
>>> for row in ([1.0, np.nan], [1.1, np.nan], [1.2, np.nan], [np.inf, np.nan]):
...     state, verdict = step(state, np.array(row), logged=np.array([True, True]))
>>> verdict.rows
array([1, 0])
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from foreshock.detect._verdict import NONE, Verdict
from foreshock.detect.noise import BoolArray
from foreshock.run import FloatArray, IntArray

_FEWEST = 3  # finite values that a signal must have had


class State(NamedTuple):
    """What is kept of k signals.

    Attributes:
        finite: (k,) values so far that were finite.
        here: (k,) rows in a row that were not.
    """

    finite: IntArray
    here: IntArray


def start(k: int) -> State:
    """Nothing seen of k signals."""
    return State(np.zeros(k, dtype=np.int64), np.zeros(k, dtype=np.int64))


def step(state: State, x: FloatArray, logged: BoolArray) -> tuple[State, Verdict]:
    """Take in one row of k values and judge.

    Args:
        state: of k signals.
        x: (k,) values.
        logged: (k,) whether the row had this signal; a NaN in `x` that was not logged says nothing.
    """
    finite = np.isfinite(x)
    bad = logged & ~finite
    here = np.where(bad, state.here + 1, np.where(finite, 0, state.here))
    spoken = bad & (state.finite >= _FEWEST)
    score = np.where(spoken, np.inf, NONE)
    return State(state.finite + finite, here), Verdict(score, np.where(spoken, here, 0))
