"""Whether the share of prompts that have a property (a source, a word) changed: an exact test, all run long.

While prompts are drawn from one pool, in any order that chance decides, the number of prompts with a
property in the newest steps, given the number among all prompts so far, follows the hypergeometric
distribution. The probability of what was seen is exact, and the false alarms of all steps, window lengths
and properties add up to at most `ALPHA` per attempt. Drawing without replacement (shuffled epochs) only makes
false alarms rarer.

A loader that fills whole batches from one source breaks that rule without anything having changed. Therefore
the evidence is divided by how much more the run's own steps scatter than single draws would; this never
raises the number of false alarms.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # NumPy is imported with the first step: importing this costs nothing
    import numpy as np
    import numpy.typing as npt

    Counts = npt.NDArray[np.int64]
    Sums = npt.NDArray[np.float64]

ALPHA = 0.01
"""False alarms per attempt, at most, of one test."""
MIN_STEPS = 8
"""Steps that must have been seen before anything can be called a change."""

_LEVELS = 6  # windows of 1, 2, 4, 8, 16 and 32 steps
_TESTED = 8  # properties whose exact probability is worked out in a window
_KEPT = 128  # properties that a resumed attempt is told of
_RESUMED_STEPS = 16  # steps after a resume that are compared with the attempt before


@dataclass(frozen=True)
class Past:
    """Counts over the steps before a window; index = property.

    Attributes:
        prompts: prompts in all steps together.
        steps: how many steps.
        counts: prompts that have the property.
        squares: sum over steps of (prompts with it) squared over the prompts of the step.
        known: which properties were counted, None for all; `counts` is the most that the others can have.
    """

    prompts: int
    steps: int
    counts: Counts
    squares: Sums
    known: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Shift:
    """A change that chance does not explain: the property that shows it best and its shares.

    Attributes:
        index: the property.
        before: share of prompts that had it.
        now: share in the window.
        steps: length of the window, which ends at this step.
        prompts: prompts in the window.
        resumed: whether it is against the attempt before.
        counts: prompts in the window with each property.
        past: what the window was compared with.
    """

    index: int
    before: float
    now: float
    steps: int
    prompts: int
    resumed: bool
    counts: Counts
    past: Past


class Shares:
    """Counts of prompts with each of `size` properties, step by step, and when their shares changed."""

    def __init__(self, size: int, old: Past | None = None) -> None:
        self.size = size
        self._old = old if old is not None and old.steps >= MIN_STEPS else None
        self._time = 0
        self._forget()

    def _forget(self) -> None:
        import numpy as np

        self.prompts = 0
        self.steps = 0
        self.counts = np.zeros(self.size, np.int64)
        self._squares = np.zeros(self.size)
        self._recent: deque[tuple[Counts, int]] = deque(maxlen=1 << (_LEVELS - 1))
        self._blocks: list[tuple[Counts, int] | None] = [None] * _LEVELS

    def step(self, counts: Counts, prompts: int) -> Shift | None:
        """Take the counts of one step; the change it completes, if any."""
        if prompts <= 0:
            return None
        self._time += 1
        self.steps += 1
        self.prompts += prompts
        self.counts = self.counts + counts
        self._squares = self._squares + counts * (counts / prompts)
        self._recent.append((counts, prompts))
        for level, (block, size) in enumerate(self._completed(counts, prompts)):
            found = self._test(block, size, 1 << level)
            if found is not None:
                self._old = None
                self._forget()
                return found
        if self.steps >= _RESUMED_STEPS:
            self._old = None
        return None

    def drift(self, counts: Counts, prompts: int) -> float | None:
        """How far a batch, not taken in yet, is from the past; 1 is what random draws give on average."""
        if not self.prompts or prompts <= 0:
            return None
        shares = (self.counts + counts) / (self.prompts + prompts)
        expected = float((shares * (1 - shares)).sum()) * (1 / prompts + 1 / self.prompts)
        apart = float(((counts / prompts - self.counts / self.prompts) ** 2).sum())
        return apart / expected if expected > 0 else 0.0

    def _completed(self, counts: Counts, prompts: int) -> list[tuple[Counts, int]]:
        """The windows of 1, 2, 4, ... steps that end now; each starts where one of its length ended."""
        done = []
        block = (counts, prompts)
        for level in range(_LEVELS):
            done.append(block)
            half = self._blocks[level]
            if half is None:
                self._blocks[level] = block
                break
            self._blocks[level] = None
            block = (half[0] + block[0], half[1] + block[1])
        return done

    def _test(self, counts: Counts, prompts: int, steps: int) -> Shift | None:
        limit = 2 * _LEVELS * self._time * (self._time + 1) / ALPHA
        if self._old is not None:
            index = changed(self._old, counts, prompts, limit)
            if index is not None:
                return _shift(self._old, counts, prompts, index, steps, resumed=True)
        if self.steps - steps < MIN_STEPS:
            return None
        past = self._before(counts, prompts, steps)
        index = changed(past, counts, prompts, limit)
        return None if index is None else _shift(past, counts, prompts, index, steps, resumed=False)

    def _before(self, counts: Counts, prompts: int, steps: int) -> Past:
        """Everything but the newest `steps`."""
        squares = self._squares - sum(c * (c / n) for c, n in list(self._recent)[-steps:])
        return Past(self.prompts - prompts, self.steps - steps, self.counts - counts, squares)

    def state(self) -> dict[str, Any]:
        """What a later attempt needs to compare itself with this one, in what JSON can hold."""
        kept = [int(index) for index in (-self.counts).argsort(kind="stable")[:_KEPT] if self.counts[index]]
        return {
            "prompts": self.prompts,
            "steps": self.steps,
            "index": kept,
            "counts": [int(self.counts[index]) for index in kept],
            "squares": [round(float(self._squares[index]), 1) for index in kept],
        }

    def due(self) -> bool:
        """Whether `state` should be written down: when the steps have doubled, and every 1,024."""
        steps = self.steps
        return steps >= MIN_STEPS and (steps & (steps - 1) == 0 or steps % 1024 == 0)


def past_from(state: Any, size: int) -> Past | None:
    """The counts that `Shares.state` gave, in an earlier attempt; None where they make no sense."""
    import numpy as np

    try:
        places = np.array(state["index"], np.int64)
        told = np.array(state["counts"], np.int64)
        prompts = int(state["prompts"])
        if not 0 < told.max() <= prompts or told.min() < 0 or places.min() < 0:
            return None
        counts = np.full(size, told.min() if len(told) == _KEPT else 0, np.int64)
        squares, known = np.zeros(size), np.zeros(size, np.bool_)
        counts[places] = told
        squares[places] = state["squares"]
        known[places] = True
        return Past(prompts, int(state["steps"]), counts, squares, known)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        return None


def changed(past: Past, counts: Counts, prompts: int, limit: float) -> int | None:
    """The property whose share changed most surely, if its probability is below 1 in `limit`."""
    import numpy as np

    total = past.prompts + prompts
    both = past.counts + counts
    possible = (both > 0) & (both < total)
    if past.known is not None:  # of the others only more than they can have had is a change
        possible &= past.known | (counts * past.prompts > past.counts * prompts)
    (tests,) = possible.nonzero()
    if not len(tests):
        return None
    now, share = counts[tests], both[tests] / total
    apart = (now - share * prompts) ** 2 / (share * (1 - share))
    tested = [int(index) for index in tests[np.argsort(-apart, kind="stable")[:_TESTED]]]
    threshold = math.log(limit * len(tests))
    sure = {}
    for index in tested:
        value = surprise(int(past.counts[index]), past.prompts, int(counts[index]), prompts)
        if value >= threshold:
            sure[index] = value
    if not sure:
        return None
    everywhere = max(1.0, _overdispersion(past))
    for index in sure:
        sure[index] /= max(everywhere, _own_overdispersion(past, index))
    best = max(sure, key=sure.__getitem__)
    return best if sure[best] >= threshold else None


def surprise(before: int, past: int, now: int, prompts: int) -> float:
    """Minus the logarithm of the two-sided hypergeometric probability of `now` of `prompts`.

    Given that `before + now` of all `past + prompts` have the property.
    """
    total, having = past + prompts, before + now
    upwards = now * total > having * prompts
    if not upwards:  # the lower tail is the upper tail of those without the property
        now, having = prompts - now, total - having
    log = _ways(having, now) + _ways(total - having, prompts - now) - _ways(total, prompts)
    term = tail = 1.0
    for x in range(now, min(prompts, having)):
        term *= (having - x) * (prompts - x) / ((x + 1) * (total - having - prompts + x + 1))
        tail += term
        if term < 1e-12 * tail:
            break
    return max(0.0, -(log + math.log(2 * tail)))


def _ways(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _overdispersion(past: Past) -> float:
    """How many times more the shares of steps scatter than those of random draws, over all properties."""
    if past.steps < 2:
        return 1.0
    squares, counts = past.squares, past.counts
    if past.known is not None:
        squares, counts = squares[past.known], counts[past.known]
    shares = counts / past.prompts
    expected = float((shares * (1 - shares)).sum()) * (past.steps - 1)
    scatter = float((squares - counts * shares).sum())
    return scatter / expected if expected > 0 else 1.0


def _own_overdispersion(past: Past, index: int) -> float:
    """The same for one property, taken at the upper end of what its few steps allow (95 %)."""
    share = float(past.counts[index]) / past.prompts
    if past.steps < 2 or not 0 < share < 1:
        return 1.0
    freedom = past.steps - 1
    third = 2 / (9 * freedom)
    quantile = freedom * max(0.05, 1 - third - 1.645 * math.sqrt(third)) ** 3  # Wilson and Hilferty
    scatter = float(past.squares[index]) - share * float(past.counts[index])
    return scatter / (share * (1 - share)) / quantile


def _shift(past: Past, counts: Counts, prompts: int, index: int, steps: int, resumed: bool) -> Shift:
    before, now = float(past.counts[index]) / past.prompts, float(counts[index]) / prompts
    return Shift(index, before, now, steps, prompts, resumed, counts, past)
