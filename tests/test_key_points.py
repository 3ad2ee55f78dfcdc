"""The points of a curve that a person would name, and that a chart must show where they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock.analysis import KeyPoint, Phase, estimate_noise
from foreshock.analysis.key_points import key_points, levels
from foreshock.analysis.phases import phases
from foreshock.run import FloatArray

STEPS = np.arange(71, dtype=np.int64)


def points(y: FloatArray) -> dict[str, KeyPoint]:
    """Key points by name; of several boundaries, the last."""
    at = STEPS[: len(y)]
    return {p.name: p for p in key_points(at, y, phases(at, y, estimate_noise(y), ()))}


def phase(kind: str, start: int, end: int, first: float, last: float) -> Phase:
    slope = (last - first) / (end - start) if end > start else 0.0
    return Phase(kind, start, end, first, last, slope, min(first, last), max(first, last), 0.0)


def test_each_point_has_its_level_and_what_was_logged_there() -> None:
    y = np.array([1.1, 1.9, 3.2, 3.0, 3.0, 2.0])
    steps = np.array([0, 10, 20, 30, 40, 50])
    found = key_points(
        steps, y, [phase("rapid_rise", 0, 20, 1.0, 3.0), phase("slow_decline", 30, 50, 2.9, 2.1)]
    )
    named = {p.name: (p.step, p.value, p.raw) for p in found}
    assert named["start"] == (0, 1.0, 1.1)
    assert named["peak"] == (20, 3.0, 3.2)
    assert named["trough"] == (0, 1.0, 1.1)
    assert named["half_gain"] == (10, 2.0, 1.9)
    assert named["boundary"] == (30, 2.9, 3.0)
    assert named["end"][1] == pytest.approx(2.1) and (named["end"][0], named["end"][2]) == (50, 2.0)
    assert named["raw_max"] == (20, 3.0, 3.2)
    assert named["raw_min"] == (0, 1.0, 1.1)


def test_half_of_the_gain_is_reached_where_the_curve_says() -> None:
    rng = np.random.default_rng(1)
    y = np.interp(STEPS, [0, 20, 70], [0.2, 0.8, 0.8]) + 0.01 * rng.standard_normal(71)
    found = points(y)
    assert abs(found["half_gain"].step - 10) <= 1
    assert found["half_gain"].value == pytest.approx(0.5, abs=0.03)


def test_a_spike_is_the_highest_logged_value_but_not_the_peak() -> None:
    rng = np.random.default_rng(2)
    y = np.interp(STEPS, [0, 70], [1.0, 2.0]) + 0.01 * rng.standard_normal(71)
    y[30] = 8.0
    found = points(y)
    assert (found["raw_max"].step, found["raw_max"].raw) == (30, 8.0)
    assert found["peak"].step == 70 and found["peak"].value == pytest.approx(2.0, abs=0.05)


def test_a_curve_that_only_falls_has_no_half_of_a_gain() -> None:
    found = points(np.linspace(3.0, 1.0, 71))
    assert "half_gain" not in found
    assert (found["peak"].step, found["trough"].step) == (0, 70)


def test_there_is_a_boundary_for_every_phase_but_the_first() -> None:
    rng = np.random.default_rng(3)
    y = np.interp(STEPS, [0, 15, 45, 70], [0.2, 0.7, 0.85, 0.85]) + 0.01 * rng.standard_normal(71)
    spans = phases(STEPS, y, estimate_noise(y), ())
    found = [p.step for p in key_points(STEPS, y, spans) if p.name == "boundary"]
    assert found == [span.start for span in spans[1:]] and len(found) == 2


def test_levels_follow_the_curve_within_its_noise() -> None:
    truth = np.interp(STEPS, [0, 15, 45, 70], [0.2, 0.7, 0.85, 0.85])
    squares = []
    for seed in range(20):
        y = truth + 0.02 * np.random.default_rng(seed).standard_normal(71)
        level = levels(STEPS, phases(STEPS, y, estimate_noise(y), ()))
        assert float(np.abs(level - truth).max()) < 0.08
        squares.append(np.mean((level - truth) ** 2))
    assert np.sqrt(np.mean(squares)) < 0.012


def test_short_and_empty_runs() -> None:
    assert key_points(np.array([], dtype=np.int64), np.array([]), ()) == ()
    only = points(np.array([2.5]))
    assert {p.step for p in only.values()} == {0} and {p.raw for p in only.values()} == {2.5}
    three = points(np.array([1.0, 2.0, 3.0]))
    assert (three["start"].raw, three["end"].raw, three["peak"].step) == (1.0, 3.0, 2)


@given(st.lists(st.floats(-1e4, 1e4, allow_nan=False, width=32), min_size=1, max_size=100))
@settings(max_examples=60, deadline=None)
def test_every_raw_value_is_the_logged_one(values: list[float]) -> None:
    y = np.array(values)
    at = np.arange(0, 3 * len(y), 3)
    for point in key_points(at, y, phases(at, y, estimate_noise(y), ())):
        assert point.raw == y[point.step // 3]
        assert np.isfinite(point.value)
