"""A monitor that can go back: the same rows always lead to the same messages, whatever came in between."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

from foreshock.detect._records import Alarm
from foreshock.readers.follow import Row, Table

_EVERY = 64  # rows between two copies
_MOST = 16  # copies kept


class Monitor(Protocol):
    """What is used of `foreshock.detect.Monitor`."""

    def step(
        self,
        step: int,
        values: Mapping[str, float],
        nan: Collection[str] = (),
        *,
        planned: Collection[int] = (),
    ) -> list[Alarm]: ...
    def clock(self, now: float, last: float) -> list[Alarm]: ...
    def arrived(self, when: float) -> None: ...
    @property
    def open(self) -> tuple[Alarm, ...]: ...


class Rewindable:
    """Feeds a monitor and keeps copies of it: of late the most, of long ago ever fewer.

    After a resume, the monitor goes on as if the rows that are void had never been. A monitor told to forget
    them would still have learnt the noise from them, and a watcher that starts again would come to other
    messages than one that never stopped.

    Args:
        make: a new monitor.
        copies: False where nothing can be void, as in a finished log; saves their cost.
        planned: steps at which the task changes by plan; asked at each row.
    """

    def __init__(
        self,
        make: Callable[[], Monitor],
        *,
        copies: bool = True,
        planned: Callable[[], Collection[int]] = frozenset,
    ) -> None:
        self._make = make
        self._copies, self._planned = copies, planned
        self._kept: list[tuple[int, Monitor]] = []
        self.monitor = make()
        self.rows = 0

    def feed(self, rows: Iterable[Row]) -> Iterable[Alarm]:
        """The messages that these rows lead to, each as soon as its row was taken."""
        for row in rows:
            yield from self.monitor.step(row.step, row.values, row.nan, planned=self._planned())
            self.rows += 1
            if self._copies and self.rows % _EVERY == 0:
                self._kept.append((self.rows, copy.deepcopy(self.monitor)))
                self._thin()

    def back(self, rows: Table) -> Iterable[Alarm]:
        """Only these first rows still hold; the messages that the last of them lead to, once more."""
        while self._kept and self._kept[-1][0] > len(rows):
            self._kept.pop()
        if self._kept:
            self.rows, kept = self._kept[-1]
            self.monitor = copy.deepcopy(kept)
        else:
            self.rows, self.monitor = 0, self._make()
        yield from self.feed(rows.cut(self.rows))

    def _thin(self) -> None:
        """Drop the copy that leaves the smallest hole beside its age."""
        if len(self._kept) <= _MOST:
            return
        counts = [count for count, _ in self._kept]
        holes = [
            (counts[place + 1] - counts[place - 1]) / (self.rows - counts[place - 1])
            for place in range(1, len(counts) - 1)
        ]
        del self._kept[1 + holes.index(min(holes))]
