"""Time as a watcher needs it: how long it was awake, and how fast the run is."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable

_LONGEST = 60.0
_KEPT = 32


class Awake:
    """Seconds for which this process was awake.

    A clock that was set by hours, a laptop that slept, a process that was stopped: none of it lets time
    pass, so none of it looks like a run that stands still.

    Args:
        clock: seconds that should never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock()
        self._now = 0.0

    def __call__(self) -> float:
        """The time of the last tick."""
        return self._now

    def tick(self, expected: float) -> float:
        """Let the time pass that has passed, if it is not much longer than was `expected`."""
        now = self._clock()
        self._now += min(max(now - self._last, 0.0), max(_LONGEST, 5 * expected))
        self._last = now
        return self._now


class Pace:
    """How often something comes of a run, and how many steps an hour."""

    def __init__(self) -> None:
        self._came: deque[tuple[float, int]] = deque(maxlen=_KEPT)

    def came(self, when: float, step: int) -> None:
        """Rows up to `step` came at `when`."""
        if self._came and step <= self._came[-1][1]:
            self._came.clear()
        self._came.append((when, step))

    @property
    def gap(self) -> float | None:
        """Usual seconds between two arrivals; None before the fourth."""
        times = [when for when, _ in self._came]
        gaps = [after - before for before, after in zip(times, times[1:], strict=False)]
        return statistics.median(gaps) if len(gaps) >= 3 else None

    @property
    def per_hour(self) -> float | None:
        """Steps an hour of late; None before the third arrival."""
        if len(self._came) < 3:
            return None
        (began, first), (ended, last) = self._came[0], self._came[-1]
        return 3600 * (last - first) / (ended - began) if ended > began else None
