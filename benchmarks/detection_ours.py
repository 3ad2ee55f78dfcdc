"""Foreshock's own detection: on curves, on whole runs, and what it costs."""

from __future__ import annotations

import importlib
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from detection_measure import BoolArray
from detection_methods import Method
from detection_runs import Message, Rows, Watch
from foreshock.detect import bocpd, joint, noise, peak, scan
from foreshock.detect._verdict import Verdict
from foreshock.detect.noise import Seen
from foreshock.run import FloatArray

Monitor: Any = getattr(importlib.import_module("foreshock.detect"), "Monitor", None)

BUDGETS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
SLOW = 100  # curves of each kind that the monitor is given: it takes one row at a time
SIGNALS = (
    "reward_mean response_length_mean entropy kl_ref grad_norm loss clip_ratio truncation_ratio reward_std "
    "learning_rate"
).split()


Judge = Callable[[Any, Seen], tuple[Any, Verdict]]


def methods() -> list[Method]:
    """The detectors on single curves, each with a threshold to tune, and the monitor as it comes."""
    said = "noise, autocorrelation, tails and wander by its own estimate"
    each: list[tuple[str, str, Judge, Callable[[int], Any]]] = [
        ("Foreshock joint", f"scan and BOCPD as one; {said}", joint.judge, bocpd.start_own),
        ("Foreshock scan", f"isotonic-null scan alone; {said}", _scanned, _nothing),
        ("Foreshock peak", "Shiryaev-Roberts against a peak baseline alone", peak.judge, peak.start_own),
    ]
    found = [Method(name, note, partial(scores, judge, own)) for name, note, judge, own in each]
    found[0] = replace(found[0], known=partial(scores, joint.judge, bocpd.start_own))
    if Monitor is not None:
        note = "the monitor, given the reward only, at its budget of 1 per 1000 steps; openings count"
        found.insert(0, Method("Foreshock monitor", note, alarms=on_curves, settings=(1.0,), most=SLOW))
    return found


def scores(
    judge: Judge, own_of: Callable[[int], Any], y: FloatArray, sd: FloatArray | None = None
) -> FloatArray:
    """A detector's score after each row; many curves are to it as many signals of one run."""
    state, own = noise.start(len(y)), own_of(len(y))
    out = np.empty_like(y)
    for t in range(y.shape[1]):
        state, seen = noise.step(state, y[:, t], None if sd is None else sd[:, t])
        own, verdict = judge(own, seen)
        out[:, t] = verdict.score
    return out


def _scanned(own: None, seen: Seen) -> tuple[None, Verdict]:
    return own, scan.judge(seen)


def _nothing(k: int) -> None:
    return None


def watches() -> list[Watch]:
    """The monitor with all signals of a run."""
    if Monitor is None:
        return []
    return [Watch("Foreshock monitor", "all signals, one budget of 1 per 1000 steps", of_rows)]


def on_curves(y: FloatArray, budget: float) -> BoolArray:
    """Where the monitor opens an alarm on each curve, taken for the reward of a run of its own."""
    told = np.zeros(y.shape, dtype=bool)
    for k, row in enumerate(y):
        monitor = Monitor(budget=budget)
        for t, value in enumerate(row.tolist()):
            told[k, t] = any(a.state == "open" for a in monitor.step(t, {"reward_mean": value}))
    return told


def of_rows(rows: Rows, budget: float = 1.0) -> list[Message]:
    """What it opens on a whole run."""
    monitor = Monitor(budget=budget, facts=rows.facts)
    return [
        Message(alarm.step, alarm.signal, alarm.kind)
        for step, values in zip(rows.steps, rows.named, strict=True)
        for alarm in monitor.step(step, values)
        if alarm.state == "open"
    ]


def of_cost(steps: int = 20_000, signals: int = 30, seed: int = 5) -> dict[str, Any]:
    """Time a step and memory of the monitor on signals of noise; the yardstick is np.cumsum(1e6)."""
    if Monitor is None:
        return {}
    names = [SIGNALS[i] if i < len(SIGNALS) else f"signal/{i}" for i in range(signals)]
    rows = np.random.default_rng(seed).standard_normal((steps, signals))
    rows = 0.5 + 0.05 * rows
    table: list[Mapping[str, float]] = [dict(zip(names, row, strict=True)) for row in rows.tolist()]
    yardstick = min(_seconds(lambda: np.cumsum(np.ones(1_000_000))) for _ in range(20))
    monitor = Monitor()
    halves = []
    for half in (range(steps // 2), range(steps // 2, steps)):
        began = time.perf_counter()
        for step in half:
            monitor.step(step, table[step])
        halves.append((time.perf_counter() - began) / len(half))
    monitor = Monitor()
    tracemalloc.start()
    sizes = []
    for step in range(min(steps, 4000)):
        monitor.step(step, table[step])
        if step + 1 in (1000, 4000):
            sizes.append(tracemalloc.get_traced_memory()[0] / 1e6)
    tracemalloc.stop()
    return {
        "signals": signals,
        "steps": steps,
        "ms a step": 1000 * sum(halves) / 2,
        "ms a step, second half": 1000 * halves[1],
        "in cumsum(1e6)": sum(halves) / 2 / yardstick,
        "yardstick ms": 1000 * yardstick,
        "seconds for 100,000 steps": 1e5 * sum(halves) / 2,
        "MB after 1000 steps": sizes[0],
        "MB after 4000 steps": sizes[-1],
    }


def _seconds(call: Any) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
