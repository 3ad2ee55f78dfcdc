"""A share of something bad is at its limit, and stays: all completions truncated, all groups without spread.

If a share q of the rows so far was at the limit, r of them in a row come by chance at one step in q^-r or
less often. The score is the logarithm to base 10 of that number: a share of two groups, which often is 1,
needs many rows, one that never was needs three.

What it cannot see: a limit that it was not told of.

>>> import numpy as np
>>> state = start(1)
>>> for value in [0.1, 0.0, 0.2, 0.1] * 10 + [1.0] * 3:
...     state, verdict = step(state, np.array([value]), np.array([0.98]))
>>> verdict.score[0] > 4, verdict.rows[0]
(np.True_, np.int64(3))
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from foreshock.detect._verdict import NONE, Verdict, silent
from foreshock.run import FloatArray, IntArray

_FEWEST = 3  # rows


class State(NamedTuple):
    """What is kept of k signals.

    Attributes:
        rows: (k,) before the present stretch at the limit.
        hits: (k,) of them at the limit.
        here: (k,) rows of the present stretch.
    """

    rows: IntArray
    hits: IntArray
    here: IntArray


def start(k: int) -> State:
    """Nothing seen of k signals."""
    none = np.zeros(k, dtype=np.int64)
    return State(none, none, none)


def step(state: State, x: FloatArray, limit: FloatArray) -> tuple[State, Verdict]:
    """Take in one row of k values and judge; `limit` (k,) is from where on each is saturated."""
    fresh = np.isfinite(x)
    full = fresh & (x >= limit)
    if not full.any() and not state.here.any():  # most rows of most runs
        return state._replace(rows=state.rows + fresh), silent(len(x))
    left = fresh & ~full
    rows = np.where(left, state.rows + state.here + 1, state.rows)
    hits = np.where(left, state.hits + state.here, state.hits)
    here = np.where(full, state.here + 1, np.where(left, 0, state.here))
    rarity = -here * np.log10((hits + 1) / (rows + 2))
    spoken = full & (here >= _FEWEST)
    return State(rows, hits, here), Verdict(np.where(spoken, rarity, NONE), np.where(spoken, here, 0))
