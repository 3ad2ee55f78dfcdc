"""A run that stands still: no new step for three times the usual step time.

The usual time is the median of the last 31 times between steps; before there are five of them, and for runs
of quick steps, nothing shorter than a minute counts as a stall. A fact and no estimate.

What it cannot see: why. Evaluation, a checkpoint and a hanging worker look alike from here.

>>> state = start()
>>> for minute in range(10):
...     state = arrived(state, 60.0 * minute)
>>> stalled(state, 540 + 179), stalled(state, 540 + 181)
(False, True)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from foreshock._arrays import median_of

_TIMES = 3.0
_KEPT, _FEWEST = 31, 5
_LEAST = 60.0  # seconds


class State(NamedTuple):
    """When the last step came, and the times between the last steps, in seconds."""

    last: float | None
    times: tuple[float, ...]


def start() -> State:
    """Nothing seen."""
    return State(None, ())


def arrived(state: State, now: float) -> State:
    """A step came at `now`; a clock that was set back says nothing of the time between two steps."""
    if state.last is None or now < state.last:
        return State(now, state.times)
    return State(now, (*state.times, now - state.last)[-_KEPT:])


def stalled(state: State, now: float) -> bool:
    """Whether the next step is overdue at `now`."""
    patience = longest(state)
    return state.last is not None and patience is not None and now - state.last > patience


def longest(state: State) -> float | None:
    """Seconds after the last step from which the run stands still; None while it is not known."""
    if len(state.times) < _FEWEST:
        return None
    return max(_LEAST, _TIMES * median_of(np.array(state.times)))
