"""Which signals are watched, where their bad direction lies, and how much of the budget each gets.

A signal that a healthy run may well drift in (entropy that sinks, a length that grows, KL that always does)
is watched for changes faster than its drift; one that should only ever rise, for any fall. What spans orders
of magnitude is watched on a scale that is linear near 0 and logarithmic beyond `unit`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Watched:
    """How a signal is watched.

    Attributes:
        bad: "down", "up" or "both".
        drifts: whether a healthy run may drift that way.
        share: of the budget, compared with the other signals of the run.
        unit: where the logarithmic scale begins; 0 for none.
        spikes: whether a single value far off is worth an alarm.
        full: the value at which it is saturated, if that is bad.
        still: whether it is bad if it no longer moves, other than at its best so far.
        primary: whether a change of it is trouble by itself.
        patient: whether a single value far off says nothing, as healthy runs have them.
    """

    bad: str
    drifts: bool
    share: float
    unit: float = 0.0
    spikes: bool = False
    full: float | None = None
    still: bool = False
    primary: bool = False
    patient: bool = False

    def scaled(self, value: float) -> float:
        """The value on the scale that it is watched on."""
        return math.asinh(value / self.unit) if self.unit and math.isfinite(value) else value


_REWARD = Watched("down", drifts=False, share=8, spikes=True, still=True, primary=True)
_SCORE = Watched("down", drifts=False, share=2, primary=True)
_PART = Watched("down", drifts=False, share=1)
_SHARE = Watched("up", drifts=True, share=1, full=1.0)

WATCHED = {
    "reward_mean": _REWARD,
    "pass_rate": _SCORE,
    "eval_score": _SCORE,
    "reward_component_mean": _PART,
    "response_length_mean": Watched("both", drifts=True, share=2, still=True),
    "entropy": Watched("both", drifts=True, share=1, still=True),
    "kl_ref": Watched("up", drifts=True, share=1, unit=1e-5, patient=True),
    "grad_norm": Watched("up", drifts=True, share=1, unit=1e-3, patient=True),
    "clip_ratio": Watched("up", drifts=True, share=0.5),
    "approx_kl_update": Watched("up", drifts=True, share=0.5, unit=1e-4),
    "truncation_ratio": _SHARE,
    "frac_zero_variance_groups": _SHARE,
    "mismatch_logprob_abs": Watched("up", drifts=True, share=0.5, unit=1e-4),
    "mismatch_kl": Watched("up", drifts=True, share=0.5, unit=1e-5),
    "value_explained_var": Watched("down", drifts=True, share=0.5),
    "repetition_frac": _SHARE,
    "tool_failure_rate": _SHARE,
}
PLANNED = frozenset({"curriculum"})
"""Kinds of events that say: from this step on the task is another one, by plan."""
OTHER = Watched("both", drifts=True, share=1)
"""A signal that the user asks for."""


def watched(name: str) -> Watched | None:
    """How a signal is watched, None if it is not; `eval_score/math` is one of `eval_score`."""
    return WATCHED.get(name) or WATCHED.get(name.partition("/")[0])
