"""The arithmetic of the score: delays, shares, rates, and intervals by resampling.

Definitions, the same for every tool:

- A delay counts the steps of the fault that the tool had seen when it raised its first alarm at or after the
  onset: 1 at the onset itself. A run without such an alarm has an infinite delay and stays in the median.
- Detected within K: delay <= K, of the runs with at least K steps of the fault.
- By chance within K: whether the tool raised an alarm in the very same steps of the clean twin.
- Gain within K: detected less by chance, so a tool that always cries gains nothing; over the power of the
  ideal observer it says how much of what was there to be seen was seen.
- False alarms: alarms on healthy runs, and before the onset of a fault, per 1000 steps.
- Top K: whether the true cause is among the first K that the tool names at the end of the run.
- Blamed: whether it names a fault first at the end of a healthy run; no fault is a cause of its own.

Runs of one cluster (one seed: a clean run and its forks) share noise, so clusters are drawn, not runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lab.adapters.base import Record
from lab.score_data import Truth
from lab.score_watch import Said

FloatArray = npt.NDArray[np.float64]
WINDOWS = (8, 16)
_NONE = math.nan  # of a run about which a measure says nothing


class Estimate(NamedTuple):
    """A number with its 95 % interval, and the runs behind it; NaN where there are none."""

    value: float
    low: float
    high: float
    runs: int


@dataclass(frozen=True)
class Outcome:
    """What came of one run; NaN where the run does not tell.

    Attributes:
        id: of the run.
        fault: its name, "none" for a healthy run.
        cluster: runs that are resampled together.
        delay: steps of the fault seen at the first alarm, infinite without one.
        within: 0 or 1 per window of WINDOWS.
        chance: the same of the clean twin.
        quiet_steps: steps of a healthy run.
        quiet_alarms: alarms in them.
        blamed: 0 or 1 of a healthy run.
        before_steps: steps before the onset.
        before_alarms: alarms in them.
        top1: 0 or 1, as top3.
        top3: whether the true cause is among the first three.
        power: of the ideal observer, per window.
        ideal_delay: of the ideal observer, infinite where its evidence never is enough.
    """

    id: str
    fault: str
    cluster: str
    delay: float = _NONE
    within: tuple[float, ...] = (_NONE,) * len(WINDOWS)
    chance: tuple[float, ...] = (_NONE,) * len(WINDOWS)
    quiet_steps: float = _NONE
    quiet_alarms: float = _NONE
    blamed: float = _NONE
    before_steps: float = _NONE
    before_alarms: float = _NONE
    top1: float = _NONE
    top3: float = _NONE
    power: tuple[float, ...] = (_NONE,) * len(WINDOWS)
    ideal_delay: float = _NONE


def outcome(
    record: Record, truth: Truth, said: Said | None, twin: tuple[Record, Said] | None = None
) -> Outcome:
    """What came of a run.

    Args:
        record: the run.
        truth: what was done to it.
        said: what the tool said; None for the ideal observer's row.
        twin: the clean twin and what the tool said of that.
    """
    first, last = record.steps[0], record.steps[-1]
    alarms = None if said is None or said.alarms is None else [step for step, _ in said.alarms]
    causes = None if said is None else said.causes
    if truth.healthy or truth.onset is None:
        return Outcome(
            record.id,
            truth.fault,
            truth.cluster,
            quiet_steps=_NONE if alarms is None else last - first + 1,
            quiet_alarms=_NONE if alarms is None else len(alarms),
            blamed=_NONE if causes is None else float(causes[:1] not in ((), (truth.cause,))),
        )
    onset = truth.onset
    known = {
        "top1": _NONE if causes is None else float(truth.cause in causes[:1]),
        "top3": _NONE if causes is None else float(truth.cause in causes[:3]),
        "power": truth.power or (_NONE,) * len(WINDOWS),
        "ideal_delay": _NONE if truth.power is None else math.inf if truth.delay is None else truth.delay,
    }
    if alarms is not None:
        known["delay"] = delay(alarms, onset)
        known["within"] = detected(alarms, onset, last)
        known["before_steps"] = max(onset - first, 0)
        known["before_alarms"] = sum(step < onset for step in alarms)
    if alarms is not None and twin is not None and twin[1].alarms is not None:
        known["chance"] = detected([step for step, _ in twin[1].alarms], onset, twin[0].steps[-1])
    return Outcome(record.id, truth.fault, truth.cluster, **known)  # type: ignore[arg-type]


def delay(alarms: Sequence[int], onset: int) -> float:
    """Steps of the fault seen at the first alarm from the onset on.

    >>> delay([3, 12, 15], onset=10)
    3.0
    """
    return float(min((step - onset + 1 for step in alarms if step >= onset), default=math.inf))


def detected(alarms: Sequence[int], onset: int, last: int) -> tuple[float, ...]:
    """Per window 1 or 0; NaN where the run ends before the window does."""
    found = delay(alarms, onset)
    return tuple(float(found <= k) if last - onset + 1 >= k else _NONE for k in WINDOWS)


def rate(counts: FloatArray, of: FloatArray, weights: FloatArray) -> FloatArray:
    """Per row of weights, shape (draws, runs): sum of counts over sum of what they are counted in.

    Runs of which either is not known are left out; NaN where nothing is left.
    """
    known = np.isfinite(counts) & np.isfinite(of)
    total = weights[:, known] @ of[known]
    part = weights[:, known] @ counts[known]
    found: FloatArray = np.divide(part, total, out=np.full(len(weights), np.nan), where=total > 0)
    return found


def median(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Per row of weights the weighted median, the lower of two; infinity counts, the unknown does not."""
    order = np.argsort(values, kind="stable")[: int((~np.isnan(values)).sum())]  # NaN sorts last
    if not len(order):
        return np.full(len(weights), np.nan)
    heaped = np.cumsum(weights[:, order], axis=1)
    middle = np.argmax(heaped >= heaped[:, -1:] / 2, axis=1)
    return np.where(heaped[:, -1] > 0, values[order][middle], np.nan)


