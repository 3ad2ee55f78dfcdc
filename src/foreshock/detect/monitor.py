"""The monitor: all detectors over all signals of a run, under one budget of false alarms."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from foreshock.detect import bocpd, joint, noise, peak, spike, stall
from foreshock.detect._certain import Certain, standing
from foreshock.detect._channels import Channel, channels
from foreshock.detect._event import Event, Facts
from foreshock.detect._proofs import Proofs
from foreshock.detect._records import Alarm
from foreshock.detect._state import joined
from foreshock.detect._verdict import Verdict
from foreshock.detect._watched import OTHER, Watched, watched
from foreshock.detect.noise import WINDOW, Seen
from foreshock.run import FloatArray

_JOINS = 30  # steps after an alarm within which another signal's belongs to it
_SAME = 5  # steps between two onsets that may be one
_PAST = 20  # onsets that are remembered of each signal
_WITHIN = 0.6
_START = 5  # rows of the level that a run starts from
_LEVEL = 20  # rows of the best level


class _Levels(NamedTuple):
    """What sizes are told against, for each signal: sums of its first rows, best level, smallest value."""

    first: FloatArray
    best: FloatArray
    least: FloatArray


class Monitor:
    """Raises, updates and closes alarms as a run grows, one row at a time.

    The same rows give the same alarms, live or replayed: nothing depends on the clock but `clock`.

    Args:
        budget: false alarms per 1000 steps of the whole run, all signals together.
        mode: "calibrated" for evidence whose rate of false alarms was measured, "guaranteed" for bounds that
            a theorem holds for (see `guarantee`; only for the reward, if its range is known, and the pass
            rate).
        facts: of the run: "prompts_per_step" turns the logged spread of rewards into known noise;
            "reward_range", two numbers, is what a guarantee needs.
        signals: names to watch; default: those that `_watched` lists.

    Raises:
        ValueError: the budget is not between 0.001 and 100, there is no such mode, or the range is empty.
    """

    def __init__(
        self,
        *,
        budget: float = 1.0,
        mode: str = "calibrated",
        facts: Mapping[str, Any] | None = None,
        signals: Collection[str] = (),
    ) -> None:
        if not 0.001 <= budget <= 100:
            raise ValueError(f"a budget of {budget} false alarms per 1000 steps: it must be 0.001 to 100")
        if mode not in ("calibrated", "guaranteed"):
            raise ValueError(f"no mode {mode!r}; there are calibrated and guaranteed")
        self._proofs = Proofs(budget, facts or {}) if mode == "guaranteed" else None
        self._budget, self._facts, self._asked = budget, dict(facts or {}), frozenset(signals)
        self._rows: dict[str, int] = {}
        self._names: list[str] = []
        self._how: list[Watched] = []
        self._channels: dict[str, Channel] = {}
        self._wide, self._units = np.zeros(0, dtype=np.int64), np.zeros(0)
        self._noise = noise.start(0)
        self._steps = np.zeros((0, WINDOW), dtype=np.int64)
        self._levels = _Levels(np.zeros(0), np.zeros((0, 2)), np.zeros(0))
        self._odds, self._peak = bocpd.start_own(0), peak.start_own(0)
        self._certain = Certain()
        self._armed: dict[str, noise.BoolArray] = {}
        self._events: dict[tuple[int, float], Event] = {}
        self._past: dict[tuple[int, float], deque[int]] = {}
        self._pace = stall.start()
        self._stalled: Alarm | None = None
        self._last = 0

    @property
    def open(self) -> tuple[Alarm, ...]:
        """The last message of each event that lasts, the oldest first."""
        lasting = [event.said for event in self._events.values() if event.said is not None]
        stalled = [self._stalled] if self._stalled else []
        return tuple(
            sorted([*lasting, *self._certain.open.values(), *stalled], key=lambda alarm: alarm.opened)
        )

    def step(
        self,
        step: int,
        values: Mapping[str, float],
        nan: Collection[str] = (),
        *,
        planned: Collection[int] = (),
    ) -> list[Alarm]:
        """Take in one finished row; returns what is new after it.

        Args:
            step: larger than any before.
            values: by canonical or original name; a name that is absent was not logged.
            nan: names that were logged as NaN.
            planned: steps at which the task changes by plan (a curriculum): what was before is then no
                measure of what comes.
        """
        last, self._last = self._last, step
        if any(last < change <= step for change in planned):
            self._noise = self._noise._replace(rows=np.zeros_like(self._noise.rows))
            self._levels.first[:], self._levels.best[:] = 0.0, -np.inf
            self._odds, self._peak = (
                bocpd.start_own(len(self._odds.p)),
                peak.start_own(len(self._peak.peak)),
            )
        self._admit(values)
        count = len(self._names)
        raw = np.full(count, np.nan)
        logged = np.zeros(count, dtype=bool)
        for name, value in values.items():
            row = self._rows.get(name)
            if row is not None:
                raw[row], logged[row] = value, value == value
        for name in nan:
            if name in self._rows:
                logged[self._rows[name]] = True
        x = raw.copy()
        x[self._wide] = np.arcsinh(raw[self._wide] / self._units)
        if not self._names:
            return []
        self._noise, seen = noise.step(self._noise, x, self._known(values))
        self._remember(step, raw, x, seen)
        said = self._progress(step, seen)
        if self._proofs is None:
            said += self._openings(step, self._judge(seen), seen)
        else:
            for row, rows, sentence, rate in self._proofs.step(self._names, raw):
                said += self._proven(step, row, rows, sentence, rate)
        still = self._channels["stuck"]
        if self._proofs is not None:  # what repeats by chance is an estimate
            still = still._replace(thresholds=np.full_like(still.thresholds, np.inf))
        return said + self._certain.step(step, raw, logged, self._steps, self._names, still)

    def arrived(self, when: float) -> None:
        """A row came at this time, in seconds since any epoch."""
        self._pace = stall.arrived(self._pace, when)

    def clock(self, now: float, last: float) -> list[Alarm]:
        """What is new because time has passed: a stall, or its end.

        Args:
            now: seconds since the same epoch as `arrived`.
            last: when the last row came.
        """
        overdue = stall.stalled(self._pace, now)
        if overdue and self._stalled is None:
            self._stalled = standing(self._last, now - last, stall.longest(self._pace) or 0.0)
            return [self._stalled]
        if not overdue and self._stalled is not None:
            over = replace(
                self._stalled, state="closed", step=self._last, text=f"The run goes on at step {self._last}."
            )
            self._stalled = None
            return [over]
        return []

    # -- one row -----------------------------------------------------------------------------------------

    def _admit(self, values: Mapping[str, float]) -> None:
        """Make room for signals that are logged for the first time."""
        new = [
            (name, how) for name in values if name not in self._rows and (how := self._way(name)) is not None
        ]
        if not new:
            return
        for name, how in new:
            self._rows[name] = len(self._names)
            self._names.append(name)
            self._how.append(how)
        k = len(new)
        units = np.array([how.unit for how in self._how])
        self._wide, self._units = np.flatnonzero(units), units[units > 0]
        self._noise = joined(self._noise, noise.start(k))
        self._steps = np.concatenate([self._steps, np.zeros((k, WINDOW), dtype=np.int64)])
        fresh = _Levels(np.zeros(k), np.full((k, 2), -np.inf), np.full(k, np.inf))
        self._levels = joined(self._levels, fresh)
        self._certain.grow([how for _, how in new])
        before = self._channels
        self._channels = channels(self._names, self._how, self._budget)
        for kind, channel in self._channels.items():
            more = len(channel.signals) - (len(before[kind].signals) if before else 0)
            held = self._armed.get(kind, np.zeros(0, dtype=bool))
            self._armed[kind] = np.append(held, np.ones(more, dtype=bool))
            if kind == "joint":
                self._odds = joined(self._odds, bocpd.start_own(more))
            elif kind == "peak":
                self._peak = joined(self._peak, peak.start_own(more))

    def _way(self, name: str) -> Watched | None:
        """How a signal is watched, if it is."""
        if self._asked and name not in self._asked:
            return None
        return watched(name) or (OTHER if name in self._asked else None)

    def _known(self, values: Mapping[str, float]) -> FloatArray | None:
        """Standard deviation of the mean reward that the spread within the batch gives.

        Prompts are independent, the completions of one are not: the spread over the root of the number of
        prompts is right where a prompt decides all of its rewards, and too much otherwise, by up to the root
        of the group's size. `_WITHIN` of it is in the middle.
        """
        prompts, spread = self._facts.get("prompts_per_step"), values.get("reward_std")
        row = self._rows.get("reward_mean")
        if row is None or not prompts or spread is None or not np.isfinite(spread):
            return None
        known = np.full(len(self._names), np.nan)
        known[row] = _WITHIN * spread / np.sqrt(float(prompts))
        return known

    def _remember(self, step: int, raw: FloatArray, x: FloatArray, seen: Seen) -> None:
        """Steps of the window, and the levels that sizes are told against."""
        if seen.fresh.all():
            self._steps[:, :-1] = self._steps[:, 1:]
        else:
            self._steps[seen.fresh, :-1] = self._steps[seen.fresh, 1:]
        self._steps[seen.fresh, -1] = step
        rows, levels = seen.noise.rows, self._levels
        early = seen.fresh & (rows <= _START)
        if early.any():
            levels.first[early] += x[early]
        level = seen.noise.window[:, -_LEVEL:].mean(1)
        ready = seen.fresh & (rows >= _LEVEL)
        for side, value in enumerate((level, -level)):
            np.maximum(levels.best[:, side], value, out=levels.best[:, side], where=ready)
        np.fmin(levels.least, raw, out=levels.least)

    def _judge(self, seen: Seen) -> dict[str, Verdict]:
        """What each kind of evidence says of its channels."""
        kept, drifting, single = (self._channels[kind] for kind in ("joint", "steady", "spike"))
        signals = np.concatenate([kept.signals, drifting.signals, single.signals])
        signs = np.concatenate([kept.signs, drifting.signs, single.signs])
        turned = seen.toward(signals, signs)
        first, second = len(kept.signals), len(kept.signals) + len(drifting.signals)
        self._odds, both = joint.judge(self._odds, turned.part(0, first))
        self._peak, low = peak.judge(self._peak, turned.part(0, first))  # the same signals
        return {
            "joint": both,
            "steady": joint.judge_steady(turned.part(first, second), drifting.patient),
            "peak": low,
            "spike": spike.judge(turned.part(second, len(signals))),
        }

    # -- events that are estimates -----------------------------------------------------------------------

    def _openings(self, step: int, verdicts: Mapping[str, Verdict], seen: Seen) -> list[Alarm]:
        """Alarms that open, and further signals that join one."""
        said: list[Alarm] = []
        for kind in ("joint", "steady", "peak", "spike"):
            channel, verdict = self._channels[kind], verdicts[kind]
            above = verdict.score >= channel.thresholds
            if not above.any() and self._armed[kind].all():
                continue
            spoken = seen.fresh[channel.signals]
            for place in np.flatnonzero(above & spoken).tolist():
                alarm = self._crossed(step, kind, place, verdict)
                self._armed[kind][place] = False
                said += [alarm] if alarm else []
            self._armed[kind] |= spoken & ~above
        return said

    def _crossed(self, step: int, kind: str, place: int, verdict: Verdict) -> Alarm | None:
        """One channel passed its threshold: a new event, or more evidence of one."""
        channel = self._channels[kind]
        row, sign = int(channel.signals[place]), float(channel.signs[place])
        score, rows = float(verdict.score[place]), int(verdict.rows[place])
        rate = channel.rate(place, score)
        name, how = self._names[row], self._how[row]
        event = self._events.get((row, sign))
        if event is not None:
            event.evidence.setdefault(kind, channel.sentence(score))
            event.rate = min(event.rate, rate)
        if event is not None or not self._armed[kind][place]:
            return None
        event = Event(name, how, sign, step, rate)
        event.evidence[kind] = channel.sentence(score)
        first = event.open(step, rows, self._of(row))
        if any(abs(first.onset - onset) <= _SAME for onset in self._past.get((row, sign), ())):
            return None  # it is over and was told; the last of it has only now left the windows
        joined = None if how.primary else self._belongs(first)
        if joined is not None:
            return joined.attached(step, first.text, name)
        self._events[row, sign] = event
        return first

    def _proven(self, step: int, row: int, rows: int, sentence: str, rate: float) -> list[Alarm]:
        """A bound was passed: a new event, unless one lasts."""
        if (row, 1.0) in self._events:
            return []
        event = Event(self._names[row], self._how[row], 1.0, step, rate, {"guarantee": sentence})
        self._events[row, 1.0] = event
        return [event.open(step, rows, self._of(row))]

    def _belongs(self, alarm: Alarm) -> Event | None:
        """The last event that another signal's alarm belongs to: it began with it, or shortly before."""
        near = [
            event
            for event in self._events.values()
            if event.said is not None
            and (alarm.step - event.opened <= _JOINS or abs(event.said.onset - alarm.onset) <= _SAME)
        ]
        return max(near, key=lambda event: event.opened, default=None)

    def _progress(self, step: int, seen: Seen) -> list[Alarm]:
        """Updates and ends of the events that last."""
        said = []
        for (row, sign), event in list(self._events.items()):
            if not seen.fresh[row]:
                continue
            alarm = event.next(step, self._of(row))
            if alarm is not None:
                said.append(alarm)
            if event.over:
                del self._events[row, sign]
                if event.said is not None:
                    self._past.setdefault((row, sign), deque(maxlen=_PAST)).append(event.said.onset)
                    if event.settled:
                        since = int((self._steps[row] >= event.said.onset).sum())
                        self._noise = noise.forget(self._noise, row, since)
                self._forgive(row, sign)
                if self._proofs is not None:
                    self._proofs.again(self._names[row])
        return said

    def _forgive(self, row: int, sign: float) -> None:
        """After an event the peak before it is no baseline any more."""
        channel = self._channels["peak"]
        places = np.flatnonzero((channel.signals == row) & (channel.signs == sign))
        if len(places):
            kept = peak.Own(*(part.copy() for part in self._peak))
            for part, fresh in zip(kept, peak.start_own(1), strict=True):
                part[places] = fresh[0]
            self._peak = kept

    def _of(self, row: int) -> Facts:
        """What an event needs to know of its signal."""
        state, levels = self._noise, self._levels
        held = min(int(state.rows[row]), WINDOW)
        start = float(levels.first[row] / max(min(int(state.rows[row]), _START), 1))
        good_down = self._how[row].bad == "up"
        best = -levels.best[row, 1] if good_down else levels.best[row, 0]
        values = state.window[row, WINDOW - held :]
        return Facts(
            steps=self._steps[row, WINDOW - held :],
            values=values,
            sd=float(state.sd[row]),
            phi=float(max(state.phi[row], 0.0)),
            start=start,
            best=float(best) if np.isfinite(best) else float(values.mean()),
            signed=bool(levels.least[row] < 0),
        )
