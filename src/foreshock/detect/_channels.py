"""Who speaks for what: the signals that each kind of evidence looks at, in which direction, from when on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from foreshock.detect._watched import Watched
from foreshock.detect.calibration import rate_at, score_at
from foreshock.detect.noise import BoolArray
from foreshock.run import FloatArray, IntArray

_SPLIT = {
    "monotone": {"joint": 0.75, "peak": 0.1, "spike": 0.1, "stuck": 0.05},
    "drifting": {"steady": 0.85, "spike": 0.1, "stuck": 0.05},
}
"""Shares of a signal's budget; what it has no use for goes to the first."""
_SENTENCES = {
    "joint": "the last rows lie below those before them, and a lower stretch has probably begun",
    "steady": "the last rows leave the line of those before them",
    "peak": "values have stayed below the best level for long",
    "spike": "the newest value is far from the 30 before it",
    "stuck": "the value repeats itself where it used to move",
}


class Channel(NamedTuple):
    """One kind of evidence.

    Attributes:
        kind: its name in the calibration.
        signals: (c,) row of the signal that each of its channels looks at.
        signs: (c,) +1 where down is bad, -1 where up is.
        shares: (c,) of the budget of the whole run.
        thresholds: (c,) scores from which it speaks.
        patient: (c,) whether a single row says nothing.
    """

    kind: str
    signals: IntArray
    signs: FloatArray
    shares: FloatArray
    thresholds: FloatArray
    patient: BoolArray

    def rate(self, place: int, score: float) -> float:
        """The budget of the whole run, per 1000 steps, at which one channel would still speak at a score."""
        own = 1000 * 10.0**-score if self.kind == "stuck" else rate_at(self.kind, score)
        return max(own, 1e-12) / float(self.shares[place])

    def sentence(self, score: float) -> str:
        """What its evidence says."""
        return f"{_SENTENCES[self.kind]} ({self.kind} {score:.1f})"


def channels(names: Sequence[str], how: Sequence[Watched], budget: float) -> dict[str, Channel]:
    """All channels of these signals under a budget, by kind."""
    families = [name.partition("/")[0] for name in names]
    weights = np.array([one.share / families.count(base) for one, base in zip(how, families, strict=True)])
    rows: dict[str, list[tuple[int, float, float]]] = {
        kind: [] for kind in ("joint", "steady", "peak", "spike", "stuck")
    }
    for row, one in enumerate(how):
        split = dict(_SPLIT["drifting" if one.drifts else "monotone"])
        if not one.spikes:
            split[next(iter(split))] += split.pop("spike")
        signs = {"down": (1.0,), "up": (-1.0,), "both": (1.0, -1.0)}[one.bad]
        share = weights[row] / weights.sum()
        for kind, part in split.items():
            for sign in signs[: 1 if kind == "stuck" else 2]:
                many = 1 if kind == "stuck" else len(signs)
                rows[kind].append((row, sign, share * part / many))
    patient = np.array([one.patient for one in how])
    return {kind: _channel(kind, listed, budget, patient) for kind, listed in rows.items()}


def _channel(kind: str, listed: list[tuple[int, float, float]], budget: float, patient: BoolArray) -> Channel:
    signals = np.array([row for row, _, _ in listed], dtype=np.int64)
    shares = np.array([share for _, _, share in listed])
    at = [np.log10(1000 / (budget * s)) if kind == "stuck" else score_at(kind, budget * s) for s in shares]
    return Channel(
        kind,
        signals,
        np.array([sign for _, sign, _ in listed]),
        shares,
        np.array(at),
        patient[signals],
    )