def draws_of(clusters: Sequence[str], draws: int = 1000) -> FloatArray:
    """Weights of runs, shape (1 + draws, runs): every run once, then clusters drawn with replacement."""
    names, place = np.unique(np.asarray(clusters), return_inverse=True)
    rng = np.random.default_rng(0)
    counts = np.stack(
        [np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names)) for _ in range(draws)]
    )
    return np.vstack([np.ones(len(clusters)), counts[:, place]]).astype(np.float64)


def estimate(drawn: FloatArray, clusters: Sequence[str]) -> Estimate:
    """The first value with the interval that the others give; no interval from one cluster.

    Args:
        drawn: shape (1 + draws,).
        clusters: of the runs that the measure says something about.
    """
    runs = len(clusters)
    known = drawn[1:][~np.isnan(drawn[1:])]
    if len(set(clusters)) < 2 or not len(known):
        return Estimate(float(drawn[0]), math.nan, math.nan, runs)
    # "lower" and "higher" choose draws and do not reckon with an infinite delay.
    low = float(np.quantile(known, 0.025, method="lower"))
    return Estimate(float(drawn[0]), low, float(np.quantile(known, 0.975, method="higher")), runs)


def measures(outcomes: Sequence[Outcome], draws: int = 1000) -> dict[str, Estimate]:
    """Every measure of the table over these runs."""
    clusters = [each.cluster for each in outcomes]
    weights = draws_of(clusters, draws)

    def column(take: Callable[[Outcome], float]) -> FloatArray:
        return np.array([take(each) for each in outcomes], dtype=np.float64)

    def known(values: FloatArray) -> list[str]:
        return [name for name, value in zip(clusters, values, strict=True) if not math.isnan(value)]

    def summed(counts: FloatArray, of: FloatArray | None = None, unit: float = 1.0) -> Estimate:
        of = np.ones_like(counts) if of is None else of
        return estimate(unit * rate(counts, of, weights), known(counts + of))

    def middle(values: FloatArray) -> Estimate:
        return estimate(median(values, weights), known(values))

    quiet = column(lambda each: each.quiet_alarms)
    found = {
        "false_healthy": summed(quiet, column(lambda each: each.quiet_steps), 1000.0),
        "alarmed": summed(np.where(np.isnan(quiet), np.nan, (quiet > 0).astype(np.float64))),
        "false_before": summed(
            column(lambda each: each.before_alarms), column(lambda each: each.before_steps), 1000.0
        ),
        "top1": summed(column(lambda each: each.top1)),
        "top3": summed(column(lambda each: each.top3)),
        "blamed": summed(column(lambda each: each.blamed)),
        "delay": middle(column(lambda each: each.delay)),
        "ideal_delay": middle(column(lambda each: each.ideal_delay)),
    }
    for place, k in enumerate(WINDOWS):
        within, chance, power = (
            np.array([getattr(each, name)[place] for each in outcomes], dtype=np.float64)
            for name in ("within", "chance", "power")
        )
        gain = within - chance
        found |= {f"within_{k}": summed(within), f"chance_{k}": summed(chance), f"power_{k}": summed(power)}
        found |= {f"gain_{k}": summed(gain), f"of_ideal_{k}": summed(gain, power)}
    return found
