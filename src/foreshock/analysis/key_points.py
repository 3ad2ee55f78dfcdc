"""The points of a curve that a person would name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foreshock.analysis._records import KeyPoint, Phase
from foreshock.run import FloatArray, IntArray


def key_points(steps: IntArray, y: FloatArray, phases: Sequence[Phase]) -> tuple[KeyPoint, ...]:
    """Start, end, peak and trough of the level, half of the gain, boundaries, highest and lowest raw value.

    The level is the line of the phase that a step lies in, so it is robust against single points; `raw` is
    what was logged at that step. `half_gain` is the first step at which the level has made half of the way
    from the start to its peak, and is left out where the level never rose. Names: start, half_gain, peak,
    trough, boundary, end, raw_max, raw_min.

    Args:
        steps: shape (n,), increasing.
        y: shape (n,), finite.
        phases: what `phases()` says about the same arrays.
    """
    if not len(y) or not phases:
        return ()
    level = levels(steps, phases)
    last = len(y) - 1
    named = [("start", 0)]
    top, bottom = int(np.argmax(level)), int(np.argmin(level))
    if level[top] > level[0]:
        half = level[0] + (level[top] - level[0]) / 2
        named.append(("half_gain", int(np.argmax(level >= half))))
    named += [("peak", top), ("trough", bottom)]
    named += [("boundary", int(np.searchsorted(steps, phase.start))) for phase in phases[1:]]
    named += [("end", last), ("raw_max", int(np.argmax(y))), ("raw_min", int(np.argmin(y)))]
    return tuple(KeyPoint(name, int(steps[i]), float(level[i]), float(y[i])) for name, i in named)


def levels(steps: IntArray, phases: Sequence[Phase]) -> FloatArray:
    """The robust level at every step: the line of its phase."""
    level = np.empty(len(steps))
    for phase in phases:
        inside = (steps >= phase.start) & (steps <= phase.end)
        level[inside] = phase.start_value + phase.slope * (steps[inside] - phase.start)
    return level
