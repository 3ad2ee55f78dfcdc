"""Foreshock as it is: its monitor follows the run, row by row, as `foreshock watch` does.

An alarm is one that the monitor opens; updates and ends of an event are none. At curves only it sees reward
and length, with metrics all that the trainer logs; recorded events matter to it only where they announce a
planned change of the task.

The causes are those that `open_causes` leaves open at the end, in its order, which it calls no ranking.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import foreshock
from foreshock.detect import PLANNED, Alarm, Monitor
from foreshock.diagnosis import open_causes
from foreshock.errors import ForeshockError
from foreshock.record._live_rows import Names
from foreshock.run import Run
from lab.adapters.base import Record, Row, Watcher
from lab.score_data import write_journal

_READ = ("analysis", "detect", "diagnosis", "readers", "signals")  # packages on which what it says depends


class Foreshock:
    """The monitor at its own budget.

    Args:
        every: rows between two looks; a look goes through all rows since the last one.
    """

    def __init__(self, every: int = 0) -> None:
        self.name = f"foreshock@{every}" if every else "foreshock"
        self.note = "its monitor, row by row, one false alarm per 1000 steps allowed; `open_causes`, unranked"
        self._every = every

    def version(self) -> str:
        """Its number and a hash of its source, which changes more often."""
        root = Path(foreshock.__file__).parent
        files = sorted(
            path for part in _READ for path in (root / part).rglob("*") if path.suffix in (".py", ".json")
        )
        content = b"".join(path.read_bytes() for path in [*files, Path(__file__)])
        return f"{foreshock.__version__}+{hashlib.sha256(content).hexdigest()[:8]}"

    def every(self, level: str) -> int:
        """Rows between two looks."""
        return self._every or 1

    def lacks(self, level: str) -> tuple[str, str]:
        """It makes no experiments."""
        return ("has no probes yet",) * 2 if level == "probes" else ("", "")

    def start(self, level: str) -> Watcher:
        """Begin a run."""
        return _Live()

    def stop(self) -> None:
        """Nothing is held."""


class _Live:
    """One run, followed."""

    def __init__(self) -> None:
        self._rows = 0
        self._monitor: Monitor | None = None
        self._names: Names | None = None

    def watch(self, seen: Record) -> Sequence[str]:
        opened: list[Alarm] = []
        planned = {line["step"] for line in seen.events if line["event"] in PLANNED}
        for place in range(self._rows, len(seen.rows)):
            step, row = seen.steps[place], seen.rows[place]
            names = self._named(seen.first(place + 1), row)
            if names is None:
                continue
            if self._monitor is None:
                self._monitor = Monitor(facts=dict(seen.facts or {}))
            made = names.row(step, row)
            said = self._monitor.step(step, made.values, made.nan, planned=planned)
            opened += [alarm for alarm in said if alarm.state == "open"]
        self._rows = len(seen.rows)
        return [f"{alarm.signal} {alarm.kind} at {alarm.onset}" for alarm in opened]

    def _named(self, seen: Record, row: Row) -> Names | None:
        """What the keys mean, asked of the readers again when a row has others; None before they know."""
        if self._names is None or not self._names.fits(row):
            run = _opened(seen)
            self._names = Names(run) if run is not None else None
            if self._names is not None:
                self._names.learn(row)
        return self._names

    def causes(self, seen: Record) -> Sequence[str]:
        run = _opened(seen)
        return [cause.id for cause in open_causes(run, foreshock.analyze(run))] if run is not None else []

    def close(self) -> None:
        pass


def _opened(seen: Record) -> Run | None:
    """The record read as its journal would be; None while there is not enough to read."""
    with tempfile.TemporaryDirectory() as name:
        try:
            return foreshock.open_run(write_journal(seen, Path(name)))
        except ForeshockError:
            return None
