"""Shiryaev-Roberts against a peak: values stay below the best level so far, by a little or for long.

The baseline is the highest level so far, the mean of 20 rows less what the luckiest of many such means is too
high by. It never follows a fall, so a decline of hundreds of rows is seen that no window holds. Likelihood
ratios of falls of 1/4 to 4 standard deviations are each summed over all possible onsets (Shiryaev-Roberts),
and averaged.

What it cannot see quickly: anything; it is the slowest and most patient of the evidences. Nor is it meant for
signals that drift down in a healthy run.

References: Shiryaev, Theory of Probability and Its Applications 8 (1963); Roberts, Technometrics 8 (1966);
mixtures over sizes as in Shin, Ramdas & Rinaldo, E-detectors, New England Journal of Statistics in Data
Science (2023). The scatter is plugged in and the margin of the baseline is a rule of thumb, so their
guarantee does not hold here.

>>> import numpy as np
>>> rng = np.random.default_rng(7)
>>> fall = -0.02 * np.maximum(0, np.arange(300) - 99)  # by 0.02 standard deviations a row from row 101 on
>>> state = start(1)
>>> scores = []
>>> for value in fall + rng.standard_normal(300):
...     state, verdict = step(state, np.array([value]))
...     scores.append(verdict.score[0])
>>> 1 + next(row for row, score in enumerate(scores) if score > 8)
153
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from foreshock.detect import noise
from foreshock.detect._verdict import NONE, Verdict, silent
from foreshock.detect.noise import Seen
from foreshock.run import FloatArray, IntArray

_SIZES = np.array([0.25, 0.5, 1.0, 2.0, 4.0])  # falls, in standard deviations
_LEVEL = 20  # rows of a level
_MARGIN = 2.5  # standard errors that the highest of many levels is too high by
_CLIP = 4.0
_LEAST = -5.0  # log ratios do not sink further, or a long good time would hide a fall


class Own(NamedTuple):
    """What is kept besides the noise.

    Attributes:
        peak: (k,) the highest level so far, less its margin; -inf before the first.
        ratios: (k, sizes) log of the sum over onsets of the likelihood ratios.
        since: (k,) rows since that sum began to grow.
    """

    peak: FloatArray
    ratios: FloatArray
    since: IntArray


class State(NamedTuple):
    """Noise and own state, for use by itself."""

    noise: noise.State
    own: Own


def start_own(k: int) -> Own:
    """Nothing seen of k signals."""
    return Own(np.full(k, -np.inf), np.full((k, len(_SIZES)), _LEAST), np.zeros(k, dtype=np.int64))


def start(k: int) -> State:
    """State for k signals."""
    return State(noise.start(k), start_own(k))


def step(state: State, x: FloatArray) -> tuple[State, Verdict]:
    """Take in one row of k values and judge."""
    scatter, seen = noise.step(state.noise, x)
    own, verdict = judge(state.own, seen)
    return State(scatter, own), verdict


def judge(own: Own, seen: Seen) -> tuple[Own, Verdict]:
    """The log of the mixture of Shiryaev-Roberts sums, less where values follow each other."""
    state, k = seen.noise, len(seen.fresh)
    ready = seen.fresh & (state.rows >= _LEVEL) & (state.sd > 0)
    if not ready.any():
        return own, silent(k)
    sd = np.where(state.sd > 0, state.sd, 1.0)
    slow = np.maximum((1 + state.phi) / (1 - state.phi), 1.0) * state.wander[:, 2] ** 2
    level = state.window[:, -_LEVEL:].mean(1) - _MARGIN * sd * np.sqrt(slow / _LEVEL)
    known = ready & np.isfinite(own.peak)
    baseline = np.where(known, own.peak, level)
    z = np.clip((baseline - state.window[:, -1]) / sd, -_CLIP, _CLIP)
    gain = (_SIZES * z[:, None] - _SIZES**2 / 2) / slow[:, None]
    ratios = np.maximum(np.logaddexp(0.0, own.ratios) + gain, _LEAST)
    ratios = np.where(known[:, None], ratios, own.ratios)
    mean = (np.logaddexp.reduce(ratios, axis=1) - np.log(len(_SIZES))) / state.slowness**3
    since = np.where(known, np.where(mean > 0, own.since + 1, 0), own.since)
    peak = np.where(ready, np.maximum(own.peak, level), own.peak)
    return Own(peak, ratios, since), Verdict(np.where(known, mean, NONE), np.where(known, since, 0))
