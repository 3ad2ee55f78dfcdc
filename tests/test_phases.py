"""The phases that a person would describe: on generated truth, on the synthetic figure, on our own runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock.analysis import Change, Noise, Phase, estimate_noise
from foreshock.analysis._cuts import MOST_PHASES
from foreshock.analysis.changes import find_changes
from foreshock.analysis.phases import phases
from foreshock.run import FloatArray, IntArray

KINDS = {
    "rapid_rise",
    "slow_rise",
    "plateau",
    "fluctuation",
    "slow_decline",
    "drop",
    "recovery",
    "single",
}
STEPS: IntArray = np.arange(71, dtype=np.int64)


def noise(seed: int, n: int = 71) -> FloatArray:
    return np.random.default_rng(seed).standard_normal(n)


def curve(*knots: tuple[float, float], n: int = 71) -> FloatArray:
    """Straight lines between (step, value)."""
    steps, values = zip(*knots, strict=True)
    return np.asarray(np.interp(np.arange(n), steps, values), dtype=np.float64)


def of(y: FloatArray, *changes: Change) -> tuple[Phase, ...]:
    """Phases at steps 0, 1, 2, ... as `analyze` asks for them."""
    return phases(np.arange(len(y), dtype=np.int64), y, estimate_noise(y), changes)


def kinds(found: tuple[Phase, ...]) -> list[str]:
    return [phase.kind for phase in found]


def change(kind: str, step: int, end: int, start: float, stop: float, significant: bool = True) -> Change:
    return Change(
        signal="x",
        kind=kind,
        step=step,
        step_interval=(step - 1, step + 1),
        end_step=end,
        from_value=start,
        to_value=stop,
        percent_of_peak=None,
        percent_of_gain=None,
        sigma=9.0,
        p_value=1e-6,
        significant=significant,
    )


def test_a_learning_curve_rises_fast_then_slowly_then_stays() -> None:
    y = curve((0, 0.2), (15, 0.7), (45, 0.85), (70, 0.85)) + 0.01 * noise(1)
    rapid, slow, flat = of(y)
    assert kinds((rapid, slow, flat)) == ["rapid_rise", "slow_rise", "plateau"]
    assert abs(rapid.end - 15) <= 2 and abs(slow.end - 45) <= 6
    assert rapid.start_value == pytest.approx(0.2, abs=0.02)
    assert slow.end_value == pytest.approx(0.85, abs=0.02)
    assert rapid.slope == pytest.approx(0.5 / 15, rel=0.1)
    assert slow.slope == pytest.approx(0.15 / 30, rel=0.2)
    assert flat.slope == 0.0 and flat.start_value == flat.end_value


def test_the_figure_reads_as_people_read_it() -> None:
    knots = ((0, 1.50), (5, 1.70), (10, 1.75), (20, 1.80), (45, 1.88), (60, 1.875), (65, 1.70), (70, 1.75))
    last: Counter[str] = Counter()
    levels = []
    for seed in range(30):
        y = curve(*knots) + 0.012 * noise(seed)
        changes = find_changes("reward_mean", STEPS, y, good="up")
        found = phases(STEPS, y, estimate_noise(y), changes)
        names = kinds(found)
        assert names[:2] == ["rapid_rise", "slow_rise"] and names.count("drop") == 1
        rise, drop = found[0], found[names.index("drop")]
        assert rise.start == 0 and 3 <= rise.end <= 10
        assert 58 <= drop.start <= 61 and 62 <= drop.end <= 66
        levels.append((drop.start_value, drop.end_value))
        assert set(names[2:-2]) <= {"slow_rise", "plateau"}
        last[names[-1]] += 1
    assert np.median(levels, axis=0) == pytest.approx((1.88, 1.70), abs=0.012)
    # The recovery is 0.05 in 5 steps of noise 0.012: most draws show it, some cannot.
    assert set(last) <= {"recovery", "plateau"} and last["recovery"] >= 20


def test_the_length_of_the_figure_rises_and_settles() -> None:
    knots = ((0, 475.0), (20, 550.0), (35, 600.0), (50, 665.0), (70, 680.0))
    for seed in range(20):
        found = of(curve(*knots) + 12 * noise(seed))
        assert 2 <= len(found) <= MOST_PHASES
        assert found[0].kind == "slow_rise" and set(kinds(found)) <= {"slow_rise", "rapid_rise", "plateau"}
        assert 40 <= found[-1].start <= 62
        assert found[0].slope > 2.5 * found[-1].slope


def test_a_run_of_our_own_with_little_noise(shared: Path) -> None:
    table = np.genfromtxt(
        shared / "data" / "lab" / "clean-64-prompts.csv", delimiter=",", skip_header=1, usecols=(0, 1)
    )
    found = phases(table[:, 0].astype(np.int64), table[:, 1], estimate_noise(table[:, 1]), ())
    assert kinds(found) == ["rapid_rise", "slow_rise", "plateau"]
    assert found[0].start_value == pytest.approx(1.60, abs=0.05)
    assert found[-1].end_value == pytest.approx(1.865, abs=0.01)


@pytest.mark.parametrize("fault", ["layer-pruned", "prompt-shift-all"])
def test_a_fault_at_step_61_becomes_a_drop_there(shared: Path, fault: str) -> None:
    path = shared / "data" / "lab" / f"{fault}.csv"
    header = path.read_text().splitlines()[0].split(",")
    table = np.genfromtxt(path, delimiter=",", skip_header=1)
    steps, y = table[:, header.index("step")].astype(np.int64), table[:, header.index("reward")]
    found = phases(steps, y, estimate_noise(y), find_changes("reward_mean", steps, y, good="up"))
    assert kinds(found) == ["slow_rise", "drop", "plateau"]
    assert (found[1].start, found[1].end) == (60, 61)


def test_noise_is_one_plateau() -> None:
    many = Counter(tuple(kinds(of(1.0 + 0.1 * noise(seed)))) for seed in range(40))
    assert many[("plateau",)] >= 38


@pytest.mark.parametrize("swing", ["slow", "random"])
def test_a_plateau_that_begins_to_swing_is_a_fluctuation(swing: str) -> None:
    wide = np.sin(np.arange(100) / 4) if swing == "slow" else noise(4, 100)
    y = 1.0 + 0.01 * noise(3, 200) + 0.1 * np.concatenate([np.zeros(100), wide])
    found = phases(np.arange(200), y, Noise(0.01, 0.0, 0.01, 200), ())
    assert found[-1].kind == "fluctuation"
    assert found[-1].end_value == pytest.approx(1.0, abs=0.02)
    assert found[-1].noise_sd > 0.03
    if swing == "slow":  # scatter that grows without a change of course is for `changes` to find
        assert kinds(found) == ["plateau", "fluctuation"] and abs(found[1].start - 100) <= 5


def test_one_dip_is_no_fluctuation() -> None:
    y = curve((0, 1.0), (20, 1.0), (35, 0.2), (50, 1.0), (70, 1.0)) + 0.02 * noise(5)
    assert kinds(of(y)) == ["plateau", "slow_decline", "recovery", "plateau"]


def test_a_fall_is_a_drop_only_if_a_significant_change_says_so() -> None:
    y = curve((0, 1.0), (40, 1.0), (44, 0.4), (70, 0.4)) + 0.01 * noise(2)
    fall = change("drop", 41, 44, 1.0, 0.4)
    assert kinds(of(y, fall)) == ["plateau", "drop", "plateau"]
    assert "drop" not in kinds(of(y))
    assert "drop" not in kinds(of(y, change("drop", 41, 44, 1.0, 0.4, significant=False)))
    assert "drop" in kinds(phases(STEPS, y, estimate_noise(y)))  # nobody looked: the outline decides


def test_the_boundaries_of_a_significant_drop_are_those_of_its_phase() -> None:
    y = curve((0, 1.0), (40, 1.0), (44, 0.4), (70, 0.4)) + 0.01 * noise(2)
    before, drop, after = of(y, change("drop", 41, 44, 1.01, 0.39))
    assert (drop.start, drop.end, drop.start_value, drop.end_value) == (40, 44, 1.01, 0.39)
    assert (before.end, after.start) == (39, 45)
    assert drop.slope == pytest.approx(-0.62 / 4)


def test_a_rise_after_a_fall_is_a_recovery_and_before_it_is_not() -> None:
    y = curve((0, 0.2), (30, 1.0), (34, 0.4), (70, 0.9)) + 0.01 * noise(4)
    names = kinds(of(y, change("drop", 31, 34, 1.0, 0.4)))
    assert names == ["slow_rise", "drop", "recovery"] or names == ["rapid_rise", "drop", "recovery"]


def test_a_jump_upwards_separates_two_plateaus() -> None:
    y = np.where(STEPS >= 30, 2.0, 1.0) + 0.02 * noise(5)
    low, jump, high = of(y, change("level_shift", 30, 30, 1.0, 2.0))
    assert kinds((low, jump, high)) == ["plateau", "rapid_rise", "plateau"]
    assert (jump.start, jump.end) == (29, 30)
    assert low.end_value == pytest.approx(1.0, abs=0.02) and high.end_value == pytest.approx(2.0, abs=0.02)


def test_kinds_describe_geometry_whatever_is_good() -> None:
    """A KL that climbs is a rise, and one that sinks for long a decline."""
    assert kinds(of(curve((0, 0.0), (70, 3.0)) + 0.05 * noise(1))) == ["slow_rise"]
    assert kinds(of(curve((0, 3.0), (70, 0.0)) + 0.05 * noise(1))) == ["slow_decline"]


def test_slopes_are_per_step_and_not_per_row() -> None:
    y = curve((0, 0.0), (70, 7.0)) + 0.01 * noise(1)
    (found,) = phases(np.arange(71) * 10, y, estimate_noise(y), ())
    assert found.slope == pytest.approx(0.01, rel=0.02)
    assert (found.start, found.end) == (0, 700)


def test_an_outlier_moves_the_range_but_not_the_levels() -> None:
    y = curve((0, 1.0), (70, 2.0)) + 0.01 * noise(6)
    y[40] = 9.0
    found = of(y)
    assert max(phase.high for phase in found) == 9.0
    assert max(max(p.start_value, p.end_value) for p in found) == pytest.approx(2.0, abs=0.05)


def test_pieces_that_meet_have_no_gap_between_them() -> None:
    found = of(curve((0, 0.0), (30, 3.0), (70, 3.4)) + 0.03 * noise(8))
    for left, right in zip(found[:-1], found[1:], strict=True):
        assert right.start_value - left.end_value == pytest.approx(left.slope, abs=0.1)


def test_two_drops_get_a_phase_each_and_a_third_does_not() -> None:
    knots = ((0, 3.0), (20, 3.0), (21, 2.0), (40, 2.0), (41, 1.2), (60, 1.2), (61, 0.7), (70, 0.7))
    y = curve(*knots) + 0.01 * noise(9)
    falls = [
        change("drop", 21, 21, 3.0, 2.0),
        change("drop", 41, 41, 2.0, 1.2),
        change("drop", 61, 61, 1.2, 0.7),
    ]
    found = of(y, *falls)
    assert len(found) == MOST_PHASES
    assert [phase.start for phase in found if phase.kind == "drop"] == [20, 40]


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_run_too_short_for_phases_is_one(n: int) -> None:
    steps = np.arange(10, 10 + n)
    (only,) = phases(steps, np.linspace(1, 2, n), None, ())
    assert (only.kind, only.start, only.end) == ("single", 10, 9 + n)
    assert only.start_value == pytest.approx(1.0)
    assert only.end_value == pytest.approx(2.0 if n > 1 else 1.0)


def test_nothing_has_no_phases_and_a_constant_has_one() -> None:
    assert phases(np.array([], dtype=np.int64), np.array([]), None, ()) == ()
    (only,) = of(np.full(50, 3.0))
    assert (only.kind, only.start_value, only.slope, only.noise_sd) == ("plateau", 3.0, 0.0, 0.0)


def test_a_long_run_keeps_its_phases() -> None:
    knots = ((0, 0.0), (2000, 5.0), (7000, 6.0), (9999, 6.0))
    y = curve(*knots, n=10_000) + 0.3 * noise(1, 10_000)
    found = of(y)
    assert kinds(found)[0] == "rapid_rise" and len(found) <= MOST_PHASES
    assert abs(found[0].end - 2000) <= 120


def test_values_near_the_limits_of_a_float_do_no_harm() -> None:
    y = curve((0, 1.0), (30, 2.0), (70, 2.0)) + 0.01 * noise(1)
    plain = of(y)
    for scale in (1e-200, 1e200):
        scaled = of(y * scale)
        assert kinds(scaled) == kinds(plain)
        assert scaled[0].end_value == pytest.approx(plain[0].end_value * scale, rel=1e-6)


Values = st.lists(st.floats(-1e4, 1e4, allow_nan=False, width=32), min_size=1, max_size=120)


@given(Values, st.integers(1, 50), st.booleans())
@settings(max_examples=80, deadline=None)
def test_phases_tile_the_run_and_stay_within_its_values(values: list[float], gap: int, looked: bool) -> None:
    y = np.array(values)
    steps = np.cumsum(np.full(len(y), gap))
    found = phases(steps, y, estimate_noise(y), () if looked else None)
    assert 1 <= len(found) <= MOST_PHASES
    assert set(kinds(found)) <= KINDS
    assert (found[0].start, found[-1].end) == (steps[0], steps[-1])
    for left, right in zip(found[:-1], found[1:], strict=True):
        assert right.start == left.end + gap
    for phase in found:
        inside = y[(steps >= phase.start) & (steps <= phase.end)]
        assert (phase.low, phase.high) == (inside.min(), inside.max())
        tiny = 1e-9 * max(1.0, float(np.abs(y).max()))
        assert phase.low - tiny <= min(phase.start_value, phase.end_value)
        assert max(phase.start_value, phase.end_value) <= phase.high + tiny
        assert phase.noise_sd >= 0 and np.isfinite(phase.slope)
        if looked:
            assert phase.kind != "drop"
