"""The monitor inside the training process: rows as they are logged, alarms as events of the run.

What it tells is what `foreshock watch` tells of the same journal. One row more is translated and judged in a
moment; where that is not enough (a key that is new, a step that comes again, a run that goes on) the journal
is read as `watch` reads it.
"""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from foreshock.detect import PLANNED, Alarm, Monitor
from foreshock.readers import open_run
from foreshock.readers._follow_table import Row, Table
from foreshock.readers._records import number
from foreshock.readers._sealed import SEALED
from foreshock.record._live_rows import Averages, Making, Names
from foreshock.run import Event, Run

_FACTS = ("prompts_per_step", "group_size", "reward_range")
_MOST = 4000  # rows that are judged once more when the journal is read
_FREE = 1.0  # seconds that reading the journal may take, but for the first time,
_SHARE = 0.03  # and of the time that has passed
_FEW = 3  # rows after which a reward that is missing is missed
_NONE = -(2**62)

Told = tuple[str, str, int, int]


class Monitoring:
    """Judges each step of a run once it is complete and tells what is new.

    A row is complete when everything was logged that the row before it has; else when the next step begins,
    and at the end. What comes later still amends it.

    Args:
        journal: of this process; what others record beside it is not judged.
        tell: writes an alarm into the journal and hands it on where asked to.
        warn: tells people once about something, by a slug.
        budget, mode, signals: as of `Monitor`.
        map: signal -> key, for names that the dictionary does not know.

    Raises:
        ValueError: see `Monitor`.
    """

    def __init__(
        self,
        journal: Path,
        tell: Callable[[Alarm, bool], None],
        warn: Callable[[str, str], None],
        *,
        budget: float = 1.0,
        mode: str = "calibrated",
        signals: Collection[str] = (),
        map: Mapping[str, str] | None = None,
    ) -> None:
        self._journal, self._tell, self._warn = journal, tell, warn
        self._options: dict[str, Any] = {"budget": budget, "mode": mode, "signals": tuple(signals)}
        self._asked, self._map = frozenset(signals), map
        self._facts: Mapping[str, Any] = {}
        self._monitor = self._new()
        self._names: Names | None = None
        self._averages = Averages()
        self._planned: set[int] = set()
        self._row: Making | None = None
        self._full: Making | None = None  # the row before it
        self._before: tuple[Monitor, int] | None = None  # as it was before the row of now was judged
        self._judged: deque[tuple[int, int]] = deque(maxlen=_MOST)  # (step, hash) of rows
        self._last = _NONE
        self._rows = 0
        self._behind = True  # the journal must be read
        self._told: set[Told] | None = None
        self._open: dict[str, Alarm] = {}
        self._began = time.monotonic()
        self._spent = 0.0

    def turn(self, step: int) -> None:
        """A line of this step comes next: what is complete by that is judged."""
        if self._row is not None and step != self._row.step:
            self._finish()
            self._behind |= step < self._row.step
            self._averages.count(self._row)
            self._full, self._row = self._row, None

    def took(self, step: int, line: bytes) -> None:
        """This line of metrics was written."""
        self.turn(step)
        if self._row is None:
            self._row, self._before = Making(step), None
        self._row.add(line)
        if self._before is not None or self._row.as_full_as(self._full):
            self._again()

    def happened(self, kind: str, step: int) -> None:
        """This event was written."""
        if kind not in PLANNED or step in self._planned:
            return
        self._planned.add(step)
        if self._row is not None and step == self._row.step and self._before is not None:
            self._again()
        elif step <= self._last:
            self._behind = True

    def learnt(self) -> None:
        """Facts about the run are known that were not."""
        self._behind = True

    def failed(self) -> None:
        """Something was raised in between: begin again from the journal."""
        self._behind, self._before = True, None
        self._judged.clear()

    def close(self) -> None:
        """Judge the last row."""
        self._began = -1e9  # however long the journal takes
        if self._row is not None:
            self._finish()

    # -- when a row is judged ----------------------------------------------------------------------------

    def _again(self) -> None:
        self._take_back()
        self._judge(early=True)

    def _finish(self) -> None:
        if self._before is None or self._behind:
            self._take_back()
            self._judge(early=False)

    def _take_back(self) -> None:
        """As if the row of now had not been judged."""
        if self._before is not None:
            self._monitor, self._last = self._before
            self._judged.pop()
            self._rows -= 1
            self._before = None

    def _judge(self, *, early: bool) -> None:
        """Judge the row of now; `early` where more may still be logged to it."""
        row = self._row
        assert row is not None
        values, turned = self._averages.values(row)
        doubled = self._rows >= 32 and not self._rows & (self._rows - 1)
        fits = self._names is not None and self._names.fits(values) and not turned and not doubled
        if fits and not self._behind and row.step > self._last:
            assert self._names is not None
            self._say(self._feed([self._names.row(row.step, values)], early))
            return
        self._behind = True
        if self._spent < _FREE + _SHARE * (time.monotonic() - self._began):
            began, first = time.monotonic(), self._told is None
            try:
                self._read(row, early)
            finally:
                self._spent += 0.0 if first else time.monotonic() - began

    # -- judging -----------------------------------------------------------------------------------------

    def _new(self) -> Monitor:
        return Monitor(**self._options, facts=self._facts)

    def _feed(self, rows: Sequence[Row], early: bool) -> list[Alarm]:
        said: list[Alarm] = []
        for row in rows:
            if early and self._row is not None and row.step == self._row.step and row is rows[-1]:
                self._before = copy.deepcopy(self._monitor), self._last
            self._judged.append((row.step, self._mark(row)))
            self._last = row.step
            self._rows += 1
            said += self._monitor.step(row.step, row.values, row.nan, planned=self._planned)
        return said

    def _mark(self, row: Row) -> int:
        planned = max((step for step in self._planned if step <= row.step), default=None)
        return hash((planned, tuple(row.values.items()), row.nan))

    def _read(self, now: Making, early: bool) -> None:
        """Judge all that is new in the journal, and everything again where something before it changed."""
        folder = self._journal.parent
        path = folder if (folder / SEALED).exists() else self._journal
        run = open_run(path, format="foreshock", mapping=self._map, require_reward=False)
        self._remember(run)
        self._names = Names(run, self._asked)
        self._names.learn(now.cells)
        self._planned = {event.step for event in run.events if event.kind in PLANNED}
        table = Table.of(run)
        count = int(table.steps.searchsorted(max(now.step, self._last), side="right"))
        rows = [self._names.only(row) for row in table.cut(max(0, count - _MOST), count)]
        facts = {name: run.facts[name] for name in _FACTS if name in run.facts}
        again = facts != self._facts or not self._goes_on(rows)
        if again:
            self._facts, self._last, self._rows = facts, _NONE, 0
            self._judged.clear()
            self._monitor = self._new()
        said = self._feed([row for row in rows if row.step > self._last], early)
        self._rows = count
        self._behind = False
        self._say(said, cut=again and count > _MOST)
        if count >= _FEW and not self._asked and "reward_mean" not in run.series.canonical:
            there = ", ".join(list(run.series)[:12])
            how = "name it with monitor={'map': {'reward': KEY}}"
            self._warn("reward", f"no metric is known as the reward; {how}. There are: {there}")

    def _goes_on(self, rows: Sequence[Row]) -> bool:
        """Whether the rows that were judged are those that these begin with."""
        if not self._judged or not rows:
            return False
        first = rows[0].step
        held = [mark for mark in self._judged if mark[0] >= first]
        return held == [(row.step, self._mark(row)) for row in rows if row.step <= self._last]

    # -- telling -----------------------------------------------------------------------------------------

    def _remember(self, run: Run) -> None:
        """What attempts before this one told."""
        if self._told is None:
            self._told = set()
            for alarm in map(alarm_of, run.events):
                if alarm is not None:
                    self._note(alarm)

    def _note(self, alarm: Alarm) -> None:
        assert self._told is not None
        self._told.add(_key(alarm))
        if alarm.state == "closed":
            self._open.pop(alarm.id, None)
        else:
            self._open[alarm.id] = alarm

    def _say(self, said: Sequence[Alarm], cut: bool = False) -> None:
        """Tell what was not told; only what is of now goes to people.

        Where only the last part of a long run was judged again (`cut`), what it says of the past is not
        what was told then.
        """
        assert self._told is not None
        lasting = {alarm.id: alarm.signal for alarm in self._monitor.open}
        for alarm in said:
            if _key(alarm) not in self._told and (alarm.step == self._last or not cut):
                self._note(alarm)
                self._tell(alarm, alarm.id in lasting or alarm.step == self._last)
        for alarm in list(self._open.values()):
            if alarm.id not in lasting and not (cut and alarm.signal in lasting.values()):
                self._void(alarm)

    def _void(self, alarm: Alarm) -> None:
        """Close what was told and is no more."""
        about = f"{alarm.signal} {alarm.kind.replace('_', ' ')}"
        text = f"{about} since step {alarm.onset} is over: the rows in which it was seen were replaced."
        over = replace(alarm, state="closed", step=self._last, text=text)
        self._note(over)
        self._told = {key for key in self._told or () if key[0] != alarm.id}
        self._tell(over, True)


def alarm_of(event: Event) -> Alarm | None:
    """The alarm that an event tells of; None where it is none."""
    fields = {name: event.payload.get(name) for name in Alarm.__dataclass_fields__}
    interval, evidence = fields["onset_interval"], fields["evidence"]
    if event.kind != "alarm" or not (isinstance(interval, list) and isinstance(evidence, list)):
        return None
    known = {"step": event.step, "onset_interval": tuple(interval), "evidence": tuple(evidence)}
    values = {name: number(fields[name]) for name in ("from_value", "to_value")}  # NaN is a text there
    return Alarm(**{**fields, **known, **values})  # type: ignore[arg-type]


def _key(alarm: Alarm) -> Told:
    return alarm.id, alarm.state, alarm.step, len(alarm.evidence)
