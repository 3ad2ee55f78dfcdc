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
_LAG_RECENT = 10  # the last of the lags, which are not the past yet
_LAG_MORE = 2  # versions behind beyond the largest lag of the past
_LAG_IN_A_ROW = 3


class EngineWatch:
    """Watches the rollout engine's weight version and its log-prob gap to the trainer.

    Args:
        before: `recorder.last("engine")`; a version that went back since is told.
    """

    def __init__(self, before: Mapping[str, Any] | None = None) -> None:
        self._version: float | None = (before or {}).get("weight_version")
        self._gaps: deque[float] = deque(maxlen=_WINDOW)
        self._high = 0
        self._lags: list[float] = []
        self._behind = 0
        self._told_stale = False

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
            changes += self._back(float(weight_version))
        if weight_version is not None and trainer_version is not None:
            lag = float(trainer_version) - float(weight_version)
            metrics["foreshock/engine/versions_behind"] = lag
            changes += self._stale(lag)
        if logp_gap is not None:
            metrics["foreshock/engine/logp_gap"] = float(logp_gap)
            changes += self._gap(float(logp_gap))
        data = {name.rpartition("/")[2]: value for name, value in metrics.items()}
        return Evidence(KIND, data, metrics, tuple(changes))

    def _back(self, version: float) -> Iterator[Change]:
        before, self._version = self._version, version
        if before is not None and version < before:
            text = f"The rollout engine went back from weight version {before:g} to {version:g}."
            yield Change("weights_went_back", text, {"before": before, "after": version})

    def _stale(self, lag: float) -> Iterator[Change]:
        """Told once, when the engine stays further behind than it ever was."""
        self._lags.append(lag)
        usual = max(self._lags[:-_LAG_RECENT], default=math.inf)  # a lag that creeps up is no past of its own
        if lag < usual + _LAG_MORE:
            self._behind, self._told_stale = 0, False
            return
        self._behind += 1
        if self._behind >= _LAG_IN_A_ROW and not self._told_stale:
            self._told_stale = True
            text = (
                f"The rollout engine is {lag:g} weight versions behind the trainer; it never was more than "
                f"{usual:g}."
            )
            yield Change("weights_stale", text, {"behind": lag, "before": usual})

    def _gap(self, gap: float) -> Iterator[Change]:
        """Told when the gap stays far above its past; after that the new level is the measure."""
        if not math.isfinite(gap) or gap <= 0:
            return
        logs = [math.log(each) for each in self._gaps]
        if len(logs) >= _PAST:
            middle = median(logs)
            spread = max(_SCALE * median(abs(each - middle) for each in logs), 0.05)
            high = gap > _HIGHEST * max(self._gaps) and math.log(gap) - middle > _FAR * spread
            self._high = self._high + 1 if high else 0
            if self._high >= _IN_A_ROW:
                self._high = 0
                self._gaps.clear()
                usual = math.exp(middle)
                text = (
                    f"The log-prob gap between rollout engine and trainer jumped from {usual:.3g} to "
                    f"{gap:.3g} nats."
                )
                yield Change("logp_gap_jumped", text, {"before": usual, "after": gap})
            elif high:
                return  # not a part of the past before it is clear what it is
        self._gaps.append(gap)
