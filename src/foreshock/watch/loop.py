"""The live loop: what is new in a source goes to the monitor, and its messages to whoever is told.

A finished log, a growing one and one that is read again after a restart all pass through here, so that they
lead to the same messages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from foreshock.detect import PLANNED, Alarm
from foreshock.readers.follow import Follower, Update
from foreshock.report._numbers import one_line
from foreshock.run import Run
from foreshock.watch._clock import Awake, Pace
from foreshock.watch._monitor import Monitor, Rewindable
from foreshock.watch._state import (
    Notifying,
    Sink,
    WatchState,
    context,
    has_ended,
    hourly_by_step_time,
    key_of,
    missing,
    total_steps,
)
from foreshock.watch.ledger import Ledger

FACTS = ("prompts_per_step", "group_size")
"""What the monitor is told about the run."""
_NOTED = 600.0  # seconds between two notes of progress
_SHORTEST = 60.0  # seconds; logs that are written in bursts pause for less
_FEW = 3  # rows after which a signal that is missing is missed


class Watch:
    """One watch over one source.

    Args:
        follower: of the source; its clock is `awake`.
        make: a new monitor, from the facts about the run.
        ledger: what was told before.
        sinks: who is told, and shown where the watch stands.
        notifier: sends messages to people; the ledger knows which of them went out.
        awake: the clock.
        wall: seconds since 1970.
        signals: the only names that the monitor watches; default: all that it knows.
        final: whether the source is read once, to its end.
        warnings: sentences from elsewhere, in any thread, that are to be shown.
    """

    def __init__(
        self,
        follower: Follower,
        make: Callable[[Mapping[str, Any]], Monitor],
        ledger: Ledger,
        sinks: Sequence[Sink],
        *,
        awake: Awake,
        wall: Callable[[], float],
        notifier: Notifying | None = None,
        signals: Collection[str] = (),
        final: bool = False,
        warnings: deque[str] | None = None,
    ) -> None:
        self.state = WatchState(str(follower.path))
        self.severities: set[str] = set()
        """Severities of the alarms that were told by this watch."""
        self._follower, self._make, self._ledger = follower, make, ledger
        self._sinks, self._notifier = tuple(sinks), notifier
        self._awake, self._wall = awake, wall
        self._signals, self._final = frozenset(signals), final
        self._warnings: deque[str] = deque() if warnings is None else warnings
        self._facts: Mapping[str, Any] = {}
        self._planned: frozenset[int] = frozenset()
        self._monitor = self._new_monitor()
        self._begun = False
        self._starting = False  # what was told before is not yet compared with what is seen now
        self._voided = False  # rows became void since that was compared last
        self._checked = False
        self._pace = Pace()
        self._last_came: float | None = None
        self._noted = awake()
        self._run: Run | None = None

    def turn(self) -> bool:
        """Look once and tell what is new; whether there is more to see at once.

        Raises:
            InputError: see `Follower.poll`.
        """
        update = self._follower.poll(self._final)
        said = [note.text for note in update.notes]
        while self._warnings:
            said.append(self._warnings.popleft())
        if update.run is not None:
            said += self._took(update)
        if not update.more and self._begun:
            self._tick()
            self._close_what_is_gone()
        self._show(update, said)
        return update.more

    def run(self, interval: float, pause: Callable[[float], bool], *, until_done: bool = False) -> None:
        """Turn until the user wants an end, or until the training has ended and all of it was told.

        Args:
            interval: seconds between two looks, at least.
            pause: waits for so many seconds; whether the watch is to end.
            until_done: whether the end of the training ends the watch.

        Raises:
            InputError: see `Follower.poll`.
        """
        while True:
            rest = 0.0
            if not self.turn():
                if until_done and self.state.done and not self._follower.held:
                    return
                rest = max(interval, self._follower.rest)
            if pause(rest):
                return
            self._awake.tick(rest)

    def read(self, settle: Callable[[], None] | None = None) -> None:
        """Turn until there is nothing more to see now.

        Args:
            settle: waits until a last row that may still grow has settled; default: it is taken as finished.

        Raises:
            InputError: see `Follower.poll`; also what is waited for otherwise.
        """
        while self.turn():
            pass
        if self.state.waiting:
            self._follower.poll(final=True)
        if settle is not None and self._follower.held:
            settle()
            while self.turn():
                pass

    def close(self) -> None:
        """Note how far the run is, and let go of everything."""
        self._note_progress()
        for sink in self._sinks:
            sink.close()
        self._ledger.close()

    def _took(self, update: Update) -> list[str]:
        """Take what an update brought; what is to be said about it besides alarms."""
        run = update.run
        assert run is not None
        said = []
        if update.replaced:
            said.append(self._replaced(run))
        self._run = run
        if not len(self._follower.handed):
            return said
        self._planned = frozenset(event.step for event in run.events if event.kind in PLANNED)
        facts = {name: run.facts[name] for name in FACTS if name in run.facts}
        changed, self._facts = facts != self._facts, facts
        if not self._begun:
            self._begin(run)
        elif changed and self._monitor.rows:
            self._monitor = self._new_monitor()
        holds = self._follower.handed.cut(0, len(self._follower.handed) - len(update.rows))
        if self._monitor.rows != len(holds):
            self._tell(self._monitor.back(holds))
            self._voided = True
        if update.rewound is not None:
            said.append(f"Rows from step {update.rewound} on came again: the run was resumed or rewritten.")
        if len(update.rows):
            self._tell(self._monitor.feed(update.rows))
            self._arrived()
        if not self._checked and (self._monitor.rows >= _FEW or self._final):
            self._checked = True
            said += missing(run, self._signals)
        return said

    def _begin(self, run: Run) -> None:
        """The first rows of a run are there."""
        self._begun = self._starting = True
        self._monitor = self._new_monitor()
        self._ledger.turn_to(key_of(run), int(run.steps[0]))
        if self._notifier is not None:
            for alarm in self._ledger.unsent:
                self._notifier.tell(alarm, context(run, self.state.source, alarm.step, (alarm,)))

    def _replaced(self, run: Run) -> str:
        """Another run took the place: what was open is over."""
        if self._run is not None and self._begun:
            for alarm in self._ledger.open:
                self._close(alarm, self.state.step or alarm.step, "another run took its place")
        self._begun, self._facts, self._last_came, self._checked = False, {}, None, False
        self._pace = Pace()
        return f"A run that begins at step {int(run.steps[0])} took the place of the one before."

    def _new_monitor(self) -> Rewindable:
        return Rewindable(
            lambda: self._make(self._facts), copies=not self._final, planned=lambda: self._planned
        )

    def _arrived(self) -> None:
        """Rows came: tell the monitor when."""
        first = self._last_came is None
        self._last_came = self._awake() - (self._follower.age if first else 0.0)
        gap = self._usual_gap()
        for back in range(9 if first and gap else 0, 0, -1):
            self._monitor.monitor.arrived(self._last_came - back * (gap or 0.0))
        self._monitor.monitor.arrived(self._last_came)
        if not first:
            self._pace.came(self._awake(), int(self._follower.handed.steps[-1]))

    def _tick(self) -> None:
        """Let the monitor look at the clock; a training that has ended does not stall."""
        run, handed = self._run, self._follower.handed
        if self._final or run is None or self._last_came is None:
            return
        stalled = any(alarm.kind == "stall" for alarm in self._monitor.monitor.open)
        if has_ended(run, int(handed.steps[-1])) and not stalled:
            return
        self._tell(self._monitor.monitor.clock(self._awake(), self._last_came))
        if self._awake() - self._noted >= _NOTED:
            self._note_progress()

    def _note_progress(self) -> None:
        self._noted = self._awake()
        if self._begun and not self._final:
            step = int(self._follower.handed.steps[-1])
            self._ledger.progress(step, self._wall(), self._usual_gap())

    def _usual_gap(self) -> float | None:
        """Usual seconds between arrivals, seen by this process or from one call to the next."""
        seen, step = self._ledger.seen, int(self._follower.handed.steps[-1])
        if self._pace.gap is None and seen is not None and step > seen[0] and self._wall() > seen[1]:
            return max(_SHORTEST, (self._wall() - seen[1]) / (step - seen[0]))
        return self._pace.gap or self._ledger.gap

    def _close_what_is_gone(self) -> None:
        """Close what was told and is no more: it lay in rows that are void."""
        last = int(self._follower.handed.steps[-1])
        caught_up = self._starting and last >= self._ledger.last_step  # else the log is still being copied
        if not (self._voided or caught_up):
            return
        self._starting = self._voided = False
        alive = {alarm.id for alarm in self._monitor.monitor.open}
        for alarm in self._ledger.open:
            if alarm.id not in alive and (alarm.kind != "stall" or last > alarm.step):
                why = "the rows in which it was seen were replaced" if alarm.signal else "the run went on"
                self._close(alarm, last, why)

    def _close(self, alarm: Alarm, step: int, why: str) -> None:
        about = f"{alarm.signal} {alarm.kind.replace('_', ' ')}".strip()
        text = f"{about} since step {alarm.onset} is over: {why}."
        self._say(replace(alarm, state="closed", step=step, text=text), void=True)

    def _tell(self, alarms: Iterable[Alarm]) -> None:
        for alarm in alarms:
            if self._ledger.is_new(alarm):
                self._say(alarm)

    def _say(self, alarm: Alarm, *, void: bool = False) -> None:
        assert self._run is not None
        about = context(self._run, self.state.source, alarm.step, (alarm, *self._monitor.monitor.open))
        note = self._ledger.noting(alarm, notify=self._notifier is not None, void=void)
        for sink in self._sinks:
            sink.tell(alarm, about)
        note()
        if self._notifier is not None:
            self._notifier.tell(alarm, about)
        if alarm.state != "closed":
            self.severities.add(alarm.severity)

    def _show(self, update: Update, said: Sequence[str]) -> None:
        handed = self._follower.handed
        run = self._run
        step = int(handed.steps[-1]) if len(handed) else None
        rate = self._pace.per_hour or hourly_by_step_time(run)
        total = total_steps(run.facts) if run is not None else None
        left = 3600 * (total - step) / rate if rate and total and step is not None else None
        values = next(iter(handed.cut(len(handed) - 1))).values if len(handed) else {}
        came = self._last_came
        self.state = replace(
            self.state,
            run=run,
            step=step,
            values=values,
            open=self._monitor.monitor.open if self._begun else (),
            age=self._awake() - came if came is not None else self._follower.age,
            steps_per_hour=rate,
            seconds_left=max(left, 0.0) if left is not None else None,
            done=run is not None and step is not None and has_ended(run, step),
            waiting=update.waiting,
            said=tuple(one_line(text) for text in said),
            fresh=bool(len(update.rows)) or update.replaced or update.rewound is not None,
        )
        for sink in self._sinks:
            sink.show(self.state)
