"""Foreshock's own detection: on single curves, on whole runs, and what it costs."""

from __future__ import annotations

import functools
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from detection_curves import families
from detection_measure import Rate, false_alarms, reached
from detection_methods import Method
from detection_runs import Message, Rows, Watch
from foreshock.detect import bocpd, joint, noise, peak, scan, spike
from foreshock.detect._channels import channels
from foreshock.detect._watched import watched
from foreshock.detect.monitor import Monitor
from foreshock.run import FloatArray
from foreshock.signals import catalogue

SCORES = np.linspace(-5, 100, 4000)
TOGETHER = ("phi 0", "phi 0.4", "phi 0.8", "t5", "noise x2 up", "mixed")
SIGNALS = (
    "reward_mean response_length_mean entropy kl_ref grad_norm clip_ratio truncation_ratio "
    "frac_zero_variance_groups approx_kl_update mismatch_kl"
).split()


def methods() -> list[Method]:
    """What the monitor says of a reward, tuned and at its own budget, and two of its detectors."""
    said = "the monitor given the reward only, its statistic the budget at which it would just speak"
    alone = "a detector of the monitor by itself, tuned"
    return [
        Method("Foreshock, at its budget", f"{said}; nothing tuned, budget 1", alarms=_at, settings=(0.0,)),
        Method("Foreshock, tuned", f"{said}; tuned like all others", budget, known=budget),
        Method("Foreshock scan alone", f"{alone}: the isotonic-null scan", lambda y: evidence(y)["scan"]),
        Method("Foreshock peak alone", f"{alone}: below the best level", lambda y: evidence(y)["peak"]),
    ]


def _at(y: FloatArray, setting: float) -> Any:
    return reached(budget(y), setting)


def budget(y: FloatArray, sd: FloatArray | None = None) -> FloatArray:
    """How little a budget would do for an alarm after each row: minus its logarithm, 0 for 1 per 1000."""
    how = watched("reward_mean")
    assert how is not None
    found = np.full(y.shape, -np.inf)
    own = channels(["reward_mean"], [how], 1.0)
    for kind, score in evidence(y, sd).items():
        if kind in own:
            logs = [-np.log10(own[kind].rate(0, value)) for value in SCORES.tolist()]
            found = np.maximum(found, np.where(score > SCORES[0], np.interp(score, SCORES, logs), -np.inf))
    return found


def evidence(y: FloatArray, sd: FloatArray | None = None) -> dict[str, FloatArray]:
    """Scores of each kind of evidence, (curves, n); many curves are to it many signals of one run."""
    given = np.full_like(y, np.nan) if sd is None else np.broadcast_to(sd, y.shape)
    return _evidence(np.ascontiguousarray(y).tobytes(), np.ascontiguousarray(given).tobytes(), y.shape)


@functools.lru_cache(maxsize=2)
def _evidence(y_bytes: bytes, sd_bytes: bytes, shape: tuple[int, int]) -> dict[str, FloatArray]:
    y: FloatArray = np.frombuffer(y_bytes).reshape(shape)
    sd: FloatArray = np.frombuffer(sd_bytes).reshape(shape)
    k = len(y)
    state, odds, best = noise.start(k), bocpd.start_own(k), peak.start_own(k)
    found = {kind: np.empty_like(y) for kind in ("joint", "peak", "spike", "scan")}
    for t in range(y.shape[1]):
        state, seen = noise.step(state, y[:, t], sd[:, t], worth=400)  # what is given is known for sure
        odds, both = joint.judge(odds, seen)
        best, patient = peak.judge(best, seen)
        verdicts = (both, patient, spike.judge(seen), scan.judge(seen))
        for kind, verdict in zip(found, verdicts, strict=True):
            found[kind][:, t] = verdict.score
    return found


def watches() -> list[Watch]:
    """The monitor with all signals of a run."""
    return [Watch("Foreshock monitor", "all signals under one budget of 1 per 1000 steps", of_rows)]


def of_rows(rows: Rows) -> list[Message]:
    """What it opens on a whole run, and which further signals it adds to what is open."""
    monitor = Monitor(facts=rows.facts)
    told: list[Message] = []
    sentences: dict[str, frozenset[str]] = {}
    for step, values in zip(rows.steps, rows.named, strict=True):
        for alarm in monitor.step(step, values):
            new = frozenset(alarm.evidence) - sentences.get(alarm.id, frozenset())
            sentences[alarm.id] = frozenset(alarm.evidence)
            if alarm.state == "open":
                told.append(Message(step, alarm.signal, alarm.kind))
            elif alarm.state == "update":
                also = [name for name in values if any(s.startswith(_title(name)) for s in new)]
                told += [Message(step, name, "joined", opens=False) for name in also]
    return told


def _title(name: str) -> str:
    """What sentences call a signal."""
    base = name.partition("/")[0]
    return catalogue()[base].title if base in catalogue() else name


def of_together(draws: int, seed: int, n: int = 400) -> dict[str, Any]:
    """False alarms of the monitor, per 1000 steps of the run, with ten signals of the same kind of noise."""
    found = {}
    for place, family in enumerate(TOGETHER):
        rng = np.random.default_rng([seed, place])
        rate = Rate(0, 0)
        for _ in range(max(draws // 5, 1)):
            y = 0.5 + 0.03 * families(rng, family, len(SIGNALS), n)
            monitor = Monitor()
            told = np.zeros((1, n), dtype=bool)
            for t, row in enumerate(y.T.tolist()):
                said = monitor.step(t, dict(zip(SIGNALS, row, strict=True)))
                told[0, t] = any(alarm.state == "open" for alarm in said)
            rate = rate + false_alarms(told)
        found[family] = [rate.per_1000, rate.error]
    return found


def of_cost(steps: int = 20_000, signals: int = 30, seed: int = 5) -> dict[str, Any]:
    """Time a step and memory of the monitor on signals of noise; the yardstick is np.cumsum(1e6)."""
    names = [f"{SIGNALS[i % len(SIGNALS)]}" + (f"/{i}" if i >= len(SIGNALS) else "") for i in range(signals)]
    table = (0.5 + 0.05 * np.random.default_rng(seed).standard_normal((steps, signals))).tolist()
    ones = np.ones(1_000_000)
    yardstick = min(_seconds(lambda: np.cumsum(ones)) for _ in range(20))
    monitor = Monitor(signals=names)
    halves = []
    for half in (range(steps // 2), range(steps // 2, steps)):
        began = time.perf_counter()
        for step in half:
            monitor.step(step, dict(zip(names, table[step], strict=True)))
        halves.append((time.perf_counter() - began) / len(half))
    mean = sum(halves) / 2
    sizes = _sizes(names, table[:4000])
    return {
        "signals": signals,
        "ms a step": 1000 * mean,
        "ms a step in the second half": 1000 * halves[1],
        "steps in one np.cumsum(1e6)": yardstick / mean,
        "seconds for 100,000 steps": 1e5 * mean,
        "MB after 1000 steps": sizes[0],
        "MB after 4000 steps": sizes[1],
    }


def _sizes(names: list[str], table: list[list[float]]) -> list[float]:
    """Memory of a monitor after 1000 and after 4000 steps."""
    monitor = Monitor(signals=names)
    tracemalloc.start()
    sizes = []
    for step, row in enumerate(table):
        monitor.step(step, dict(zip(names, row, strict=True)))
        if step + 1 in (1000, 4000):
            sizes.append(tracemalloc.get_traced_memory()[0] / 1e6)
    tracemalloc.stop()
    return sizes


def _seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
