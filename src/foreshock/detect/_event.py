"""One event while it lasts: where it began, how large it is, and when there is something new to say of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from foreshock import signals
from foreshock.analysis._locate import locate
from foreshock.detect._records import Alarm
from foreshock.detect._watched import Watched
from foreshock.run import FloatArray, IntArray

_LOOKS = (2, 4, 8, 16, 32)  # rows after the opening at which the event is looked at again
_BACK = 24  # rows before the onset that it is placed among, at least
_LOW = 1.5  # standard deviations below the level before that make a row part of the event
_UNDONE = 2 / 3  # share of a change that must be undone for it to be over
_SETTLED = 60  # rows after which a level that stays is the usual one
_GROWN = 1.5  # times the size told before, from which it is told anew
_MOST_SIGMA = 100.0  # that a sentence tells
_COLLAPSE = 0.3  # share of its length that a response must lose to be trouble by itself


@dataclass(frozen=True)
class Facts:
    """What the monitor knows of a signal when it looks at an event of it.

    Attributes:
        steps: (n,) of the last rows that had it, newest last.
        values: (n,) its values, on the scale that it is watched on.
        sd: of a single value, on that scale.
        phi: their autocorrelation.
        start: level of its first rows, on that scale.
        best: its highest level so far in the good direction.
        signed: whether it had values below 0.
    """

    steps: IntArray
    values: FloatArray
    sd: float
    phi: float
    start: float
    best: float
    signed: bool


@dataclass
class Event:
    """One event of one signal in one direction.

    Attributes:
        name: of the signal.
        how: it is watched.
        sign: +1 where down is bad, -1 where up is.
        opened: step at which it was first told.
        rows: of the signal since then.
        rate: lowest false-alarm rate, per 1000 steps of the run, at which it would have been told.
        evidence: a sentence for each detector and each further signal that spoke.
        said: the last message.
    """

    name: str
    how: Watched
    sign: float
    opened: int
    rate: float
    evidence: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    said: Alarm | None = None
    over: str = ""
    settled: bool = False  # over, as the new level has become the usual one

    def open(self, step: int, rows: int, facts: Facts) -> Alarm:
        """The first message; the detector puts the onset `rows` rows back."""
        self.said = self._described(step, rows, facts, "open")
        return self.said

    def attached(self, step: int, sentence: str, key: str) -> Alarm | None:
        """Another signal moves too: a message, once for each signal."""
        if self.said is None or key in self.evidence:
            return None
        self.evidence[key] = sentence
        self.said = replace(self.said, state="update", step=step, evidence=tuple(self.evidence.values()))
        return self.said

    def next(self, step: int, facts: Facts) -> Alarm | None:
        """A row later: a message if the event is over, or no longer what was said."""
        said = self.said
        if said is None:
            return None
        self.rows += 1
        since = int((facts.steps >= said.onset).sum())
        if self._back(facts, since):
            self.over = "the level is back"
        elif self.rows >= _SETTLED:
            self.over, self.settled = "the new level has become the usual one", True
        if self.over:
            kind = "spike" if self.over == "the level is back" and since <= 4 else said.kind
            alarm = replace(said, state="closed", step=step, kind=kind)
            self.said = replace(alarm, text=f"{said.text} Over at step {step}: {self.over}.")
            return self.said
        if self.rows not in _LOOKS:
            return None
        now = self._described(step, since, facts, "update")
        if not _new(said, now):
            return None
        self.said = now
        return now

    def _back(self, facts: Facts, since: int) -> bool:
        """Whether most of the change is undone."""
        said = self.said
        assert said is not None
        before, after = (self.how.scaled(value or 0.0) for value in (said.from_value, said.to_value))
        recent = facts.values[-min(4, max(self.rows, 1)) :]
        if len(recent) < 2:
            return False
        undone = (recent - after) * self.sign
        return bool(
            undone.mean() >= _UNDONE * abs(before - after) and (undone >= abs(before - after) / 3).all()
        )

    def _described(self, step: int, rows: int, facts: Facts, state: str) -> Alarm:
        """A message about the event as it looks now."""
        down = facts.values * self.sign
        onset, low, high, before, after = _placed(down, rows, facts, falls=not self.how.drifts)
        sigma = (before - after) / facts.sd if facts.sd > 0 else None
        best = max(before, facts.best * self.sign)
        gain = best - facts.start * self.sign
        size = self._unscaled(before * self.sign), self._unscaled(after * self.sign)
        peak = self._unscaled(best * self.sign) if self.sign > 0 else max(size)
        change = abs(size[0] - size[1])
        rewarding = self.sign > 0 and not self.how.drifts and gain > 3 * facts.sd > 0
        kind = "spike" if onset == len(down) - 1 and state == "open" and self.how.spikes else self._way()
        alarm = Alarm(
            id=f"{self.name}-{'down' if self.sign > 0 else 'up'}-{self.opened}",
            state=state,
            step=step,
            signal=self.name,
            kind=kind,
            severity=self._severity(size),
            opened=self.opened,
            onset=int(facts.steps[onset]),
            onset_interval=(int(facts.steps[low]), int(facts.steps[high])),
            from_value=size[0],
            to_value=size[1],
            sigma=None if sigma is None else float(sigma),
            percent_of_peak=None if facts.signed or peak <= 0 else 100 * change / peak,
            percent_of_gain=100 * float((before - after) / gain) if rewarding else None,
            false_alarm_rate=self.rate,
            evidence=tuple(self.evidence.values()),
            text="",
        )
        return replace(alarm, text=told(alarm))

    def _way(self) -> str:
        return "drop" if self.sign > 0 else "rise"

    def _severity(self, size: tuple[float, float]) -> str:
        shrunk = self.name == "response_length_mean" and size[1] < (1 - _COLLAPSE) * size[0]
        return "trouble" if self.how.primary or shrunk else "watch"

    def _unscaled(self, value: float) -> float:
        import math

        return float(math.sinh(value) * self.how.unit) if self.how.unit else float(value)


def told(alarm: Alarm) -> str:
    """The alarm in a sentence."""
    signal = signals.signal(alarm.signal)
    title = signal.title if signal else alarm.signal
    verb = {"drop": "fell", "rise": "rose", "spike": "leapt"}[alarm.kind]
    low, high = alarm.onset_interval
    when = f"at step {alarm.onset}" + (f" ({low} to {high})" if low < high else "")
    parts = []
    if alarm.sigma is not None:
        times = f"{alarm.sigma:.1f}" if alarm.sigma < _MOST_SIGMA else f"over {_MOST_SIGMA:.0f}"
        parts.append(f"{times} times the noise of a step")
    if alarm.percent_of_peak is not None and alarm.kind != "rise":
        parts.append(f"{alarm.percent_of_peak:.1f} % of the peak")
    if alarm.percent_of_gain is not None:
        parts.append(f"{alarm.percent_of_gain:.0f} % of the gain since the start")
    size = f": {', '.join(parts)}" if parts else ""
    return f"{title} {verb} from {alarm.from_value:.4g} to {alarm.to_value:.4g} {when}{size}."


def _placed(down: FloatArray, rows: int, facts: Facts, *, falls: bool) -> tuple[int, int, int, float, float]:
    """Onset, interval (places in the window), and levels before and since."""
    n = len(down)
    first = max(0, n - rows - max(_BACK, rows))
    if n - first >= 6 and rows >= 3 and facts.sd > 0:
        ramp = locate(down, first, n, facts.sd, facts.phi, falls=falls)
        if ramp.before > ramp.after:
            return ramp.onset, ramp.low, ramp.high, ramp.before, ramp.after
    onset = n - max(rows, 1)
    usual = float(down[max(0, onset - _BACK) : max(onset, 1)].mean())
    while onset - 1 > first and down[onset - 1] < usual - _LOW * facts.sd:
        onset -= 1
    before = down[max(0, onset - _BACK) : max(onset, 1)]
    low, high = max(first, onset - 2), min(n - 1, onset + 1)
    return onset, low, high, float(before.mean()), float(down[onset:].mean())


def _new(said: Alarm, now: Alarm) -> bool:
    """Whether a message would say something else than the last one."""
    larger = (now.sigma or 0.0) >= _GROWN * (said.sigma or 0.0) > 0
    moved = not said.onset_interval[0] <= now.onset <= said.onset_interval[1]
    return larger or moved or now.kind != said.kind or now.severity != said.severity
