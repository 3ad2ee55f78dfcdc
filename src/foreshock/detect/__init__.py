"""Online detectors, one per file, each `step(state, x) -> (state, verdict)`, and the monitor above them."""

from __future__ import annotations

from foreshock.detect._records import Alarm
from foreshock.detect._watched import PLANNED
from foreshock.detect.monitor import Monitor

__all__ = ["PLANNED", "Alarm", "Monitor"]
