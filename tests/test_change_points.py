"""Where a curve changes its course: on generated truth, on the benchmark, and on awkward input."""

from __future__ import annotations

import importlib.util
import sys
import tracemalloc
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import foreshock
from foreshock import change_points
from foreshock.analysis.segments import segment
from foreshock.readers import open_run
from foreshock.run import FloatArray

Curves = st.lists(st.floats(-1e3, 1e3, allow_nan=False), min_size=0, max_size=80)


def noise(seed: int, n: int, phi: float = 0.0) -> FloatArray:
    """AR(1) noise of standard deviation 1."""
    shock = np.random.default_rng(seed).standard_normal(n)
    out = shock.copy()
    for i in range(1, n):
        out[i] = phi * out[i - 1] + np.sqrt(1 - phi**2) * shock[i]
    return np.asarray(out, dtype=np.float64)


def scorer(folder: Path) -> ModuleType:
    """score_tcpd.py, which lies beside the data."""
    spec = importlib.util.spec_from_file_location("score_tcpd", folder / "score_tcpd.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = kept
    return module


def series(scores: ModuleType) -> Any:
    """The dataset; its loader leaves closing files to the interpreter, which warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        return scores.load()


def test_the_benchmark_score_holds(shared: Path) -> None:
    scores = scorer(shared / "data" / "tcpd")
    data = series(scores)
    names = scores.univariate(data)
    assert len(names) == 25
    found = {name: change_points(data[name]["x"][:, 0]) for name in names}
    rows = scores.score(found, data)
    assert np.mean([rows[name][0] for name in names]) >= 0.75
    assert np.mean([rows[name][1] for name in names]) >= 0.69


@pytest.mark.parametrize("name", ["quality_control_1", "quality_control_2", "quality_control_3"])
def test_plain_shifts_that_the_score_leaves_out_are_found(shared: Path, name: str) -> None:
    scores = scorer(shared / "data" / "tcpd")
    entry = series(scores)[name]
    assert scores.f_measure(entry["ann"], change_points(entry["x"][:, 0])) == 1.0


@pytest.mark.parametrize("n", [16, 71, 300, 1000])
def test_a_step_without_noise_is_found_exactly(n: int) -> None:
    for at in (5, n // 3, n - 6):
        assert change_points(np.where(np.arange(n) >= at, 2.0, 1.0)) == [at]


@pytest.mark.parametrize("n", [5_000, 100_000])
def test_a_step_in_a_long_run_is_found_to_the_point(n: int) -> None:
    for at in (n // 7, n // 2 + 3):
        assert change_points(np.where(np.arange(n) >= at, 5.0, 0.0) + noise(at, n)) == [at]


def test_steps_of_five_standard_deviations_are_found_where_they_are() -> None:
    exact = 0
    for seed in range(60):
        found = change_points(noise(seed, 71) + 5.0 * (np.arange(71) >= 40))
        assert any(abs(k - 40) <= 4 for k in found)
        exact += found == [40]
    assert exact >= 50


def test_several_steps_up_and_down() -> None:
    levels = np.repeat([0.0, 4.0, 1.0, 6.0], [40, 50, 30, 60])
    found = change_points(levels + 0.5 * noise(3, 180))
    assert found == [40, 90, 120]


def test_a_kink_is_found_near_its_place() -> None:
    x = np.arange(200)
    y = np.where(x < 120, 0.1 * x, 12.0) + 0.3 * noise(5, 200)
    (found,) = change_points(y)
    assert abs(found - 120) <= 8


@pytest.mark.parametrize("slope", [-3.0, 0.01, 1.0, 1e6])
def test_a_ramp_is_one_segment_and_not_a_staircase(slope: float) -> None:
    x = np.arange(150.0)
    assert change_points(slope * x) == []
    assert change_points(slope * (x + 3 * noise(1, 150))) == []


def test_a_learning_curve_is_a_few_lines() -> None:
    for seed in range(20):
        y = 1 - np.exp(-np.arange(200) / 40) + 0.03 * noise(seed, 200)
        assert 1 <= len(change_points(y)) <= 4


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8])
def test_noise_that_remembers_itself_is_not_change(phi: float) -> None:
    many = [len(change_points(noise(seed, 300, phi))) for seed in range(40)]
    assert np.mean(many) <= 0.1


@pytest.mark.parametrize(("phi", "at_most"), [(0.0, 0.1), (0.5, 0.8), (0.8, 2.2)])
def test_short_runs_of_noise_give_few_changes(phi: float, at_most: float) -> None:
    many = [len(change_points(noise(seed, 71, phi))) for seed in range(40)]
    assert np.mean(many) <= at_most


def test_the_figure_gets_its_drop_and_its_healthy_twin_does_not() -> None:
    x = np.arange(71)
    sick = np.interp(x, [0, 5, 10, 20, 45, 60, 65, 70], [1.5, 1.7, 1.75, 1.8, 1.88, 1.875, 1.7, 1.75])
    well = np.interp(x, [0, 5, 10, 20, 45, 70], [1.5, 1.7, 1.75, 1.8, 1.88, 1.89])
    for seed in range(40):
        assert any(58 <= k <= 64 for k in change_points(sick + 0.012 * noise(seed, 71)))
        assert len(change_points(well + 0.012 * noise(seed, 71, 0.8))) <= 5
    late = [k for seed in range(40) for k in change_points(well + 0.012 * noise(seed, 71)) if k >= 55]
    assert len(late) <= 2


def test_a_spike_is_no_change_and_hides_none() -> None:
    y = noise(2, 200)
    y[[30, 90, 91, 160]] += 25
    assert change_points(y) == []
    y[120:] += 5
    assert change_points(y) == [120]


def test_missing_values_are_skipped_and_indices_kept() -> None:
    y = np.where(np.arange(60) >= 40, 5.0, 1.0) + 0.1 * noise(4, 60)
    holes = y.copy()
    holes[[0, 10, 11, 12, 25]] = np.nan
    holes[50] = np.inf
    holes[51] = -np.inf
    assert change_points(y) == change_points(holes) == [40]
    holes[40] = np.nan
    assert change_points(holes) == [41]


@pytest.mark.parametrize(
    "y",
    [
        [],
        [1.0],
        [1.0, 2.0, 3.0, 4.0],
        [np.nan] * 50,
        [3.7] * 50,
        [0.0] * 50,
        [1e300] * 50,
        [np.inf] * 20,
        [0.1 + 1e-17 * k for k in range(50)],
    ],
)
def test_nothing_to_see_gives_no_change_points(y: list[float]) -> None:
    assert change_points(y) == []


def test_values_near_the_limits_of_a_float_do_no_harm() -> None:
    step = np.where(np.arange(60) >= 30, 1.0, 0.0) + 0.01 * noise(1, 60)
    for scale in (1e-300, 1e300):
        assert change_points(step * scale) == [30]


def test_any_sequence_of_numbers_will_do() -> None:
    step = [0] * 20 + [1] * 20
    assert change_points(step) == change_points(tuple(step)) == change_points(np.array(step)) == [20]
    assert foreshock.change_points is change_points


@given(Curves, st.floats(0.01, 100), st.floats(-100, 100))
@settings(max_examples=60, deadline=None)
def test_the_answer_is_the_same_in_other_units(values: list[float], scale: float, shift: float) -> None:
    # Values are rounded so that a shift of the origin loses none of their digits.
    y = np.round(np.array(values), 3)
    scale, shift = 2.0 ** round(np.log2(scale)), float(round(shift))
    assert change_points(y * scale) == change_points(y)
    assert change_points(-y) == change_points(y)
    if len(y) and np.ptp(y) > 1:
        assert change_points(y + shift) == change_points(y)


@given(Curves)
@settings(max_examples=60, deadline=None)
def test_boundaries_are_increasing_and_leave_room_for_segments(values: list[float]) -> None:
    found = change_points(values)
    edges = [0, *found, len(values)]
    assert all(isinstance(k, int) for k in found)
    assert not found or min(np.diff(edges)) >= 4


def test_memory_grows_with_the_length_and_not_with_its_square() -> None:
    y = noise(0, 100_000) + 5.0 * (np.arange(100_000) > 60_000)
    tracemalloc.start()
    change_points(y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 400 * len(y)


def test_segments_tile_the_curve_and_follow_it() -> None:
    x = np.arange(0, 400, 4)
    y = np.where(x < 200, 1.0, 3.0 + 0.01 * (x - 200)) + 0.02 * noise(7, 100)
    first, second = segment(x, y)
    assert (first.start, first.stop, second.start, second.stop) == (0, 50, 50, 100)
    assert first.start_level == pytest.approx(1.0, abs=0.02)
    assert second.end_level == pytest.approx(4.96, abs=0.05)
    assert second.sd == pytest.approx(0.02, rel=0.4)


def test_an_outlier_does_not_bend_a_segment() -> None:
    x = np.arange(50)
    y = 0.1 * x + 0.05 * noise(1, 50)
    y[45] = 400.0
    (only,) = segment(x, y)
    assert only.start_level == pytest.approx(0.0, abs=0.1)
    assert only.end_level == pytest.approx(4.9, abs=0.1)
    assert segment(np.array([], dtype=np.int64), np.array([])) == []


def test_a_signal_held_for_ten_rows_ends_the_search(shared: Path) -> None:
    """Moving boundaries once changed their own price for ever on a forward-filled signal."""
    run = open_run(shared / "data/real/raw/152-fair/step_logs.json")
    for values in run.series.values():
        assert change_points(values) == sorted(change_points(values))
