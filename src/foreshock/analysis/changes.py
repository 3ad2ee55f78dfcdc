"""Everything that happened to one signal, by what kind of signal it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foreshock.analysis._records import Change
from foreshock.analysis._trace import Trace, trace_of
from foreshock.analysis.falls import find_falls
from foreshock.analysis.shifts import find_shifts
from foreshock.analysis.spikes import find_spikes
from foreshock.analysis.spread import find_variance_change
from foreshock.analysis.steady import find_flat_lines, find_non_finite, find_saturation
from foreshock.run import FloatArray, IntArray

FEWEST = 8  # finite points below which no change is looked for
_SKEWED = 8.0  # a 95 % quantile this many medians high: the signal lives on a logarithmic scale


def find_changes(
    name: str,
    steps: IntArray,
    y: FloatArray,
    *,
    good: str | None = None,
    alpha: float = 0.05,
    nan_steps: IntArray | None = None,
) -> list[Change]:
    """Find all changes of one signal, each kind at its own false-alarm rate for the whole run.

    What should rise (reward) is searched for falls, at `alpha`; growth is what it is for. What should
    stay low is searched for rises, everything else for shifts in both directions. Every signal is
    searched for spikes, flat lines, a change of variance, saturation and values that are not finite,
    at `alpha` / 2 each.

    Args:
        name: of the signal; those with "length" in it can saturate, as can "truncation_ratio".
        steps: shape (n,).
        y: shape (n,), NaN where not logged.
        good: "up", "down" or None.
        alpha: share of healthy runs that get any fall (or shift) of this signal.
        nan_steps: steps at which NaN was explicitly logged.

    Returns:
        Changes by step, overlapping explanations of one event reduced to the plainest.
    """
    broken = find_non_finite(name, steps, y, nan_steps)
    values = y[np.isfinite(y)]
    if len(values) < FEWEST or values.min() == values.max():
        return broken
    flat = trace_of(name, steps, y)
    saturated = find_saturation(flat) if name == "truncation_ratio" else []
    still = saturated + find_flat_lines(flat, alpha / 2)
    trace, shift = (flat, None) if good == "up" else _on_its_scale(flat)
    if good == "up":
        moves = find_falls(trace, alpha)
    else:
        moves = find_shifts(
            trace, "rise" if good == "down" else "level_shift", alpha, upwards_only=good == "down"
        )
    spikes = find_spikes(trace, alpha / 2)
    spread = find_variance_change(trace, alpha / 2)
    if shift is not None:
        moves, spikes = ([_back(c, flat, shift) for c in part] for part in (moves, spikes))
        spread = []
    spikes = [s for s in spikes if not any(_same_event(s, m) for m in moves)]
    spread = [v for v in spread if not any(_near(v, c) for c in (*moves, *still))]
    return sorted(broken + still + moves + spikes + spread, key=lambda change: (change.step, change.kind))


def _on_its_scale(trace: Trace) -> tuple[Trace, float | None]:
    """The trace, or its logarithm where a few values tower over the rest (gradient norms, KL)."""
    y = trace.y
    middle = float(np.median(y))
    if y.min() < 0 or middle <= 0 or np.quantile(y, 0.95) < _SKEWED * middle:
        return trace, None
    shift = 0.1 * middle
    logs = np.log(y + shift)
    return trace_of(trace.name, trace.steps, logs), shift


def _back(change: Change, trace: Trace, shift: float) -> Change:
    """A change found on the logarithm, told in the signal's own unit; sigma stays that of the logarithm."""
    before, after = (max(float(np.exp(v)) - shift, 0.0) for v in (change.from_value, change.to_value))
    higher = max(before, after)
    return replace(
        change,
        from_value=before,
        to_value=after,
        percent_of_peak=100 * abs(after - before) / higher if higher > 0 else None,
        percent_of_gain=None,
        detail="; ".join(part for part in (change.detail, "sigma on a logarithmic scale") if part),
    )


def _same_event(spike: Change, move: Change) -> bool:
    """Whether a spike is part of a fall or shift already told."""
    return move.step_interval[0] <= spike.step <= max(move.end_step, move.step_interval[1])


def _near(change: Change, other: Change) -> bool:
    """Whether a change of variance says no more than another change at the same place."""
    low, high = change.step_interval
    return other.step_interval[0] <= high and max(other.end_step, other.step_interval[1]) >= low
