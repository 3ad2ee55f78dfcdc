"""What a run shows around the change that is to be explained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from foreshock._arrays import median_of
from foreshock.analysis import Analysis, Change
from foreshock.run import Run
from foreshock.signals import signal

_FALLS = ("drop", "slow_decline", "spike", "level_shift")
_MOVES = ("drop", "rise", "slow_decline", "level_shift")
# What is explained where reward and held-out score are calm. A length or a truncated share at its limit is
# not among the kinds of change that count: with the reward intact it is no collapse.
_OTHERS = (
    "entropy",
    "kl_ref",
    "mismatch_logprob_abs",
    "mismatch_kl",
    "grad_norm",
    "loss",
    "response_length_mean",
    "truncation_ratio",
)
_ENOUGH = 4  # points on each side of the change, below which "did not move" cannot be said


@dataclass(frozen=True)
class Seen:
    """What one signal did around the onset.

    Attributes:
        at: 1 up, -1 down, 0 no significant change, None where that cannot be said.
        before: the same for changes that were over before it (1, -1, 0).
        spiked: whether it left its course for a point or two there.
        broke: whether it was NaN or infinite from there on.
        floored: whether it fell to about 0.
        stuck: -1 where it is a share that was at 0 before and could not fall, 1 where it was at 1.
    """

    at: int | None
    before: int = 0
    spiked: bool = False
    broke: bool = False
    floored: bool = False
    stuck: int = 0


def gravest(analysis: Analysis) -> Change | None:
    """The significant change to be explained, None where there is none.

    A fall of the reward comes first, then of the held-out score, then a value that is not finite, then a
    change of another signal that matters; of several the largest that was not made good. A healthy run has
    nothing to explain, nor has a rise of the reward.
    """
    if analysis.verdict == "healthy":
        return None
    found = [change for change in analysis.changes if change.significant]
    groups = (
        [c for c in found if c.signal == "reward_mean" and c.kind in _FALLS and _direction(c) < 0],
        [c for c in found if _base(c.signal) == "eval_score" and c.kind in _FALLS and _direction(c) < 0],
        [c for c in found if c.kind == "non_finite" and c.signal in ("reward_mean", *_OTHERS)],
        [c for c in found if c.signal in _OTHERS and c.kind in _MOVES],
    )
    for group in groups:
        if group:
            return max(group, key=lambda c: (c.kind != "spike", (c.recovered or 0.0) < 0.5, c.sigma or 0.0))
    return None


def look(run: Run, analysis: Analysis, event: Change) -> dict[str, Seen]:
    """What each signal of the dictionary did around `event`; series of one kind count where they agree."""
    stride = median_of(np.diff(run.steps)) if len(run.steps) > 1 else 1.0
    low, high = event.step_interval
    reach = max(high - low, 2 * stride)
    window = (low - reach, high + reach)
    kinds: dict[str, list[Seen]] = {}
    for name in analysis.signals:
        own = [change for change in analysis.changes if change.significant and change.signal == name]
        kinds.setdefault(_base(name), []).append(_one(run, name, own, event, window))
    seen = {base: _agreed(each) for base, each in kinds.items()}
    seen[_base(event.signal)] = Seen(
        _direction(event), 0, event.kind == "spike", event.kind == "non_finite", _floored(event)
    )
    return seen


def _one(run: Run, name: str, own: Iterable[Change], event: Change, window: tuple[float, float]) -> Seen:
    at, before, spiked, broke, floored = 0, 0, False, False, False
    for change in own:
        there = change.step_interval[0] <= window[1] and change.step_interval[1] >= window[0]
        if change.kind == "spike":
            spiked |= there
        elif change.kind == "non_finite":
            broke |= change.step <= window[1] + (window[1] - window[0])
        elif change.kind in _MOVES and there:
            at = _direction(change)
            floored |= _floored(change)
        elif change.kind in _MOVES and change.step_interval[1] < window[0]:
            before = _direction(change)
    finite = run.steps[np.isfinite(run.series[name])]
    few = min((finite < event.step).sum(), (finite >= event.step).sum()) < _ENOUGH
    return Seen(None if not at and few else at, before, spiked, broke, floored, _stuck(run, name, event))


def _stuck(run: Run, name: str, event: Change) -> int:
    """Whether a share was at the end of its scale before the onset."""
    known = signal(name)
    values = run.series[name][run.steps < event.step]
    values = values[np.isfinite(values)]
    if known is None or known.unit != "fraction" or not len(values):
        return 0
    level = median_of(values)
    return -1 if level <= 0.01 else 1 if level >= 0.99 else 0


def _agreed(each: list[Seen]) -> Seen:
    if len(each) == 1:
        return each[0]
    at = {seen.at for seen in each}
    before = {seen.before for seen in each}
    return Seen(
        at.pop() if len(at) == 1 else None,
        before.pop() if len(before) == 1 else 0,
        any(seen.spiked for seen in each),
        any(seen.broke for seen in each),
        all(seen.floored for seen in each),
        each[0].stuck if len({seen.stuck for seen in each}) == 1 else 0,
    )


def passed_an_epoch(run: Run, event: Change) -> bool | None:
    """Whether a new epoch began within the interval of the onset; None where no epoch was logged."""
    epochs: Mapping[str, np.ndarray] = run.series.canonical
    if "epoch" not in epochs:
        return None
    values = epochs["epoch"]
    low, high = event.step_interval
    stride = int(median_of(np.diff(run.steps))) if len(run.steps) > 1 else 1
    near = values[(run.steps >= low - 2 * stride) & (run.steps <= high + stride) & np.isfinite(values)]
    if len(near) < 2:
        return None
    return bool(np.floor(near.max() + 1e-6) > np.floor(near.min() + 1e-6))


def _direction(change: Change) -> int:
    return 1 if change.to_value > change.from_value else -1


def _floored(change: Change) -> bool:
    return change.to_value < change.from_value and abs(change.to_value) <= 0.1 * abs(change.from_value)


def _base(name: str) -> str:
    return name.partition("/")[0]
