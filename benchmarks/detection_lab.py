"""Runs of the lab: false alarms on healthy ones, and how soon a fault is told whose first step is known."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detection_measure import Rate
from detection_methods import Method
from detection_runs import Message, Rows, Watch, apart, of_columns

ROOT = Path(__file__).resolve().parents[1]
WITHIN = (8, 16)
SHOWN = 0.5  # power of the ideal observer within 16 steps from which a fault counts as one that shows
Told = Callable[[Rows], list[Message]]


def of_lab(
    folder: Path,
    methods: Sequence[Method],
    watches: Sequence[Watch],
    settings: Mapping[str, Sequence[float]],
) -> dict[str, Any]:
    """Rates by split, and delays on the faulty runs of both; methods see the reward only."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from lab.tables import load

    corpus = load(folder)
    tools: dict[str, Told] = {m.name: _on_reward(m, float(np.mean(settings[m.name]))) for m in methods}
    tools |= {w.name: w.alarms for w in watches}
    runs = {id: (run.truth, of_columns(run.steps, run.metrics, run.facts)) for id, run in corpus.runs.items()}
    return {
        "runs": {"healthy": _count(runs, True), "faulty": _count(runs, False)},
        "tools": {name: _one(told, runs) for name, told in tools.items()},
    }


def _count(runs: Mapping[str, tuple[dict[str, Any], Rows]], healthy: bool) -> int:
    return sum((truth["onset"] is None) == healthy for truth, _ in runs.values())


def _on_reward(method: Method, setting: float) -> Told:
    def told(rows: Rows) -> list[Message]:
        y, steps = rows.reward()
        said = method.answer(y[None, :]).at(setting)[0]
        return [Message(steps[i], "reward_mean", "") for i in np.flatnonzero(said)]

    return told


def _one(told: Told, runs: Mapping[str, tuple[dict[str, Any], Rows]]) -> dict[str, Any]:
    """What one tool says of all runs."""
    rates = {"fit": Rate(0, 0), "check": Rate(0, 0)}
    waited: list[float] = []
    shown: list[bool] = []
    ideal: list[float] = []
    early = 0
    for truth, rows in runs.values():
        said = [m for m in told(rows) if m.opens]
        onset = truth["onset"]
        if onset is None:
            split = truth.get("split", "check")
            rates[split] = rates[split] + Rate(apart(rows.steps, said), len(rows.steps))
            continue
        if any(m.step < onset for m in said):
            early += 1
            continue
        waited.append(min((m.step - onset + 1.0 for m in said), default=np.inf))
        seen = truth.get("ideal") or {}
        shown.append((seen.get("power_16") or 0) >= SHOWN)
        ideal.append(np.inf if seen.get("delay") is None else float(seen["delay"]))
    return {
        "healthy": {split: [rate.per_1000, rate.error] for split, rate in rates.items()},
        "early": early,
        "faulty": _waits(np.array(waited), np.array(ideal)),
        "shown": _waits(np.array(waited)[shown], np.array(ideal)[shown]) if any(shown) else None,
    }


def _waits(waited: np.ndarray[Any, Any], ideal: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Share told within some steps, and medians; infinity where half are not told."""

    def middle(values: np.ndarray[Any, Any]) -> float | None:
        value = float(np.median(values)) if len(values) else np.inf
        return value if np.isfinite(value) else None

    return {
        "runs": len(waited),
        **{f"within {k}": float((waited <= k).mean()) if len(waited) else None for k in WITHIN},
        "median": middle(waited),
        "ideal median": middle(ideal),
    }
