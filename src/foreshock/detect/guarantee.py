"""A fall that is proven: confidence sequences whose false alarms a theorem bounds, not a simulation.

Assumptions: rewards lie in a known range; given the past, the mean reward of a step is that of `prompts`
independent prompts; and while nothing is wrong its expectation, given the past, never falls. No assumption on
tails, on changes of the scatter, or on the shape of the learning curve.

Theorem: the chance of any alarm within the first N rows of a run in which nothing goes wrong is at most
N + 3 times the rate asked for; so the mean time to the first is at least 1 / (2 rate) - 3 rows.

Proof: by Hoeffding's lemma the mean of a step is sub-Gaussian around its conditional expectation, with
variance (high - low)^2 / (4 prompts). So Robbins' normal mixture gives, for rows from a start on, bounds that
hold the average of the conditional expectations over all stretches from that start, except with a chance of
alpha. If they hold for all starts, then where expectations never fall no lower bound of an earlier stretch
is above the upper bound of a later one: no alarm. One row in `EVERY` = 4 is a start, alpha is 4 times the
rate, and the chances of the (N + 3) / 4 starts at most add up. The mean follows by summing over N.

What it cannot see quickly: most things. A guarantee against all bounded rewards takes several times the rows
of the calibrated evidence, and where the number of prompts is not known it knows next to nothing.

References: Robbins, Annals of Mathematical Statistics 41 (1970); Howard, Ramdas, McAuliffe & Sekhon,
Annals of Statistics 49 (2021), for the mixture; Shekhar & Ramdas, ICML 2023, arXiv 2309.09111, for changes by
confidence sequences of many starts.

>>> import numpy as np
>>> rng = np.random.default_rng(7)
>>> y = np.append(1.8 + 0.02 * rng.standard_normal(100), 1.5 + 0.02 * rng.standard_normal(100))
>>> state = start(rate=0.001, low=0.0, high=2.0, prompts=64)
>>> rows = []
>>> for value in y:
...     state, verdict = step(state, np.array([value]))
...     rows.append(int(verdict.rows[0]))
>>> 1 + next(row for row, since in enumerate(rows) if since)  # the fall is at row 101
105
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from foreshock.detect._verdict import NONE, Verdict, silent
from foreshock.run import FloatArray

EVERY = 4  # rows from one start to the next
_STARTS = 128  # kept; a start may be dropped at any time, the theorem only counts those there ever were
_TUNED = 25.0  # rows at which the bounds are at their tightest


@dataclass(frozen=True)
class State:
    """What is kept of one signal.

    Attributes:
        alpha: chance of each start to be wrong.
        sd: sub-Gaussian scale of a row.
        low: smallest possible value.
        high: largest possible value.
        rows: so far.
        total: their sum.
        begins: (starts,) rows before each start.
        sums: (starts,) sum of the values before each start.
        proven: (starts,) highest lower bound of a stretch that ended before each start.
        best: highest lower bound of any stretch so far.
    """

    alpha: float
    sd: float
    low: float
    high: float
    rows: int
    total: float
    begins: FloatArray
    sums: FloatArray
    proven: FloatArray
    best: float


def start(rate: float, low: float, high: float, prompts: int = 1) -> State:
    """State for one signal.

    Args:
        rate: false alarms per row that are allowed, at most 0.1.
        low: smallest possible value.
        high: largest possible value.
        prompts: independent prompts behind each value.

    Raises:
        ValueError: the range is empty or the rate not between 0 and 0.1.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"the range {low} to {high} is empty")
    if not 0 < rate <= 0.1:
        raise ValueError(f"a rate of {rate} false alarms per row: it must be above 0 and at most 0.1")
    none = np.zeros(0)
    sd = (high - low) / (2 * math.sqrt(max(prompts, 1)))
    return State(min(EVERY * rate, 0.5), sd, low, high, 0, 0.0, none, none, none, -math.inf)


def step(state: State, x: FloatArray) -> tuple[State, Verdict]:
    """Take in one row of one value and judge; a value out of range or not finite is passed over.

    The score is by how much the lower bound of before lies above the upper bound of since, in the unit of
    the signal: an alarm where it is above 0.
    """
    value = float(x[0])
    if not state.low <= value <= state.high:
        return state, silent(1)
    begins, sums, proven = state.begins, state.sums, state.proven
    if state.rows % EVERY == 0:
        begins, sums = np.append(begins, state.rows), np.append(sums, state.total)
        proven = np.append(proven, state.best)
        if len(begins) > _STARTS:  # of the older half every second one goes
            old = np.arange(len(begins)) < _STARTS // 2
            kept = ~old | (np.arange(len(begins)) % 2 == 0)
            begins, sums, proven = begins[kept], sums[kept], proven[kept]
    rows, total = state.rows + 1, state.total + value
    count = rows - begins
    mean, width = (total - sums) / count, bound(count, state.sd, state.alpha)
    apart = proven - (mean + width)
    worst = int(apart.argmax())
    best = max(state.best, float((mean - width).max()))
    state = replace(state, rows=rows, total=total, begins=begins, sums=sums, proven=proven, best=best)
    score = float(apart[worst])
    if not math.isfinite(score):
        return state, Verdict(np.full(1, NONE), np.zeros(1, dtype=np.int64))
    return state, Verdict(np.array([score]), np.array([int(count[worst]) if score > 0 else 0]))


def bound(count: FloatArray, sd: float, alpha: float) -> FloatArray:
    """Half width of the interval for the mean of `count` rows that holds at all counts but with chance alpha.

    Robbins' mixture of sub-Gaussian supermartingales over a normal prior on the tilt.
    """
    variance = count * sd**2
    prior = _TUNED * sd**2 / (2 * math.log(2 / alpha))
    return np.asarray(np.sqrt((variance + prior) * np.log((variance + prior) / (prior * alpha**2))) / count)
