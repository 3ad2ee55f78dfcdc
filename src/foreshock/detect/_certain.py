"""Events that are facts, not estimates: values that are none, that no longer move, that can get no worse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from foreshock import signals
from foreshock.detect import non_finite, saturated, stuck
from foreshock.detect._channels import Channel
from foreshock.detect._records import Alarm
from foreshock.detect._state import joined
from foreshock.detect._watched import Watched
from foreshock.detect.noise import WINDOW, BoolArray
from foreshock.run import FloatArray, IntArray

_KINDS = ("non_finite", "flat_line", "saturation")
_SATURATED = 0.98  # of the value at which a signal is full
_OVER = 10  # rows without it after which such an event is over
_SEVERE = ("reward_mean", "grad_norm", "loss")


class Certain:
    """Opens and closes these events for all signals of a run."""

    def __init__(self) -> None:
        self._stuck, self._nan = stuck.start(0), non_finite.start(0)
        self._saturated = saturated.start(0)
        self._most, self._best = np.zeros(0), np.zeros(0)
        self._up = np.zeros(0)
        self._still = np.zeros(0, dtype=bool)
        self._without = np.zeros((0, len(_KINDS)), dtype=np.int64)
        self._held = np.zeros((0, len(_KINDS)), dtype=bool)
        self.open: dict[tuple[int, str], Alarm] = {}

    def grow(self, how: Sequence[Watched]) -> None:
        """Make room for more signals."""
        k = len(how)
        self._stuck, self._nan = joined(self._stuck, stuck.start(k)), joined(self._nan, non_finite.start(k))
        self._saturated = joined(self._saturated, saturated.start(k))
        limits = [_SATURATED * one.full if one.full is not None else np.inf for one in how]
        self._most, self._best = np.append(self._most, limits), np.append(self._best, np.full(k, -np.inf))
        self._up = np.append(self._up, [{"down": 1.0, "up": -1.0, "both": np.nan}[one.bad] for one in how])
        self._still = np.append(self._still, [one.still for one in how])
        self._without = np.concatenate([self._without, np.zeros((k, len(_KINDS)), dtype=np.int64)])
        self._held = np.concatenate([self._held, np.zeros((k, len(_KINDS)), dtype=bool)])

    def step(
        self,
        step: int,
        raw: FloatArray,
        logged: BoolArray,
        steps: IntArray,
        names: Sequence[str],
        channel: Channel,
    ) -> list[Alarm]:
        """Take in one row.

        Args:
            step: of the row.
            raw: (k,) values.
            logged: (k,) whether the row had the signal.
            steps: (k, WINDOW) steps of the last rows of each signal.
            names: of the signals.
            channel: thresholds of `stuck`, one for each signal in order.
        """
        self._nan, bad = non_finite.step(self._nan, raw, logged)
        self._stuck, still = stuck.step(self._stuck, raw)
        self._saturated, full = saturated.step(self._saturated, raw, self._most)
        self._best = np.fmax(self._best, raw * self._up, where=np.isfinite(raw), out=self._best)
        if not (bad.rows.any() or still.rows.any() or full.rows.any() or self._held.any()):
            return []  # most rows of most runs
        thresholds = channel.thresholds
        # Standing still at the best value so far is where a good run ends.
        flat = self._still & (still.score >= thresholds) & ~(raw * self._up >= self._best)
        true = np.stack([bad.rows > 0, flat, full.score >= thresholds], axis=1)
        self._without = np.where(true, 0, self._without + logged[:, None])
        over = self._without >= np.where(np.arange(len(_KINDS)) == 0, 1, _OVER)
        now = true | (self._held & ~over)
        changed = (now != self._held) & logged[:, None]
        if not changed.any():
            return []
        self._held = np.where(changed, now, self._held)
        said = []
        for row, place in np.argwhere(changed).tolist():
            key = (row, _KINDS[place])
            if now[row, place]:
                verdict = (bad, still, full)[place]
                back = 1 if verdict is bad else int(verdict.rows[row])
                onset = int(steps[row, -min(back, WINDOW)]) if back > 1 else step
                rate = None if verdict is bad else channel.rate(row, float(verdict.score[row]))
                self.open[key] = _alarm(names[row], key[1], step, onset, float(raw[row]), rate)
                said.append(self.open[key])
            else:
                old = self.open.pop(key)
                text = f"{old.text} Over at step {step}."
                said.append(replace(old, state="closed", step=step, text=text))
        return said


def _alarm(name: str, kind: str, step: int, onset: int, value: float, rate: float | None) -> Alarm:
    """A fact as an alarm."""
    signal = signals.signal(name)
    title = signal.title if signal else name
    text = {
        "non_finite": f"{title} is {value} at step {step}.",
        "flat_line": f"{title} has been exactly {value:.6g} since step {onset}.",
        "saturation": f"{title} is at its limit, {value:.4g}, since step {onset}.",
    }[kind]
    return _fact(name, kind, step, onset, value, rate, text)


def standing(step: int, waited: float, usual: float) -> Alarm:
    """The run stands still, in seconds."""
    text = f"No new step for {waited:.0f} s after step {step}; the limit is {usual:.0f} s."
    return _fact("", "stall", step, step, None, None, text)


def _fact(
    name: str, kind: str, step: int, onset: int, value: float | None, rate: float | None, text: str
) -> Alarm:
    return Alarm(
        id=f"{name or 'run'}-{kind}-{step}",
        state="open",
        step=step,
        signal=name,
        kind=kind,
        severity="trouble" if name in _SEVERE or kind == "stall" else "watch",
        opened=step,
        onset=onset,
        onset_interval=(onset, onset),
        from_value=None,
        to_value=value,
        sigma=None,
        percent_of_peak=None,
        percent_of_gain=None,
        false_alarm_rate=rate,
        evidence=(),
        text=text,
    )
