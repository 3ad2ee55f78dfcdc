"""Everything that happened to one signal, by what kind of signal it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foreshock._arrays import quantiles_of
from foreshock.analysis._records import Change
from foreshock.analysis._trace import Trace, trace_of
from foreshock.analysis.falls import find_falls
from foreshock.analysis.shifts import find_shifts
from foreshock.analysis.spikes import find_spikes
from foreshock.analysis.spread import find_variance_change
from foreshock.analysis.steady import find_flat_lines, find_non_finite, find_saturation
from foreshock.run import FloatArray, IntArray

FEWEST = 8  # finite points below which no change is looked for
# The 95 % quantile as a multiple of the median, or of the 10 % quantile, from which a logarithm is taken.
_SKEWED, _WIDE = 8.0, 20.0


def find_changes(
    name: str,
    steps: IntArray,
    y: FloatArray,
    *,
    good: str | None = None,
    alpha: float = 0.05,
    nan_steps: IntArray | None = None,
    trace: Trace | None = None,
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
        trace: of the same signal, where the caller has it already.

    Returns:
        Changes by step, overlapping explanations of one event reduced to the plainest.
    """
    broken = find_non_finite(name, steps, y, nan_steps)
    if np.isfinite(y).sum() < FEWEST:
        return broken
    with np.errstate(over="ignore"):  # squares of absurd values: they are outliers all the same
        found = _told_once(trace or trace_of(name, steps, y), good, alpha)
    return sorted(broken + found, key=lambda change: (change.step, change.kind))


def _told_once(flat: Trace, good: str | None, alpha: float) -> list[Change]:
    """All changes among the finite values, overlapping explanations of one event reduced to the plainest."""
    saturated = find_saturation(flat) if flat.name == "truncation_ratio" else []
    if flat.y.min() == flat.y.max():
        return saturated
    trace, shift = (flat, None) if good == "up" else _on_its_scale(flat)
    if good == "up":
        moves = find_falls(trace, alpha)
    else:
        moves = find_shifts(
            trace, "rise" if good == "down" else "level_shift", alpha, upwards_only=good == "down"
        )
    spikes = find_spikes(trace, alpha / 2, good)
    spread = find_variance_change(trace, alpha / 2) if shift is None else []
    if shift is not None:
        moves, spikes = ([_back(c, flat, shift) for c in part] for part in (moves, spikes))
    still = saturated or [f for f in find_flat_lines(flat, alpha / 2) if not _is_rest(f, flat, good)]
    still = [f for f in still if not any(_settles(f, m, flat) for m in moves)]
    spikes = [s for s in spikes if not any(_inside(s, m) for m in moves)]
    spread = [v for v in spread if not any(_near(v, c) for c in (*moves, *still))]
    return sorted(still + moves + spikes + spread, key=lambda change: (change.step, change.kind))


def _on_its_scale(trace: Trace) -> tuple[Trace, float | None]:
    """The trace, or its logarithm where values differ by orders of magnitude (gradient norms, KL)."""
    y = trace.y
    low, middle, high = quantiles_of(y, 0.1, 0.5, 0.95)
    if y.min() < 0 or middle <= 0 or not (high > _SKEWED * middle or high > _WIDE * low > 0):
        return trace, None
    shift = 0.01 * middle
    return trace_of(trace.name, trace.steps, np.log(y + shift)), shift


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


def _is_rest(flat: Change, trace: Trace, good: str | None) -> bool:
    """Whether a still stretch is where a signal ought to rest: a share of bad things at its lowest."""
    return good == "down" and flat.to_value <= trace.y.min()


def _settles(flat: Change, move: Change, trace: Trace) -> bool:
    """Whether a still stretch is only where a move has ended; a length at its cap stays a fact of its own."""
    if flat.kind == "saturation" or flat.step < move.step:
        return False
    size = abs(move.to_value - move.from_value)
    return abs(flat.to_value - move.to_value) <= max(2 * trace.noise.sd, 0.1 * size)


def _inside(spike: Change, move: Change) -> bool:
    """Whether a spike is part of a fall or shift already told."""
    return move.step_interval[0] <= spike.step <= max(move.end_step, move.step_interval[1])


def _near(change: Change, other: Change) -> bool:
    """Whether a change of variance says no more than another change at the same place."""
    low, high = change.step_interval
    return other.step_interval[0] <= high and max(other.end_step, other.step_interval[1]) >= low
