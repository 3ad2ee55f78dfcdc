"""What the benchmark of live detection rests on: nobody looks ahead, thresholds hold, delays are right.

The numbers themselves are in docs/detect/measured.md; here are small draws only.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from detection_curves import FAMILIES, Curves, autoregressive, families, isotonic, synthetic, with_drop
from detection_measure import APART, delays, false_alarms, reached, tune, waits
from detection_methods import Method, ideal, mean_of_5, page_hinkley, rivals
from detection_ours import budget
from detection_ours import methods as ours
from foreshock.detect.monitor import Monitor

ROWS = 120
TUNED = [m for m in [*ours(), *rivals()] if m.statistic]


def draw(seed: int, curves: int, n: int = ROWS) -> Curves:
    return synthetic(np.random.default_rng(seed), curves, n)


@pytest.mark.parametrize("method", TUNED, ids=lambda m: m.name)
def test_no_statistic_looks_ahead(method: Method) -> None:
    y = with_drop(draw(0, 3), np.array([70, 70, 70]), 5).y
    assert method.statistic is not None
    whole = method.statistic(y)
    for rows in (25, 71, 90):
        np.testing.assert_allclose(method.statistic(y[:, :rows]), whole[:, :rows], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", TUNED, ids=lambda m: m.name)
def test_every_method_tells_a_drop_of_ten_sd_by_a_higher_statistic(method: Method) -> None:
    quiet = Curves(autoregressive(np.random.default_rng(1), np.zeros(8), ROWS), *(np.ones((2, 8, ROWS))))
    onset = np.full(8, 60)
    assert method.statistic is not None
    before = np.nanmax(method.statistic(quiet.y)[:, 30:], axis=1)
    after = np.nanmax(method.statistic(with_drop(quiet, onset, 10).y)[:, 60:80], axis=1)
    assert (after > before).all()


@pytest.mark.parametrize("method", [m for m in TUNED if m.name != "Page-Hinkley"], ids=lambda m: m.name)
def test_scale_and_shift_change_nothing(method: Method) -> None:
    y = draw(2, 3).y
    assert method.statistic is not None
    np.testing.assert_allclose(
        method.statistic(0.3 + 0.02 * y), method.statistic(y), rtol=1e-4, atol=1e-6, equal_nan=True
    )


def test_the_monitor_speaks_first_where_its_running_statistic_does() -> None:
    curves = with_drop(draw(10, 12), np.full(12, 70), 4)
    for row, own in zip(curves.y, budget(curves.y), strict=True):
        monitor, told = Monitor(signals=["reward_mean"]), None
        for t, value in enumerate(row.tolist()):
            if any(alarm.kind in ("drop", "spike") for alarm in monitor.step(t, {"reward_mean": value})):
                told = t
                break
        above = np.flatnonzero(own >= 0)
        assert told == (above[0] if len(above) else None)


def test_page_hinkley_alarms_first_where_river_does() -> None:
    drift = pytest.importorskip("river.drift")
    y = with_drop(draw(3, 40, 200), np.full(40, 120), 5).y
    statistic = page_hinkley(y, np.ones_like(y))
    for row, own in zip(y, statistic, strict=True):
        detector, first = drift.PageHinkley(delta=0.5, threshold=20, mode="down"), None
        for t, value in enumerate(row.tolist()):
            detector.update(value)
            if detector.drift_detected:
                first = t
                break
        told = np.flatnonzero(own > 20)
        assert first == (told[0] if len(told) else None)


def test_a_tuned_threshold_holds_its_rate_on_other_draws() -> None:
    def noise(seed: int) -> np.ndarray:
        return families(np.random.default_rng(seed), "phi 0.2", 400, 300)

    for rate in (1.0, 5.0):
        threshold = tune(noise(4), rate)
        held = false_alarms(reached(noise(4), threshold))
        assert rate - 0.1 < held.per_1000 <= rate
        other = false_alarms(reached(noise(5), threshold))
        assert other.per_1000 == pytest.approx(rate, abs=4 * 2**0.5 * other.error)


def test_alarms_close_together_are_one_and_long_ones_leave_few_rows() -> None:
    alarmed = np.zeros((1, 100), dtype=bool)
    alarmed[0, [10, 15, 15 + APART, 15 + 2 * APART + 1]] = True
    assert false_alarms(alarmed).alarms == 2
    stuck = np.ones((1, 100), dtype=bool)
    assert (false_alarms(stuck).alarms, false_alarms(stuck).rows) == (1, 1)


def test_a_delay_counts_the_first_fallen_row_and_caps_what_is_not_found() -> None:
    alarmed = np.zeros((4, 200), dtype=bool)
    onset = np.full(4, 100)
    alarmed[0, 100] = alarmed[1, 104] = True  # at once; five rows later
    alarmed[3, 95] = True  # in an alarm at the change
    found = delays(alarmed, onset)
    assert found.mean == pytest.approx((1 + 5 + 60) / 3)
    assert found.found == pytest.approx(2 / 3)
    assert (found.dropped, found.counted) == (0.25, 3)
    assert list(waits(alarmed, onset, np.array([True, False, False, False])).took) == [1]


def test_drops_have_the_size_that_is_said() -> None:
    quiet = draw(6, 2, 200)
    onset = np.array([50, 100])
    step, ramp = with_drop(quiet, onset, 3), with_drop(quiet, onset, 3, ramp=True)
    for k, at in enumerate(onset):
        assert (quiet.y - step.y)[k, at - 1 : at + 2] == pytest.approx(
            [0, 3 * quiet.sd[k, at]] + [3 * quiet.sd[k, at]]
        )
        assert (quiet.y - ramp.y)[k, [at, at + 9, at + 50]] / quiet.sd[k, at] == pytest.approx([0.3, 3, 3])


@pytest.mark.parametrize("family", FAMILIES)
def test_families_are_curves_in_which_nothing_falls(family: str) -> None:
    y = families(np.random.default_rng(7), family, 300, 100)
    assert y.shape == (300, 100) and np.isfinite(y).all()
    assert y[:, 70:].mean() > y[:, :30].mean() - 0.1


def test_an_isotonic_fit_never_falls_and_keeps_the_mean() -> None:
    y = np.random.default_rng(8).standard_normal(50)
    fit = isotonic(y)
    assert (np.diff(fit) >= 0).all()
    assert fit.mean() == pytest.approx(y.mean())


def test_nobody_is_faster_than_the_ideal_observer() -> None:
    quiet = autoregressive(np.random.default_rng(9), np.zeros(300), 200)
    onset = np.full(150, 120)
    one = np.ones_like(quiet)
    changed = with_drop(Curves(quiet[150:], one[150:], 0 * one[150:]), onset, 3).y
    best = delays(reached(ideal(changed, one[150:]), tune(ideal(quiet[:150], one[:150]))), onset)
    assert best.mean == pytest.approx(2.1, abs=0.4)
    threshold = tune(mean_of_5(quiet[:150]))
    assert delays(reached(mean_of_5(changed), threshold), onset).mean > best.mean - 0.2
