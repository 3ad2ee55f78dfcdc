"""Foreshock as it is today: its analysis of a finished run, asked again and again of what there is so far.

It has no detector that follows a run live. So the first rows are analysed as if the run had ended there
("prefix analysis"), and what the verdict gives as a reason is an alarm when no earlier look gave it: a fall
of the reward and, where it sees more than curves, KL, gradients, truncation and values that are not finite.
A reward that leaps up for a point is a reason to look, not an alarm. The promise of one false alarm in twenty
runs is made for one analysis, not for one after every step; what comes of that is in the table.

The causes are those that `open_causes` leaves open, in its order, which it does not call a ranking.

A live detector or a ranking of causes comes as a class of its own with the members of `Tool`.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import foreshock
from foreshock.analysis import Analysis, Change
from foreshock.diagnosis import open_causes
from foreshock.errors import ForeshockError
from foreshock.run import Run
from lab.adapters.base import Record, Watcher
from lab.score_data import write_journal

_READ = ("analysis", "diagnosis", "readers", "signals")  # packages on which what it says depends
_EVERY = {"curves": 1}  # an analysis of two curves takes a sixth of one of all metrics
_SLACK = 2  # steps by which two dates of one event may miss each other


class _Told(NamedTuple):
    """An event that was told: about what, and between which steps it began."""

    signal: str
    sort: str
    low: int
    high: int

    def same(self, other: _Told) -> bool:
        """Whether the two are one event, dated anew when more rows had come."""
        near = self.low <= other.high + _SLACK and other.low <= self.high + _SLACK
        return near and (self.signal, self.sort) == (other.signal, other.sort)


class Foreshock:
    """Prefix analysis.

    Args:
        every: rows between two analyses; 0 for 1 at curves only and 4 with all metrics.
    """

    def __init__(self, every: int = 0) -> None:
        self.name = f"foreshock@{every}" if every else "foreshock"
        self.note = (
            "prefix analysis (no live detector yet): new reasons of the verdict; `open_causes`, unranked"
        )
        self._every = every
        self._known: dict[bytes, list[_Told]] = {}

    def version(self) -> str:
        """Its number and a hash of its source, which changes more often."""
        root = Path(foreshock.__file__).parent
        files = sorted(
            path for part in _READ for path in (root / part).rglob("*") if path.suffix in (".py", ".json")
        )
        content = b"".join(path.read_bytes() for path in [*files, Path(__file__)])
        return f"{foreshock.__version__}+{hashlib.sha256(content).hexdigest()[:8]}"

    def every(self, level: str) -> int:
        """Rows between two analyses."""
        return self._every or _EVERY.get(level, 4)

    def lacks(self, level: str) -> tuple[str, str]:
        """Its verdict reads no events; it makes no experiments."""
        if level == "probes":
            return ("has no probes yet",) * 2
        return ("its verdict reads no recorded events yet" if level == "events" else "", "")

    def start(self, level: str) -> Watcher:
        """Begin a run; runs that share their first rows are analysed once for them."""
        return _Prefixes(level, self._known)

    def stop(self) -> None:
        """Nothing is held."""


class _Prefixes:
    """One run, analysed from its first row again at every look."""

    def __init__(self, level: str, known: dict[bytes, list[_Told]]) -> None:
        self._digest = hashlib.sha256(level.encode())
        self._rows = 0
        self._known = known
        self._told: list[_Told] = []

    def watch(self, seen: Record) -> Sequence[str]:
        for step, row in zip(seen.steps[self._rows :], seen.rows[self._rows :], strict=True):
            self._digest.update(repr((step, sorted(row.items()))).encode())
        self._rows = len(seen.steps)
        key = self._digest.digest()
        if key not in self._known:
            read = _analysed(seen)
            self._known[key] = _reasons(read[1]) if read else []
        fresh = []
        for event in self._known[key]:
            if not any(event.same(old) for old in self._told):
                fresh.append(f"{event.signal} {event.sort} in {event.low}..{event.high}")
            self._told.append(event)
        return fresh

    def causes(self, seen: Record) -> Sequence[str]:
        read = _analysed(seen)
        return [cause.id for cause in open_causes(*read)] if read else []

    def close(self) -> None:
        pass


def _analysed(seen: Record) -> tuple[Run, Analysis] | None:
    """The record read as its journal would be, and analysed; None while there is not enough to read."""
    with tempfile.TemporaryDirectory() as name:
        try:
            run = foreshock.open_run(write_journal(seen, Path(name)))
        except ForeshockError:
            return None
    return run, foreshock.analyze(run)


def _reasons(analysis: Analysis) -> list[_Told]:
    """The changes behind the verdict, without a reward that leaps up."""
    if analysis.verdict not in ("trouble", "watch"):
        return []
    found = []
    for change in analysis.changes:
        given = any(
            reason.startswith(f"{change.signal} ") and re.search(rf"at step {change.step}\b", reason)
            for reason in analysis.reasons
        )
        leap = change.signal == "reward_mean" and change.to_value > change.from_value
        if change.significant and given and not leap:
            found.append(_Told(change.signal, _sort(change), *change.step_interval))
    return found


def _sort(change: Change) -> str:
    """What stays the same when an event is described anew: a spike can turn out to be a fall."""
    return change.kind if change.kind in ("non_finite", "saturation") else "change"
