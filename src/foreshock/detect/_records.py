"""What the detection says, as plain records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

KINDS = ("drop", "rise", "spike", "saturation", "flat_line", "non_finite", "stall")


@dataclass(frozen=True)
class Alarm:
    """One message about one event: it opened, something about it changed, or it is over.

    Attributes:
        id: of the event, the same in all of its messages; unique within a run.
        state: "open", "update" or "closed".
        step: the step after which this is said.
        signal: canonical or original name; "" for a stall, which concerns the run.
        kind: "drop", "rise", "spike", "saturation", "flat_line", "non_finite" or "stall".
        severity: "trouble" or "watch".
        opened: the step after which the event was first told.
        onset: first step of the event.
        onset_interval: first and last step at which it may have begun.
        from_value: level before the onset, in the unit of the signal; None where there is none.
        to_value: level since then, likewise.
        sigma: their distance in standard deviations of a single step's noise.
        percent_of_peak: the change as share of the highest level before it; None where that says nothing.
        percent_of_gain: as share of the gain since the start.
        false_alarm_rate: false alarms per 1000 steps of the whole run at which this would still have been
            told; None for what is a fact and no estimate (a NaN, a stall).
        evidence: one sentence for each detector that spoke.
        text: the whole in one sentence.
    """

    id: str
    state: str
    step: int
    signal: str
    kind: str
    severity: str
    opened: int
    onset: int
    onset_interval: tuple[int, int]
    from_value: float | None
    to_value: float | None
    sigma: float | None
    percent_of_peak: float | None
    percent_of_gain: float | None
    false_alarm_rate: float | None
    evidence: tuple[str, ...]
    text: str

    def as_dict(self) -> Mapping[str, Any]:
        """The fields by name; the evidence and the interval are lists."""
        fields = asdict(self)
        return {**fields, "onset_interval": list(self.onset_interval), "evidence": list(self.evidence)}
