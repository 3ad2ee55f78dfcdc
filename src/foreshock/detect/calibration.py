"""From a score to the rate of false alarms, and back.

`calibration.json` holds, for each kind of evidence, the scores that are reached at given rates in runs in
which nothing happens. They were simulated (`benchmarks/calibrate_detection.py`): at each rate the highest
score that any of the families needs, so that the rate is kept in the worst of them. Beyond the simulated
rates their logarithm goes on in a straight line in the score, from the last decade.

It is a calibration and no guarantee: noise of another kind than the families' may give more.
"""

from __future__ import annotations

import functools
import json
from importlib import resources

import numpy as np

from foreshock.run import FloatArray

KINDS = ("joint", "steady", "peak", "spike")


@functools.cache
def _table() -> dict[str, dict[str, list[float]]]:
    """Rates per 1000 steps of one signal, falling, and the scores that they are reached at, rising."""
    text = resources.files("foreshock.detect").joinpath("calibration.json").read_text()
    found: dict[str, dict[str, list[float]]] = json.loads(text)["evidence"]
    return found


@functools.cache
def _line(kind: str) -> tuple[FloatArray, FloatArray, float]:
    """Scores, log rates, and the slope beyond the last."""
    table = _table()[kind]
    scores, logs = np.array(table["scores"]), np.log(table["rates"])
    decade = int(np.searchsorted(-logs, -logs[-1] - np.log(10)))
    return scores, logs, float((logs[-1] - logs[decade]) / (scores[-1] - scores[decade]))


def score_at(kind: str, rate: float) -> float:
    """The score that one signal reaches at this many false alarms per 1000 steps."""
    scores, logs, slope = _line(kind)
    log = np.log(rate)
    if log < logs[-1]:
        return float(scores[-1] + (log - logs[-1]) / slope)
    return float(np.interp(-log, -logs, scores))


def rate_at(kind: str, score: float) -> float:
    """False alarms per 1000 steps of one signal at this score; the first simulated rate for lower ones."""
    scores, logs, slope = _line(kind)
    if score > scores[-1]:
        return float(np.exp(max(logs[-1] + slope * (score - scores[-1]), np.log(1e-12))))
    return float(np.exp(np.interp(score, scores, logs)))
