"""What limits how far a signal, or the whole run, can be trusted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from foreshock._arrays import commonest
from foreshock.analysis._records import Quality
from foreshock.analysis.changes import FEWEST
from foreshock.run import FloatArray, IntArray

_HELD = 0.7  # share of the values that must be held equally long
_LIFELESS = 0.95  # mean share of groups without any spread of rewards


def hold_length(y: FloatArray) -> int:
    """For how many rows each value of a forward-filled signal is repeated; 1 where it is not.

    A signal counts as forward-filled when most of its values, at least five, are held equally long. A
    value that merely repeats often (a reward in eighths) is held for irregular times.
    """
    values = y[np.isfinite(y)]
    if len(values) < 2 * FEWEST:
        return 1
    edges = np.flatnonzero(np.diff(values))
    if len(edges) < 5:
        return 1
    holds = np.diff(edges)
    usual, _ = commonest(holds)
    # A value that happens to come twice in a row doubles its hold.
    regular = np.sum(holds % usual == 0)
    return usual if usual > 1 and regular >= _HELD * len(holds) else 1


def without_fill(y: FloatArray) -> FloatArray:
    """The signal with repeats of a forward-filled value as NaN: statistics count what was measured."""
    hold = hold_length(y)
    if hold == 1:
        return y
    rows = np.flatnonzero(np.isfinite(y))
    changed = rows[np.flatnonzero(np.diff(y[rows])) + 1]
    first = int(changed[0] % hold) if len(changed) else 0
    kept = np.full_like(y, np.nan)
    kept[first::hold] = y[first::hold]
    kept[changed] = y[changed]
    return kept


def signal_quality(name: str, steps: IntArray, y: FloatArray, good: str | None) -> list[Quality]:
    """Constant, forward-filled, too short, or not finite: what is wrong with one signal.

    Args:
        name: of the signal.
        steps: shape (n,).
        y: shape (n,), NaN where not logged.
        good: "up" for a signal that should rise: constant, it is called dead.
    """
    found = []
    values = y[np.isfinite(y)]
    infinite = np.flatnonzero(np.isinf(y))
    if len(infinite):
        text = f"{_many(len(infinite), 'value')} of {name} not finite, the first at step {steps[infinite[0]]}"
        found.append(Quality(name, "non_finite", text, len(infinite), int(steps[infinite[0]])))
    if 0 < len(values) < FEWEST:
        text = f"{name} has {_many(len(values), 'value')}: too few to tell a change from noise"
        found.append(Quality(name, "too_few_points", text, len(values)))
    elif len(values) and values.min() == values.max():
        kind = "dead" if good == "up" else "constant"
        text = f"{name} is {values[0]:.6g} at every one of its {len(values)} steps"
        found.append(Quality(name, kind, text, len(values)))
    elif len(values) and (hold := hold_length(y)) > 1:
        measured = int(np.isfinite(without_fill(y)).sum())
        text = f"{name} repeats each value for {hold} rows: {measured} measurements, not {len(values)}"
        found.append(Quality(name, "forward_filled", text, len(values) - measured))
    return found


def _many(count: int, noun: str) -> str:
    """A count with its noun: "1 step", "2 steps"."""
    return f"{count} {noun}" + "s" * (count != 1)


def run_quality(steps: IntArray, notes: Mapping[str, int], series: Mapping[str, FloatArray]) -> list[Quality]:
    """What is wrong with the run as a whole: steps that are missing or repeated, rewards without spread.

    Args:
        steps: shape (n,), strictly increasing.
        notes: kinds of repairs that the reader made, with their counts.
        series: canonical signals.
    """
    found = []
    if len(steps) < FEWEST:
        text = f"the run has {_many(len(steps), 'step')}: too few to tell a change from noise"
        found.append(Quality(None, "too_few_points", text, len(steps)))
    for kind, count in notes.items():
        if "repeated" in kind or "duplicate" in kind:
            found.append(
                Quality(None, "repeated_steps", f"{_many(count, 'step')} logged more than once", count)
            )
    if len(steps) >= 3:
        gaps = np.diff(steps)
        usual, often = commonest(gaps)
        wide = np.flatnonzero(gaps > usual)
        missing = int(np.sum(gaps[wide] // usual - 1))
        if missing and often > len(gaps) / 2:
            at = int(steps[wide[0]])
            text = f"{_many(missing, 'step')} missing, the first after step {at}"
            found.append(Quality(None, "missing_steps", text, missing, at))
    lifeless = series.get("frac_zero_variance_groups")
    if lifeless is not None and np.isfinite(lifeless).sum() >= FEWEST:
        share = float(lifeless[np.isfinite(lifeless)].mean())
        if share >= _LIFELESS:
            text = f"in {100 * share:.0f} % of the groups all rewards are equal: nothing to learn from"
            found.append(Quality("reward_mean", "dead", text))
    return found
