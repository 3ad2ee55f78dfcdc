"""What a user relies on: each kind of change is found where it is, sized right, and told once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock.analysis import Change
from foreshock.analysis.changes import find_changes
from foreshock.run import FloatArray, IntArray


def noise(seed: int, n: int) -> FloatArray:
    return np.random.default_rng(seed).standard_normal(n)


def changes(
    y: FloatArray, name: str = "reward_mean", good: str | None = "up", nan_steps: IntArray | None = None
) -> list[Change]:
    return find_changes(name, np.arange(len(y)), y, good=good, nan_steps=nan_steps)


def of_kind(found: list[Change], kind: str) -> Change:
    (change,) = [c for c in found if c.kind == kind]
    return change


def test_a_drop_that_stays() -> None:
    y = 10 + 0.1 * noise(0, 100) - 2.0 * (np.arange(100) >= 70)
    (drop,) = changes(y)
    assert drop.kind == "drop"
    assert drop.step == 70
    assert drop.step_interval[0] <= 70 <= drop.step_interval[1]
    assert drop.from_value == pytest.approx(10, abs=0.15)
    assert drop.to_value == pytest.approx(8, abs=0.15)
    assert drop.percent_of_peak == pytest.approx(20, abs=2)
    assert drop.percent_of_gain is None  # there had been no gain
    assert drop.sigma == pytest.approx(20, rel=0.3)
    assert drop.p_value is not None and drop.p_value < 0.001
    assert drop.recovered == pytest.approx(0, abs=0.1)


def test_a_drop_that_is_made_good_says_by_when() -> None:
    row = np.arange(150)
    y = 5 + 0.1 * noise(1, 150) - np.interp(row, [0, 60, 61, 80, 100, 149], [0, 0, 2, 2, 0, 0])
    (drop,) = changes(y)
    assert drop.kind == "drop"
    assert drop.recovered is not None and drop.recovered > 0.9
    assert drop.recovered_by is not None and 90 <= drop.recovered_by <= 115


def test_a_share_of_the_gain_needs_a_gain() -> None:
    row = np.arange(120)
    y = np.interp(row, [0, 60, 90, 91, 119], [1, 2, 2, 1.5, 1.5]) + 0.02 * noise(2, 120)
    (drop,) = changes(y)
    assert drop.percent_of_gain == pytest.approx(50, abs=5)
    assert drop.percent_of_peak == pytest.approx(25, abs=3)


def test_a_scale_with_both_signs_has_no_percent_of_the_peak() -> None:
    y = 0.1 * noise(3, 100) - 2.0 * (np.arange(100) >= 50)
    assert changes(y)[0].percent_of_peak is None


def test_a_slow_decline_is_not_called_a_drop() -> None:
    y = np.interp(np.arange(200), [0, 80, 199], [5, 5, 3]) + 0.1 * noise(4, 200)
    found = changes(y)
    assert [c.kind for c in found] == ["slow_decline"]
    assert 60 <= found[0].step <= 110


def test_two_drops_are_two_changes() -> None:
    row = np.arange(200)
    y = 0.1 * noise(5, 200) + np.interp(row, [0, 60, 61, 80, 100, 150, 151, 199], [3, 3, 1, 1, 3, 3, 0, 0])
    assert [c.step for c in changes(y)] == pytest.approx([61, 151], abs=2)


def test_growth_of_a_reward_is_never_a_change() -> None:
    for curve in (
        np.linspace(0, 30, 120),
        20 * (1 - np.exp(-np.arange(120) / 8)),
        20.0 * (np.arange(120) > 40),
    ):
        assert changes(curve + noise(6, 120)) == []


def test_steady_growth_or_decline_of_a_length_is_no_shift() -> None:
    for slope in (-1.0, 0.5, 2.0):
        assert changes(500 + slope * np.arange(120) + 5 * noise(7, 120), "response_length_mean", None) == []


@pytest.mark.parametrize("size", [-60.0, 60.0])
def test_a_length_that_jumps_is_a_level_shift_either_way(size: float) -> None:
    y = 300 + np.arange(120) + 5 * noise(8, 120) + size * (np.arange(120) >= 80)
    (shift,) = changes(y, "response_length_mean", None)
    assert shift.kind == "level_shift"
    assert shift.step == pytest.approx(80, abs=1)
    assert shift.to_value - shift.from_value == pytest.approx(size, abs=12)


def test_what_should_stay_low_is_told_only_when_it_rises() -> None:
    up = 1 + 0.05 * noise(9, 100) + (np.arange(100) >= 60)
    (rise,) = changes(up, "kl_ref", "down")
    assert (rise.kind, rise.step) == ("rise", 60)
    assert changes(3 - up, "kl_ref", "down") == []


def test_one_point_that_returns_is_a_spike() -> None:
    y = 2 + 0.1 * noise(10, 80)
    y[40] -= 1.5
    (dip,) = changes(y)
    assert (dip.kind, dip.step, dip.end_step) == ("spike", 40, 40)
    assert dip.to_value == y[40]
    assert dip.from_value == pytest.approx(2, abs=0.15)


def test_a_peak_of_the_reward_is_good_news_and_no_spike() -> None:
    y = 2 + 0.1 * noise(10, 80)
    y[40] += 1.5
    assert changes(y) == []


def test_a_still_stretch_of_a_living_signal_is_a_flat_line() -> None:
    y = 5 + noise(11, 100)
    y[30:50] = y[30]
    flat = of_kind(changes(y), "flat_line")
    assert (flat.step, flat.end_step) == (30, 49)


def test_a_value_that_often_repeats_is_no_flat_line() -> None:
    y = np.random.default_rng(12).integers(0, 3, 200) / 2.0
    assert not [c for c in changes(y) if c.kind == "flat_line"]


def test_a_length_at_its_cap_is_saturated() -> None:
    y = np.minimum(300 + 5 * np.arange(100) + 10 * noise(13, 100), 512.0)
    cap = of_kind(changes(y, "response_length_mean", None), "saturation")
    assert cap.to_value == 512.0
    assert cap.end_step == 99


def test_nearly_all_responses_cut_is_a_saturation_even_from_the_start() -> None:
    late = np.clip(np.linspace(0, 1.4, 100), 0, 1)
    assert of_kind(changes(late, "truncation_ratio", "down"), "saturation").step == pytest.approx(64, abs=3)
    assert of_kind(changes(np.ones(50), "truncation_ratio", "down"), "saturation").step == 0


def test_noise_that_doubles_and_more_is_a_change_of_variance() -> None:
    y = noise(14, 200) * np.where(np.arange(200) < 120, 1.0, 5.0)
    change = of_kind(changes(y, "entropy", None), "variance_change")
    assert change.step == pytest.approx(120, abs=12)
    assert change.from_value == pytest.approx(1, rel=0.3)
    assert change.to_value == pytest.approx(5, rel=0.3)


def test_the_first_infinity_or_logged_nan_is_told_with_its_step() -> None:
    y = noise(15, 50)
    y[[20, 30]] = np.inf
    assert of_kind(changes(y), "non_finite").step == 20
    y = noise(15, 50)
    y[[10, 25]] = np.nan
    assert changes(y) == []  # a step without a value is not a NaN that was logged
    assert of_kind(changes(y, nan_steps=np.array([25])), "non_finite").step == 25


def test_steps_are_the_run_s_own_and_gaps_are_bridged() -> None:
    steps = 5 * np.arange(100) + 1000
    y = 10 + 0.1 * noise(16, 100) - 3.0 * (np.arange(100) >= 60)
    y[::7] = np.nan
    (drop,) = find_changes("reward_mean", steps, y, good="up")
    assert drop.step == steps[60]


def test_one_event_is_told_once() -> None:
    y = 1 + 0.05 * noise(17, 80)
    y[50:] = 0.0
    assert [c.kind for c in changes(y)] == ["drop"]


@pytest.mark.parametrize("n", [0, 1, 2, 5, 7])
def test_too_few_points_have_no_changes(n: int) -> None:
    assert changes(np.arange(n, 0, -1.0)) == []


def test_a_constant_signal_has_no_changes() -> None:
    for good in ("up", "down", None):
        assert changes(np.full(100, 0.3), "x", good) == []


@pytest.mark.parametrize("slope", [1.0, 0.005, -1e-7])
def test_a_signal_without_noise_has_no_changes_but_real_ones(slope: float) -> None:
    ramp: FloatArray = 200 + slope * np.arange(100.0)
    assert changes(ramp, "response_length_mean", good=None) == []
    jump = ramp + 90.0 * (np.arange(100) >= 60)
    assert [change.step for change in changes(jump, "response_length_mean", good=None)] == [60]


def test_a_huge_outlier_does_not_hide_a_drop() -> None:
    y = 10 + 0.1 * noise(18, 120) - 2.0 * (np.arange(120) >= 80)
    y[20] = 1e14
    assert of_kind(changes(y), "drop").step == pytest.approx(80, abs=1)


def test_a_long_run_is_searched_too() -> None:
    y = noise(19, 20_000) - 3.0 * (np.arange(20_000) >= 12_345)
    (drop,) = changes(y)
    assert drop.kind == "drop"
    assert drop.step == pytest.approx(12_345, abs=15)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 500), st.floats(0, 1e5), st.sampled_from([1e-5, 0.01, 3.0, 1e4]))
def test_the_unit_of_a_signal_does_not_matter(seed: int, shift: float, scale: float) -> None:
    y = 3 + 0.2 * noise(seed, 90) - 1.2 * (np.arange(90) >= 60)
    one, other = changes(y), changes(scale * (y + shift))
    for a, b in zip(one, other, strict=True):
        assert (a.kind, a.step, a.step_interval) == (b.kind, b.step, b.step_interval)
        assert b.from_value - b.to_value == pytest.approx(scale * (a.from_value - a.to_value), rel=1e-3)
        assert b.p_value == pytest.approx(a.p_value, rel=1e-2)
        assert (b.sigma or 0) == pytest.approx(a.sigma or 0, rel=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=40),
    st.sampled_from(["up", "down", None]),
)
def test_whatever_is_logged_sizes_are_sane(values: list[float], good: str | None) -> None:
    y = np.array(values, dtype=np.float64)
    for c in changes(y, "response_length_mean", good):
        assert c.step_interval[0] <= c.step <= c.step_interval[1]
        assert c.step <= c.end_step
        assert c.p_value is None or 0 < c.p_value <= 1
        assert c.sigma is None or c.sigma >= 0
        assert c.percent_of_peak is None or c.percent_of_peak >= 0
        assert c.recovered is None or 0 <= c.recovered <= 1
