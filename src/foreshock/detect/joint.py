"""Scan and change-point odds as one evidence: the patience of the one, the quickness of the other.

The score is the scan's deviate plus the log odds of `bocpd`, at 0.3 and less the more a signal's values
follow each other, and the whole is less where they do: the same score then is about equally rare whatever
the autocorrelation. Under drifts there is only the scan, as they would mislead the odds.

What it cannot see: see `scan`.
"""

from __future__ import annotations

import numpy as np

from foreshock.detect import bocpd, scan
from foreshock.detect._verdict import Verdict
from foreshock.detect.noise import BoolArray, Seen

_WEIGHT = 0.3
_LEAST = -2.0  # odds below count as these


def judge(own: bocpd.Own, seen: Seen) -> tuple[bocpd.Own, Verdict]:
    """Both evidences."""
    scanned = scan.judge(seen)
    own, odds = bocpd.judge(own, seen)
    phi = seen.noise.phi
    weight = _WEIGHT * np.minimum((1 - phi) / (1 + phi), 1.0) ** 2
    score = scanned.score + weight * np.maximum(odds.score, _LEAST)
    return own, Verdict(score / seen.noise.slowness, scanned.rows)


def judge_steady(seen: Seen, patient: BoolArray | None = None) -> Verdict:
    """The scan alone, safe under drifts; a single row of a `patient` signal says nothing."""
    scanned = scan.judge(seen, steady=True, patient=patient)
    return Verdict(scanned.score / seen.noise.slowness, scanned.rows)
