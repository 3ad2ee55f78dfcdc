"""The engine that generates rollouts: which weights it has, how far its log-probs are from the trainer's."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from foreshock.record.evidence import Change, Evidence

KIND = "engine"
_PAST = 20  # values before a gap can be called unusual
_WINDOW = 200
_SCALE = 1.4826  # of the median absolute deviation, to a standard deviation
_FAR = 8.0  # of these in the logarithm, and
_HIGHEST = 1.5  # times the highest of the past, and
_IN_A_ROW = 2  # steps in a row
_ACCEPTABLE = 1e-3  # nats; what number formats alone make of a gap


class EngineWatch:
    """Watches the rollout engine's weight version and its log-prob gap to the trainer.

    Both versions must count the same thing, such as steps of the trainer. Counters often begin anew with a
    process, so those of an earlier attempt are not compared with.

    Args:
        before: `recorder.last("engine")`: how old weights usually were.
    """

    def __init__(self, before: Mapping[str, Any] | None = None) -> None:
        self._gaps: deque[float] = deque(maxlen=_WINDOW)
        self._high = 0
        self._broken = False
        before = before or {}
        self._falls = _Falls()
        self._lags = _Lags(before.get("usual_behind"))
        self._stretches = _Stretches()
        self._stale = False

    def step(
        self,
        weight_version: float | None = None,
        trainer_version: float | None = None,
        logp_gap: float | None = None,
    ) -> Evidence:
        """Take what is known of a step; what is not stays None.

        Args:
            weight_version: counter of the weights that generated the batch.
            trainer_version: counter of the trainer's weights at that time.
            logp_gap: mean |log-prob of the engine - log-prob of the trainer| over sampled tokens, in nats.
        """
        metrics: dict[str, float] = {}
        changes: list[Change] = []
        if weight_version is not None:
            metrics["foreshock/engine/weight_version"] = float(weight_version)
            lag = None if trainer_version is None else float(trainer_version) - float(weight_version)
            if lag is not None:
                metrics["foreshock/engine/versions_behind"] = lag
            changes += self._weights(float(weight_version), lag)
        if logp_gap is not None:
            metrics["foreshock/engine/logp_gap"] = float(logp_gap)
            changes += self._gap(float(logp_gap))
        data = {name.rpartition("/")[2]: value for name, value in metrics.items()}
        if self._lags.usual is not None:
            data["usual_behind"] = self._lags.usual
        return Evidence(KIND, data, metrics, tuple(changes))

    def _weights(self, version: float, lag: float | None) -> list[Change]:
        """Told once, until the engine has fresh weights again."""
        stale = [*(() if lag is None else self._lags.step(lag)), *self._stretches.step(version)]
        back = list(self._falls.step(version)) if lag is None else []
        told, self._stale = self._stale, self._lags.told or self._stretches.told
        return [*back, *([] if told else stale[:1])]

    def _gap(self, gap: float) -> Iterator[Change]:
        """Told when the gap stays far above its past; after that the new level is the measure."""
        if not math.isfinite(gap):
            if not self._broken:
                self._broken = True
                text = f"The log-prob gap between rollout engine and trainer is {gap}."
                yield Change("logp_gap_not_finite", text, {"gap": str(gap)})
            return
        if gap <= 0:
            return
        logs = [math.log(each) for each in self._gaps]
        if len(logs) >= _PAST:
            middle = median(logs)
            spread = max(_SCALE * median(abs(each - middle) for each in logs), 0.05)
            bar = max(_HIGHEST * max(self._gaps), math.exp(middle + _FAR * spread), _ACCEPTABLE)
            self._high = self._high + 1 if gap > bar else 0
            if self._high >= _IN_A_ROW:
                self._high = 0
                self._gaps.clear()
                usual = math.exp(middle)
                text = (
                    f"The log-prob gap between rollout engine and trainer jumped from {usual:.3g} to "
                    f"{gap:.3g} nats."
                )
                yield Change("logp_gap_jumped", text, {"before": usual, "after": gap})
            elif gap > bar:
                return  # not a part of the past before it is clear what it is
        self._gaps.append(gap)


class _Falls:
    """A version that goes back, and stays there, by more than the batches of partial rollouts do."""

    FELL = 3  # versions that a batch may be older than the one before
    IN_A_ROW = 2

    def __init__(self) -> None:
        self._highest = -math.inf
        self._usual = 0.0
        self._low = 0

    def step(self, version: float) -> Iterator[Change]:
        fall, before = self._highest - version, self._highest
        self._low = self._low + 1 if fall > max(self.FELL, 2 * self._usual) else 0
        if self._low >= self.IN_A_ROW:
            self._highest, self._low = version, 0
            text = f"The rollout engine went back from weight version {before:g} to {version:g}."
            yield Change("weights_went_back", text, {"before": before, "after": version})
        elif not self._low:
            self._highest = max(before, version)
            self._usual = max(self._usual, fall)


class _Lags:
    """An engine that stays further behind the trainer than it ever was."""

    RECENT = 10  # the last of the lags, which are not the past yet: one that creeps up is none of its own
    PAST = 20  # lags before them; a queue fills up at the start
    MORE = 2  # versions beyond the largest lag of the past, and
    TIMES = 2
    IN_A_ROW = 3

    def __init__(self, usual: Any = None) -> None:
        self.usual: float | None = float(usual) if isinstance(usual, (int, float)) else None
        self._recent: deque[float] = deque()
        self._past = 0
        self._behind = 0
        self.told = False

    def step(self, lag: float) -> Iterator[Change]:
        self._recent.append(lag)
        if len(self._recent) > self.RECENT:
            old = self._recent.popleft()
            self.usual = old if self.usual is None else max(self.usual, old)
            self._past += 1
        usual = self.usual
        if usual is None or self._past < self.PAST or lag < max(usual + self.MORE, self.TIMES * usual):
            self._behind, self.told = 0, False
            return
        self._behind += 1
        if self._behind >= self.IN_A_ROW and not self.told:
            self.told = True
            text = (
                f"The rollout engine is {lag:g} weight versions behind the trainer; it never was more than "
                f"{usual:g}."
            )
            yield Change("weights_stale", text, {"behind": lag, "before": usual})


class _Stretches:
    """An engine that keeps its weights for more steps than ever."""

    PAST = 5  # changes of the version that say how often it changes
    NEVER = 50  # steps without any change from the start on

    def __init__(self) -> None:
        self._version: float | None = None
        self._steps = 0
        self._changes = 0
        self._longest = 0
        self.told = False

    def step(self, version: float) -> Iterator[Change]:
        if version != self._version:
            if self._version is not None:
                self._changes += 1
                self._longest = max(self._longest, self._steps)
            self._version, self._steps, self.told = version, 1, False
            return
        self._steps += 1
        known = self._changes >= self.PAST
        limit = 2 * self._longest + 2 if known else self.NEVER
        if self.told or self._steps <= limit or (self._changes and not known):
            return
        self.told = True
        usual = f"before, for {self._longest} at most" if known else "it never changed"
        text = f"The rollout engine has had weight version {version:g} for {self._steps} steps; {usual}."
        yield Change(
            "weights_stale", text, {"version": version, "steps": self._steps, "before": self._longest}
        )
