"""What an ideal observer could see of each fault at its dose: the power of the test that knows everything.

The observer knows which fault it is, the step of its onset and in which direction it moves every metric; it
lacks only the clean twin. So nobody is to blame for missing what it would miss.

Every metric x of a run is told in units of the run's own noise before the onset,

    z_t = (x_t - mean of the 20 steps before) / s,    s = deviation of step-to-step differences / sqrt(2)

and the first n steps become a vector f of two numbers per metric: the mean of z over the steps, and its
slope. In healthy runs f has a covariance C, measured over windows of all of them (drift, autocorrelation and
the error of the level before are all in it). A fault adds the twins' difference in the same units, with
expectation m. For noise f ~ N(0, C), the most powerful test of m at a chance a of a false alarm is
w'f > its quantile, w = C^-1 m, and its power

    P(n) = Phi(d - q),    d = w'm / sqrt(w'C w) = sqrt(m'C^-1 m),    q = Phi^-1(1 - a) = 2.33 at 1 %

m is not known but estimated by the mean over the other seeds of the same fault, dose and task, entries
shrunk by their own noise. The same estimate on both sides would take chance for effect, so d of a run is
w'f / sqrt(w'C w) with w of the *other* seeds and f of its own difference. The mean of it over k seeds of a
fault that does nothing has a variance of 4 / k (both twins have noise, and each pair of seeds counts twice),
which is taken from its square. As the direction is only estimated, this is a cautious value of d. Shorter
windows may be chosen, as all is known beforehand: P is the largest for the windows of 1, 4, 8 and 16
steps that are over.

    power_8, power_16    P(8), P(16)
    delay                the sum of 1 - P(n) over n = 0..15, the mean steps to wait; None where P(16) < 1/2

Choosing among windows by an estimate has a price: of a fault that does nothing, three seeds tell a power of
0.09 in the mean of simulations instead of 0.01. All three are None where there is one seed only, or too few
healthy windows to know the noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from lab.tables import Corpus, Run

Array = npt.NDArray[np.float64]

ALARMS = 0.01
STEPS = 16
WINDOWS = (1, 4, 8, STEPS)
BEFORE = 20  # steps that give the level
NOISE = 40  # steps before the onset, at most, that give the noise
FAR = 20.0  # z is cut there: beyond it nothing is doubted
_RIDGE = 0.1  # of each variance, added to it: there are few windows for so many metrics
_FEWEST = 40  # windows from which a covariance is measured
_FLOOR = 1e-4  # of a variance: some metrics never move in a healthy run
# Counts that grow for ever, times, and what is logged under a second name.
_LEFT_OUT = ("num_tokens", "step_time", "foreshock/engine/weight_version")


def observe(corpus: Corpus) -> dict[str, dict[str, float | None]]:
    """Per faulty run what the ideal observer sees, for `truth.json`."""
    names = metrics_of(corpus)
    clean = [run for run in corpus.runs.values() if run.truth["fault"] == "none"]
    noise = np.concatenate([windows(run, names) for run in clean])
    groups: dict[tuple[str, float, str], list[str]] = {}
    for identity, run in corpus.runs.items():
        if run.truth["fault"] != "none":
            key = (run.truth["fault"], run.truth["dose"], run.truth["task"])
            groups.setdefault(key, []).append(identity)
    seen: dict[str, dict[str, float | None]] = {}
    for members in groups.values():
        if len(members) < 2 or len(noise) < _FEWEST:
            seen |= {member: dict.fromkeys(("power_8", "power_16", "delay")) for member in members}
            continue
        effects = [effect(corpus.runs[member], corpus.twins[member], names) for member in members]
        found = summary(powers_of(effects, noise))
        seen |= {member: found for member in members}
    return seen


def powers_of(effects: Sequence[Array], noise: Array, alarms: float = ALARMS) -> list[float]:
    """P(1..16) for the differences (steps, metrics) of the seeds of one fault, and clean windows."""
    powers, best = [], 0.0
    for n in range(1, STEPS + 1):
        known = [features(each[None], n)[0] for each in effects if len(each) >= n]
        if n in WINDOWS and len(known) > 1:
            covariance = np.cov(features(noise, n), rowvar=False)
            best = max(best, power(distance(known, covariance), alarms))
        powers.append(best)
    return powers


def summary(powers: Sequence[float]) -> dict[str, float | None]:
    """The numbers of the truth file, of P(1..16)."""
    wait = sum(1 - p for p in (0.0, *powers[:-1]))
    delay = round(wait, 2) if powers[-1] >= 0.5 else None
    return {"power_8": round(powers[7], 4), "power_16": round(powers[-1], 4), "delay": delay}


def power(distance: float, alarms: float = ALARMS) -> float:
    """Chance that a normal test statistic, shifted by `distance` deviations, is beyond its quantile."""
    return NormalDist().cdf(distance - NormalDist().inv_cdf(1 - alarms))


def distance(effects: Sequence[Array], covariance: Array) -> float:
    """The d of the text above, mean over the seeds, each with the direction of the others, less its noise."""
    covariance = covariance + _FLOOR * np.eye(len(covariance))
    ridged = covariance + _RIDGE * np.diag(np.diag(covariance))
    # Two runs that have parted are two draws of the noise, without the error of a level.
    spread = 2 * np.diag(covariance)
    found = []
    for nth, mine in enumerate(effects):
        others = [other for place, other in enumerate(effects) if place != nth]
        expected = np.mean(others, axis=0)
        kept = np.maximum(0.0, 1 - spread / len(others) / np.maximum(expected**2, 1e-12))
        direction = np.linalg.solve(ridged, kept * expected)
        size = math.sqrt(float(direction @ covariance @ direction))
        found.append(float(direction @ mine) / size if size else 0.0)
    average = max(0.0, sum(found) / len(found))
    return math.sqrt(max(0.0, average**2 - 4 / len(found)))


def features(z: Array, n: int) -> Array:
    """(windows, steps, metrics) to mean and slope of the first n steps, (windows, 2 x metrics)."""
    ramp = np.arange(n) - (n - 1) / 2
    scale = math.sqrt(float(ramp @ ramp) * n) or 1.0
    return np.concatenate([z[:, :n].mean(1), np.einsum("wtm,t->wm", z[:, :n], ramp) / scale], axis=1)


def metrics_of(corpus: Corpus) -> list[str]:
    """Metrics that the observer looks at."""
    names = sorted({name for run in corpus.runs.values() for name in run.metrics})
    return [n for n in names if n not in _LEFT_OUT and not n.startswith("foreshock/reward/")]


def windows(run: Run, names: Sequence[str]) -> Array:
    """The z of stretches of a healthy run that do not overlap, (windows, 16, metrics)."""
    filled = {name: held(run.metrics[name]) for name in names}
    found = []
    for first in range(BEFORE, len(run.steps) - STEPS + 1, STEPS):
        columns = []
        for name in names:
            level, unit = measure(filled[name][:first])
            columns.append(cut((filled[name][first : first + STEPS] - level) / unit))
        found.append(np.stack(columns, axis=1))
    return np.array(found).reshape(-1, STEPS, len(names))


def effect(run: Run, twin: Mapping[str, Array], names: Sequence[str]) -> Array:
    """What the fault added, in units of the run's noise before it, (steps, metrics)."""
    before = int(np.searchsorted(run.steps, run.truth["onset"]))
    columns = []
    for name in names:
        _, unit = measure(held(run.metrics[name])[:before])
        added = twin.get(name, np.full(len(run.steps) - before, np.nan))
        broken = np.isnan(run.metrics[name][before:]) & ~np.isnan(added)
        columns.append(cut(np.where(broken, FAR * unit, held(added, 0.0)) / unit))
    return np.stack(columns, axis=1)[:STEPS]


def measure(past: Array) -> tuple[float, float]:
    """Level and unit of noise of a metric from its past."""
    recent = past[-NOISE:]
    recent = recent[np.isfinite(recent)]
    if len(recent) < 3:
        return (float(recent[-1]) if len(recent) else 0.0), 1.0
    level = float(recent[-BEFORE:].mean())
    noise = float(np.diff(recent).std()) / math.sqrt(2)
    return level, max(noise, 1e-3 * abs(level), 1e-9)


def held(values: Array, first: float = math.nan) -> Array:
    """Values with gaps filled by the last one before them, as somebody sees who waits for the next."""
    filled, last = np.empty(len(values)), first
    for place, value in enumerate(values):
        last = last if math.isnan(value) else float(value)
        filled[place] = last
    return filled


def cut(z: Array) -> Array:
    """Values of z within what makes a difference; what is no number says nothing."""
    return np.clip(np.nan_to_num(z, nan=0.0), -FAR, FAR)
