"""A monitor that sees what a test puts there, and a watch over it that needs no time."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from foreshock.detect._records import Alarm
from foreshock.readers import Follower
from foreshock.watch._clock import Awake
from foreshock.watch._context import RunContext
from foreshock.watch._state import Sink, WatchState
from foreshock.watch.ledger import Ledger
from foreshock.watch.loop import Watch


def alarm(step: int, state: str = "open", kind: str = "drop", onset: int = 0, **fields: Any) -> Alarm:
    """An alarm about the reward."""
    known: dict[str, Any] = {
        "id": f"reward_mean-{kind}-{onset or step}",
        "state": state,
        "step": step,
        "signal": "reward_mean",
        "kind": kind,
        "severity": "trouble",
        "opened": onset or step,
        "onset": onset or step,
        "onset_interval": (onset or step, onset or step),
        "from_value": 1.0,
        "to_value": 0.1,
        "sigma": 5.0,
        "percent_of_peak": 90.0,
        "percent_of_gain": None,
        "false_alarm_rate": 0.1,
        "evidence": ("it is low",),
        "text": f"Train Reward is low since step {onset or step}.",
    }
    return Alarm(**{**known, **fields})


class LowReward:
    """Opens an alarm where the reward falls below 0.5, tells every tenth step of it, closes it above.

    A stall is told where three times the usual time between arrivals has passed.
    """

    def __init__(self, facts: Mapping[str, Any] | None = None) -> None:
        self.facts = dict(facts or {})
        self.seen: list[int] = []
        self._low: Alarm | None = None
        self._stall: Alarm | None = None
        self._times: list[float] = []

    @property
    def open(self) -> tuple[Alarm, ...]:
        return tuple(each for each in (self._low, self._stall) if each is not None)

    def step(
        self,
        step: int,
        values: Mapping[str, float],
        nan: Collection[str] = (),
        *,
        planned: Collection[int] = (),
    ) -> list[Alarm]:
        assert not self.seen or step > self.seen[-1]
        self.seen.append(step)
        reward = values.get("reward_mean", 1.0)
        told: list[Alarm] = []
        if self._stall:
            told, self._stall = [alarm(step, "closed", "stall", self._stall.onset)], None
        if reward < 0.5 and self._low is None:
            self._low = alarm(step)
            told.append(self._low)
        elif reward < 0.5 and self._low is not None and (step - self._low.onset) % 10 == 0:
            told.append(alarm(step, "update", onset=self._low.onset))
        elif reward >= 0.5 and self._low is not None:
            told.append(alarm(step, "closed", onset=self._low.onset))
            self._low = None
        return told

    def arrived(self, when: float) -> None:
        self._times.append(when)

    def clock(self, now: float, last: float) -> list[Alarm]:
        gaps = sorted(b - a for a, b in zip(self._times, self._times[1:], strict=False))
        if self._stall or len(gaps) < 3 or now - last <= 3 * gaps[len(gaps) // 2]:
            return []
        step = self.seen[-1]
        self._stall = alarm(step, kind="stall", signal="", severity="watch", text="No new step.")
        return [self._stall]


class Told:
    """Keeps what a watch says."""

    def __init__(self) -> None:
        self.alarms: list[Alarm] = []
        self.said: list[str] = []
        self.runs: list[RunContext] = []

    def tell(self, alarm: Alarm, run: RunContext) -> None:
        self.alarms.append(alarm)
        self.runs.append(run)

    def show(self, state: WatchState) -> None:
        self.said += state.said

    def close(self) -> None:
        pass

    @property
    def short(self) -> list[tuple[str, str, int]]:
        """(kind, state, step) of each message."""
        return [(one.kind, one.state, one.step) for one in self.alarms]


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Trial:
    """A watch over a file, its clock, and what it said."""

    def __init__(
        self,
        path: Path,
        ledger: Path | None = None,
        make: Callable[[Mapping[str, Any]], Any] = LowReward,
        *,
        final: bool = False,
        sinks: Sequence[Sink] = (),
        **options: Any,
    ) -> None:
        self.time = Time()
        self.wall = Time()
        self.wall.now = 4e9  # what is there is old
        self.told = Told()
        self.awake = Awake(self.time)
        self.follower = Follower(path, clock=self.awake, wall=self.wall)
        self.monitors: list[Any] = []

        def made(facts: Mapping[str, Any]) -> Any:
            self.monitors.append(make(facts))
            return self.monitors[-1]

        self.watch = Watch(
            self.follower,
            made,
            Ledger(ledger),
            [self.told, *sinks],
            awake=self.awake,
            wall=self.wall,
            final=final,
            **options,
        )

    def after(self, seconds: float) -> list[tuple[str, str, int]]:
        """Look, let time pass, and look again; the messages that are new."""
        before = len(self.told.alarms)
        for passing in (0.0, seconds):
            self.time.now += passing
            self.wall.now += passing
            self.awake.tick(passing)
            while self.watch.turn():
                pass
        return self.told.short[before:]


def write(path: Path, steps: Sequence[int], rewards: Sequence[float], mode: str = "a", **more: Any) -> None:
    """Append rows to a log of JSON lines."""
    with path.open(mode) as file:
        for step, reward in zip(steps, rewards, strict=True):
            file.write(json.dumps({"step": step, "reward": reward, **more}) + "\n")
