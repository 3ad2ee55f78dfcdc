"""Where a watch stands, for whoever shows it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from foreshock.detect._records import Alarm
from foreshock.run import Run
from foreshock.watch._context import RunContext

REWARD, LENGTH = "reward_mean", "response_length_mean"


@dataclass(frozen=True)
class WatchState:
    """Where a watch stands after a look at its source.

    Attributes:
        source: the path.
        run: the run as read last; None before its first row.
        step: last finished step; None likewise.
        values: what this step logged.
        open: open alarms.
        age: seconds since something new came.
        steps_per_hour: None until it is known.
        seconds_left: until the last step, where the log says which that is.
        done: whether the training has ended.
        waiting: why there is nothing to read (yet), else "".
        said: what happened to the run since the last look, a sentence each: resumed, replaced, repaired.
        fresh: whether rows came or became void since the last look.
    """

    source: str
    run: Run | None = None
    step: int | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    open: tuple[Alarm, ...] = ()
    age: float = 0.0
    steps_per_hour: float | None = None
    seconds_left: float | None = None
    done: bool = False
    waiting: str = ""
    said: tuple[str, ...] = ()
    fresh: bool = False


class Sink(Protocol):
    """Takes what a watch has to say."""

    def tell(self, alarm: Alarm, run: RunContext) -> None:
        """One new message."""

    def show(self, state: WatchState) -> None:
        """Where the watch stands, after every look."""

    def close(self) -> None:
        """The watch ends."""


class Notifying(Protocol):
    """What is used of `Notifier`."""

    def tell(self, alarm: Alarm, run: RunContext) -> None:
        """Have a message sent; never blocks, never raises."""


def total_steps(facts: Mapping[str, Any]) -> int | None:
    """Last step of the training, where the log says it."""
    value = facts.get("total_steps")
    return int(value) if isinstance(value, (int, float)) and 0 < value < 2**53 else None


def has_ended(run: Run, step: int) -> bool:
    """Whether the log says that the training is over: by its end, its totals, or its last step."""
    total = total_steps(run.facts)
    return (
        run.facts.get("ended") is True
        or "train_runtime" in run.facts
        or (total is not None and step >= total)
    )


def context(run: Run, source: str, until: int, alarms: tuple[Alarm, ...]) -> RunContext:
    """What a message needs to know about the run, as it stands at a step."""
    count = int(run.steps.searchsorted(until, side="right"))
    names = {alarm.signal for alarm in alarms if alarm.signal in run.series} - {REWARD, LENGTH}
    curves = {name: run.series[name][:count] for name in (REWARD, LENGTH) if name in run.series}
    return RunContext(
        run_id=run.id,
        source=source,
        framework=run.framework or "",
        steps=run.steps[:count],
        reward=curves.get(REWARD, run.steps[:0].astype(float)),
        length=curves.get(LENGTH, run.steps[:0].astype(float)),
        total_steps=total_steps(run.facts),
        facts=run.facts,
        others={name: run.series[name][:count] for name in sorted(names)},
    )


def key_of(run: Run) -> str:
    """What tells a run from another under the same path: its first row."""
    cells = sorted(float(column[0]) for column in run.series.original.values() if column[0] == column[0])
    about = f"{run.steps[0]} {cells!r}"
    return hashlib.sha256(about.encode()).hexdigest()[:16]


def hourly_by_step_time(run: Run | None) -> float | None:
    """Steps an hour from the step times that the run itself logged of late."""
    if run is None or "step_time" not in run.series.canonical:
        return None
    times = run.series["step_time"]
    late = times[np.isfinite(times) & (times > 0)][-20:]
    return 3600.0 / float(np.sort(late)[len(late) // 2]) if len(late) else None


def missing(run: Run, asked: Collection[str]) -> list[str]:
    """Sentences about what a person would think is watched and is not."""
    absent = sorted(set(asked) - set(run.series))
    said = [f"The run has no signal {', '.join(absent)}."] if absent else []
    if REWARD not in run.series.canonical and not asked:
        there = ", ".join(list(run.series)[:12])
        said.append(f"No metric is known as the reward; name it with --map reward=KEY. There are: {there}")
    return said
