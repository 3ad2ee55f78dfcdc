"""What a tool must be to be scored.

It is asked like a colleague who looks at the run while it trains: after some step it is handed all rows so
far and says what it tells now that it did not tell before. It never sees a row before its time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

Row = dict[str, float]

LEVELS = {
    "curves": "reward and length only",
    "metrics": "all metrics that the trainer logs",
    "events": "metrics, recorded events and evidence",
    "probes": "the same, and experiments on the run",
}
EVIDENCE = "foreshock/"
"""Curves under this name come from the recorder, not from the trainer."""


class ToolError(Exception):
    """A tool could not be run; the message says what to do."""


@dataclass(frozen=True)
class Record:
    """A run, or its first rows, as its owner has it.

    Attributes:
        id: opaque name.
        steps: of the rows, rising.
        rows: per step what was logged; a metric that was not logged is absent, NaN was logged as NaN.
        events: {"step", "event", "text", "data"}, as the lines of a journal.
        evidence: {"step", "evidence", "data"}, likewise.
        facts: what its owner knows of it.
    """

    id: str
    steps: tuple[int, ...]
    rows: tuple[Row, ...]
    events: tuple[dict[str, Any], ...] = ()
    evidence: tuple[dict[str, Any], ...] = ()
    facts: Mapping[str, Any] | None = None

    def first(self, count: int) -> Record:
        """The record as it was after its first `count` rows."""
        last = self.steps[count - 1]
        return replace(
            self,
            steps=self.steps[:count],
            rows=self.rows[:count],
            events=tuple(line for line in self.events if line["step"] <= last),
            evidence=tuple(line for line in self.evidence if line["step"] <= last),
        )

    def at(self, level: str, curves: Sequence[str]) -> Record:
        """What a tool may see at a level; `curves` are the names of reward and length in this log."""
        if level == "curves":
            rows = tuple({name: row[name] for name in curves if name in row} for row in self.rows)
            return replace(self, rows=rows, events=(), evidence=())
        if level == "metrics":
            rows = tuple({k: v for k, v in row.items() if not k.startswith(EVIDENCE)} for row in self.rows)
            return replace(self, rows=rows, events=(), evidence=())
        return self


class Watcher(Protocol):
    """One tool on one run."""

    def watch(self, seen: Record) -> Sequence[str]:
        """What is told for the first time after the last of these rows, one short text per alarm.

        Called with more and more rows of the same run; a tool that looks at each row once keeps its state.
        """

    def causes(self, seen: Record) -> Sequence[str]:
        """Causes in the order in which the tool would name them, by their ids in Foreshock's catalogue."""

    def close(self) -> None:
        """The run is over."""


class Tool(Protocol):
    """A tool that can be scored.

    Attributes:
        name: as given to --tool.
        note: how it was used, for the foot of the table.
    """

    name: str
    note: str

    def version(self) -> str:
        """Changes whenever the tool could say something else: kept results are filed under it.

        Raises:
            ToolError: it is not installed, or does not start.
        """

    def every(self, level: str) -> int:
        """Rows from one look to the next."""

    def lacks(self, level: str) -> tuple[str, str]:
        """Why it raises no alarms and why it names no causes at a level; empty where it does."""

    def start(self, level: str) -> Watcher:
        """Begin a run."""

    def stop(self) -> None:
        """No more runs come."""
