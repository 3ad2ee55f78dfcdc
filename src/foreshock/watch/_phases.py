"""The phases of a run so far, found anew as it grows, but not so often that it costs much."""

from __future__ import annotations

import time

from foreshock.report._text import phase_texts
from foreshock.run import Run

_RARELY = 50  # times its cost to wait before the next analysis: 2 % of a core
_LONGEST = 20_000  # steps; a longer run is not analysed while it is watched
_FEWEST = 8


class Phases:
    """Keeps one line for each main curve."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._rows = 0
        self._next = 0.0

    def of(self, run: Run) -> list[str]:
        """The lines of a run; those of a little earlier where an analysis would cost too much now."""
        now = time.monotonic()
        rows = len(run.steps)
        if rows == self._rows or now < self._next or not _FEWEST <= rows <= _LONGEST:
            return self._lines
        self._lines, self._rows = _lines(run), rows
        self._next = now + _RARELY * (time.monotonic() - now)
        return self._lines


def _lines(run: Run) -> list[str]:
    from foreshock.analysis import analyze

    analysis = analyze(run, signals=[])
    lines = []
    for name in analysis.primary:
        found = analysis.signals[name]
        phases = [f"{phase_texts(phase)[0]} {phase.start}-{phase.end}" for phase in found.phases]
        lines.append(f"{found.title}: " + ", ".join(phases))
    return lines
