"""False alarms on curves without a change and delays on curves with one, for many methods at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import detection_curves as curves_of
from detection_curves import Curves
from detection_measure import CAP, BoolArray, Rate, Waits, false_alarms, waits
from detection_methods import Answer, Method, observer
from figure import figure
from foreshock.run import IntArray

Result = dict[str, Any]
Draw = Callable[[np.random.Generator, int], Curves]
AS_REWARD = 0.3, 0.03  # level and noise of a synthetic reward: some tools look at its scale
SIZES = (2, 3, 5, 10)
CELLS = {f"{kind}{size} sd": (size, bool(kind)) for kind in ("", "ramp ") for size in SIZES}
TRADED = ("3 sd", "ramp 3 sd")  # drawn against the rate of false alarms
RATES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
NULL_ROWS, SYNTHETIC_ROWS, REAL_ROWS = 400, 400, 300
FIRST_ONSET = 100
LEVEL = " level"  # behind a cell: only curves that would have risen by less than 1 sd in the next 20 rows
FIT, CHECK, CHANGED = range(3)


def generator(*seed: int) -> np.random.Generator:
    """Draws of their own for each seed, stage and place."""
    return np.random.default_rng(seed)


def of_nulls(methods: Sequence[Method], draws: int, seed: int) -> Result:
    """False alarms per 1000 steps by family, at the threshold of the mixed family's fit half."""
    level, unit = AS_REWARD
    mixed = level + unit * curves_of.families(generator(seed, FIT), "mixed", 2 * draws, NULL_ROWS)
    settings = {m.name: m.answer(mixed).tuned() for m in methods}
    found: Result = {m.name: {"setting": settings[m.name], "families": {}} for m in methods}
    for place, family in enumerate(curves_of.FAMILIES):
        y = level + unit * curves_of.families(generator(seed, CHECK, place), family, draws, NULL_ROWS)
        for m in methods:
            rate = false_alarms(m.answer(y).at(settings[m.name]))
            found[m.name]["families"][family] = [rate.per_1000, rate.error]
    return found


def of_synthetic(methods: Sequence[Method], draws: int, seed: int) -> Result:
    """Delays on the hard synthetic family."""
    return of_delays(methods, [_synthetic(seed)], SYNTHETIC_ROWS, draws)


def of_known(methods: Sequence[Method], draws: int, seed: int) -> Result:
    """The same with white noise, estimated and known, for methods that can take it."""
    pairs, able = [_synthetic(seed, phi=0.0)], [m for m in methods if m.known]
    found = of_delays([observer(), *able], pairs, SYNTHETIC_ROWS, draws)
    told = of_delays(able, pairs, SYNTHETIC_ROWS, draws, known=True)
    return found | {f"{name}, noise known": result for name, result in told.items()}


