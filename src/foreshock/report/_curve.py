"""What one chart shows, and how large and in which colours."""

from __future__ import annotations

from dataclasses import dataclass

from foreshock.analysis._records import SignalAnalysis
from foreshock.report._event_marks import EventMarks
from foreshock.report._style import Palette
from foreshock.run import Column, FloatArray, IntArray


@dataclass(frozen=True)
class Look:
    """How large things are in a figure, and in which colours.

    Attributes:
        palette: the theme.
        font: points of the normal text; titles and notes are derived from it.
        line: points of the raw line.
        labels: how many anomalies get a text (all get a marker).
        strip: height of the strip of phase names, in points.
    """

    palette: Palette
    font: float
    line: float
    labels: int
    strip: float

    @property
    def small(self) -> float:
        """Points of notes and labels inside a chart."""
        return max(6.5, self.font - 1.0)


@dataclass(frozen=True)
class Curve:
    """What one chart shows."""

    name: str
    steps: IntArray
    values: FloatArray
    colour: str
    signal: SignalAnalysis | None
    column: Column | None = None
    nan_steps: IntArray | None = None
    events: EventMarks = EventMarks()
