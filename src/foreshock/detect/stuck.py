"""A signal stands still: one value again and again, where values used to move.

If a share q of the rows repeated the value before them, r repeats in a row begin at one step in
1 / ((1 - q) q^r) by chance. The score is the logarithm to base 10 of that number of steps; no simulation
is needed. A reward that comes in eighths repeats often and needs many; one that never did needs few. The
share is that of the whole run, or of about its last 60 rows where that is higher.

What it cannot see: a value that moves in its last digits only.

>>> import numpy as np
>>> y = np.append(np.random.default_rng(7).standard_normal(40), np.full(6, 0.25))
>>> state = start(1)
>>> for value in y:
...     state, verdict = step(state, np.array([value]))
>>> verdict.score[0] > 6, verdict.rows[0]  # six rows that are the same, one repeat less
(np.True_, np.int64(6))
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from foreshock.detect._verdict import NONE, Verdict, silent
from foreshock.run import FloatArray, IntArray

_RECENT = 60  # rows
FEWEST = 12  # rows that moved, before which nothing is said


class State(NamedTuple):
    """What is kept of k signals.

    Attributes:
        last: (k,) value, NaN before the first.
        rows: (k,) rows before the present stretch of equal values.
        repeats: (k,) of them that repeated the value before.
        here: (k,) repeats in the present stretch.
        recent: (k,) share of repeats of late, before the present stretch.
    """

    last: FloatArray
    rows: IntArray
    repeats: IntArray
    here: IntArray
    recent: FloatArray


def start(k: int) -> State:
    """Nothing seen of k signals."""
    none = np.zeros(k, dtype=np.int64)
    return State(np.full(k, np.nan), none, none, none, np.zeros(k))


def step(state: State, x: FloatArray) -> tuple[State, Verdict]:
    """Take in one row of k values and judge."""
    fresh = np.isfinite(x)
    again = fresh & (x == state.last)
    moved = fresh & ~again & np.isfinite(state.last)
    if not again.any() and not state.here.any():  # most rows of most runs
        recent = np.where(moved, state.recent * (1 - 1 / _RECENT), state.recent)
        last = np.where(fresh, x, state.last)
        return State(last, state.rows + moved, state.repeats, state.here, recent), silent(len(x))
    rows = np.where(moved, state.rows + state.here + 1, state.rows)
    repeats = np.where(moved, state.repeats + state.here, state.repeats)
    here = np.where(again, state.here + 1, np.where(fresh, 0, state.here))
    kept = (1 - 1 / _RECENT) ** (state.here + 1)
    after = state.recent * kept + (1 - kept) * state.here / (state.here + 1)
    recent = np.where(moved, after, state.recent)
    share = np.maximum((repeats + 1) / (rows + 2), np.minimum(recent, 0.99))
    rarity = -here * np.log10(share) - np.log10(1 - share)
    spoken = again & (rows - repeats >= FEWEST)
    state = State(np.where(fresh, x, state.last), rows, repeats, here, recent)
    return state, Verdict(np.where(spoken, rarity, NONE), np.where(spoken, here + 1, 0))
