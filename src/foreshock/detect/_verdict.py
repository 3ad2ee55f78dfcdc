"""What a detector answers after a row, and how a detector is used on its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from foreshock.run import FloatArray, IntArray

NONE = -np.inf
"""The score of a detector that has no opinion."""


class Verdict(NamedTuple):
    """Evidence of k signals that something began, in the bad direction, which is down.

    Attributes:
        score: (k,) what `calibration` turns into a rate of false alarms; -inf without an opinion.
        rows: (k,) rows since it began, this one included; 0 without an opinion.
    """

    score: FloatArray
    rows: IntArray


def silent(k: int) -> Verdict:
    """No opinion on any of k signals."""
    return Verdict(np.full(k, NONE), np.zeros(k, dtype=np.int64))