def of_semi_real(methods: Sequence[Method], draws: int, seed: int) -> Result:
    """Delays on real residuals: tuned on one half of the repositories, quoted on the other, both ways."""
    pairs = [(_half(fit, seed), _half(1 - fit, seed)) for fit in (0, 1)]
    return of_delays([observer(), *methods], pairs, REAL_ROWS, draws // 2)


def _synthetic(seed: int, phi: float | None = None) -> tuple[Draw, Draw]:
    level, unit = AS_REWARD

    def draw(rng: np.random.Generator, count: int) -> Curves:
        drawn = curves_of.synthetic(rng, count, SYNTHETIC_ROWS, phi)
        return Curves(level + unit * drawn.y, unit * drawn.sd, level + unit * drawn.mean)

    return _seeded(draw, seed), _seeded(draw, seed + 1)


def _half(split: int, seed: int) -> Draw:
    return _seeded(lambda rng, count: curves_of.semi_real(split, rng, count, REAL_ROWS), seed)


def _seeded(draw: Draw, seed: int) -> Draw:
    return lambda rng, count: draw(np.random.default_rng([seed, *rng.integers(2**31, size=2)]), count)


def of_delays(
    methods: Sequence[Method],
    pairs: Sequence[tuple[Draw, Draw]],
    rows: int,
    draws: int,
    *,
    known: bool = False,
) -> Result:
    """False alarms and delays, thresholds from the first of each pair, all else on the second."""
    rates: dict[tuple[str, float], Rate] = {}
    told: dict[tuple[str, float, str], Waits] = {}
    settings: dict[str, list[float]] = {m.name: [] for m in methods}
    for turn, (fit, check) in enumerate(pairs):
        chosen = _tuned(methods, fit(generator(FIT, turn), 3 * draws), known)
        for m in methods:
            settings[m.name].append(chosen[m.name, 1.0])
        quiet = check(generator(CHECK, turn), 2 * draws)
        for m in methods:
            answer = _answer(m, quiet, known)
            for rate in _rates(m):
                one = false_alarms(answer.at(chosen[m.name, rate]))
                rates[m.name, rate] = rates.get((m.name, rate), Rate(0, 0)) + one
        for place, (cell, (size, ramp)) in enumerate(CELLS.items()):
            rng = generator(CHANGED, turn, place)
            onset: IntArray = rng.integers(FIRST_ONSET, rows - CAP + 1, draws)
            changed = curves_of.with_drop(check(rng, draws), onset, size, ramp=ramp)
            level = _level(changed, onset)
            for m in methods:
                answer = _answer(m, changed, known)
                for rate in _rates(m) if cell in TRADED else (1.0,):
                    alarmed = answer.at(chosen[m.name, rate])
                    _add(told, (m.name, rate, cell), waits(alarmed, onset))
                    _add(told, (m.name, rate, cell + LEVEL), waits(alarmed, onset, level))
    return {m.name: _summary(m, settings[m.name], rates, told) for m in methods}


def _add(told: dict[tuple[str, float, str], Waits], key: tuple[str, float, str], new: Waits) -> None:
    told[key] = told[key] + new if key in told else new


def _level(curves: Curves, onset: IntArray) -> BoolArray:
    """Which curves would have stayed about where they are."""
    each = np.arange(len(onset))
    rise = curves.mean[each, onset + 20] - curves.mean[each, onset]
    return np.asarray(rise < curves.sd[each, onset])


def _answer(method: Method, curves: Curves, known: bool) -> Answer:
    if method.ideal:
        return method.answer(curves.y - curves.mean, curves.sd)
    return method.answer(curves.y, curves.sd if known else None)


def _rates(method: Method) -> tuple[float, ...]:
    return (1.0,) if method.as_it_comes else RATES


def _tuned(methods: Sequence[Method], null: Curves, known: bool) -> dict[tuple[str, float], float]:
    """Setting of each method for each rate."""
    found: dict[tuple[str, float], float] = {}
    for m in methods:
        answer = _answer(m, null, known)
        found |= {(m.name, rate): answer.tuned(rate) for rate in _rates(m)}
    return found


def _summary(
    method: Method,
    settings: list[float],
    rates: Mapping[tuple[str, float], Rate],
    told: Mapping[tuple[str, float, str], Waits],
) -> Result:
    """What is kept of one method."""
    own = rates[method.name, 1.0]
    cells = {}
    for cell in (*CELLS, *(cell + LEVEL for cell in CELLS)):
        d = told[method.name, 1.0, cell].delay()
        cells[cell] = [d.mean, d.error, d.found, d.dropped, d.counted]
    trade = {
        cell: [
            [rates[method.name, rate].per_1000, told[method.name, rate, cell].delay().mean]
            for rate in _rates(method)
        ]
        for cell in TRADED
    }
    return {
        "settings": settings,
        "rate": [own.per_1000, own.error],
        "cells": cells,
        "trade": trade,
        "as it comes": method.as_it_comes,
    }


def of_figure(methods: Sequence[Method], settings: Mapping[str, float], draws: int, seed: int) -> Result:
    """Share of draws of the synthetic figure with an alarm by step 64, and with none before step 60."""
    rng = generator(seed, CHECK)
    y = np.array([figure(rng)[1] for _ in range(draws)])
    found: Result = {}
    for m in methods:
        alarmed = m.answer(y).at(settings[m.name])
        early, by = alarmed[:, :60].any(1), alarmed[:, 60:65].any(1)
        found[m.name] = {"quiet before 60": float(1 - early.mean()), "told by 64": float(by.mean())}
    return found
