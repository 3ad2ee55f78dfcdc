"""What every live detector keeps to, and what each is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from foreshock.detect import (
    bocpd,
    calibration,
    guarantee,
    joint,
    noise,
    non_finite,
    peak,
    saturated,
    scan,
    spike,
    stuck,
)
from foreshock.detect._verdict import Verdict
from foreshock.run import FloatArray

Step = Callable[[Any, FloatArray], tuple[Any, Verdict]]


class Detector(NamedTuple):
    """A detector for k signals."""

    start: Callable[[int], Any]
    step: Step


def _steady(state: noise.State, x: FloatArray) -> tuple[noise.State, Verdict]:
    return scan.step(state, x, steady=True)


def _joint_start(k: int) -> Any:
    return noise.start(k), bocpd.start_own(k)


def _joint_step(state: Any, x: FloatArray) -> tuple[Any, Verdict]:
    scatter, seen = noise.step(state[0], x)
    own, verdict = joint.judge(state[1], seen)
    return (scatter, own), verdict


DETECTORS = {
    "scan": Detector(scan.start, scan.step),
    "steady": Detector(scan.start, _steady),
    "peak": Detector(peak.start, peak.step),
    "bocpd": Detector(bocpd.start, bocpd.step),
    "spike": Detector(spike.start, spike.step),
    "joint": Detector(_joint_start, _joint_step),
}
COUNTING = {
    "stuck": Detector(stuck.start, stuck.step),
    "saturated": Detector(saturated.start, lambda state, x: saturated.step(state, x, np.full(len(x), 1.0))),
}


def scores(detector: Detector, y: FloatArray) -> FloatArray:
    """Scores on curves (k, n)."""
    state = detector.start(len(y))
    found = np.empty_like(y)
    for row in range(y.shape[1]):
        state, verdict = detector.step(state, y[:, row])
        found[:, row] = verdict.score
    return found


def curves(k: int, n: int, seed: int = 0, drop: float = 0.0, at: int = 80) -> FloatArray:
    """White noise of unit variance that falls at a row."""
    y = np.random.default_rng(seed).standard_normal((k, n))
    y[:, at:] -= drop
    return y


@pytest.mark.parametrize("name", [*DETECTORS, *COUNTING])
def test_a_constant_signal_never_alarms(name: str) -> None:
    detector = {**DETECTORS, **COUNTING}[name]
    found = scores(detector, np.full((2, 120), 0.7))
    assert (found < 0.1).all()


@pytest.mark.parametrize("name", DETECTORS)
def test_scores_do_not_depend_on_unit_and_origin(name: str) -> None:
    y = curves(4, 130, drop=3.0)
    plain, changed = (scores(DETECTORS[name], z) for z in (y, 1e-4 * y + 17.0))
    assert (np.isfinite(plain) == np.isfinite(changed)).all()
    known = np.isfinite(plain)
    np.testing.assert_allclose(plain[known], changed[known], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_larger_fall_is_more_evidence(name: str) -> None:
    y = curves(40, 92)
    tops = []
    for size in (0.0, 2.0, 4.0, 8.0):
        fallen = y.copy()
        fallen[:, 80:] -= size
        tops.append(scores(DETECTORS[name], fallen)[:, 80:].max(1).mean())
    assert tops == sorted(tops)
    assert tops[-1] > tops[0] + 2


@pytest.mark.parametrize("name", [*DETECTORS, *COUNTING])
def test_a_row_without_the_signal_changes_nothing(name: str) -> None:
    detector = {**DETECTORS, **COUNTING}[name]
    y = curves(2, 100, drop=3.0)
    y[1] = np.round(y[1])
    holes = np.full((2, 150), np.nan)
    places = np.sort(np.random.default_rng(1).permutation(150)[:100])
    holes[:, places] = y
    found = scores(detector, holes)
    np.testing.assert_array_equal(found[:, places], scores(detector, y))
    assert np.isneginf(np.delete(found, places, axis=1)).all()


@pytest.mark.parametrize("name", [*DETECTORS, *COUNTING])
def test_a_step_changes_no_state_and_no_other_signal(name: str) -> None:
    detector = {**DETECTORS, **COUNTING}[name]
    y = curves(3, 60, drop=2.0, at=40)
    state = detector.start(3)
    states = []
    for row in range(60):
        states.append(state)
        state, _ = detector.step(state, y[:, row])
    _, again = detector.step(states[50], y[:, 50])
    alone = scores(detector, y[1:2])
    np.testing.assert_allclose(again.score[1], alone[0, 50], rtol=1e-9)


@pytest.mark.parametrize("name", ["scan", "joint", "peak"])
def test_growth_is_no_fall(name: str) -> None:
    growth = 12 * (1 - np.exp(-np.arange(200) / 30))
    flat, grown = (scores(DETECTORS[name], curves(100, 200) + mean).max() for mean in (0.0, growth))
    assert grown <= flat + 0.5


def test_a_drift_that_slows_down_is_none_for_the_steady_scan() -> None:
    sinking = -12 * (1 - np.exp(-np.arange(200) / 60))
    found = scores(DETECTORS["steady"], curves(100, 200) + sinking)
    assert (found.max(1) > calibration.score_at("steady", 1.0)).mean() < 0.25
    fallen = scores(DETECTORS["steady"], curves(100, 200, drop=6.0, at=120) + sinking)
    assert (fallen[:, 120:128].max(1) > calibration.score_at("steady", 1.0)).mean() > 0.9


def test_the_peak_sees_a_fall_that_no_window_holds() -> None:
    fall = -0.012 * np.maximum(0, np.arange(500) - 150)
    found = scores(DETECTORS["peak"], curves(30, 500, seed=2) + fall)
    assert np.median(found[:, -1]) > calibration.score_at("peak", 0.1)


def test_noise_is_estimated_whatever_the_trend() -> None:
    rng = np.random.default_rng(4)
    for phi in (0.0, 0.5):
        y = rng.standard_normal((200, 160))
        for row in range(1, 160):
            y[:, row] = phi * y[:, row - 1] + np.sqrt(1 - phi**2) * y[:, row]
        y += 15 * (1 - np.exp(-np.arange(160) / 25))
        y[:, 120:] -= 4
        state = noise.start(200)
        for row in range(160):
            state, _ = noise.step(state, y[:, row])
        assert np.median(state.sd) == pytest.approx(1.0, abs=0.12)
        assert np.median(state.phi) == pytest.approx(phi, abs=0.12)


def test_spread_within_the_batch_is_used_as_known_noise() -> None:
    y = curves(200, 12)
    plain, told = noise.start(200), noise.start(200)
    for row in range(12):
        plain, _ = noise.step(plain, y[:, row])
        told, _ = noise.step(told, y[:, row], known=np.ones(200))
    assert np.std(told.sd) < 0.7 * np.std(plain.sd)
    assert (told.dof > plain.dof).all()


def test_a_signal_that_stood_still_and_leaves_its_value_is_seen_within_four_rows() -> None:
    y = np.ones((1, 90))
    y[:, 80:] = 0.0
    found = scores(DETECTORS["scan"], y)
    assert found[0, 79] == -np.inf
    assert found[0, 83] > calibration.score_at("joint", 0.3)


def test_nan_is_reported_only_after_values_and_only_where_it_was_logged() -> None:
    state = non_finite.start(1)
    told = []
    for value, logged in [(1.0, True)] * 3 + [(np.nan, False), (np.nan, True), (-np.inf, True), (1.0, True)]:
        state, verdict = non_finite.step(state, np.array([value]), np.array([logged]))
        told.append(int(verdict.rows[0]))
    assert told == [0, 0, 0, 0, 1, 2, 0]


def test_the_rate_of_a_score_and_the_score_of_a_rate_agree() -> None:
    for kind in calibration.KINDS:
        for rate in (2.0, 0.7, 0.05, 1e-3, 1e-5):
            assert calibration.rate_at(kind, calibration.score_at(kind, rate)) == pytest.approx(
                rate, rel=0.05
            )


@pytest.mark.parametrize("tails", ["normal", "t5"])
def test_the_calibrated_rate_is_kept_on_noise_that_it_was_not_made_from(tails: str) -> None:
    rng = np.random.default_rng(99)
    y = rng.standard_normal((300, 200)) if tails == "normal" else rng.standard_t(5, (300, 200))
    found = scores(DETECTORS["joint"], y)
    above = found >= calibration.score_at("joint", 1.0)
    began = above.copy()
    for back in range(1, 26):
        began[:, back:] &= ~above[:, :-back]
    # 60 expected at most; a Poisson count beyond 85 has a chance of one in a thousand.
    assert began.sum() <= 85


def test_the_guarantee_holds_on_rewards_that_no_calibration_has_seen() -> None:
    """Bernoulli rewards of a growing chance: everything that the theorem assumes, nothing else."""
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(60):
        state = guarantee.start(0.005, 0.0, 1.0, prompts=16)
        chance = np.linspace(rng.uniform(0.0, 0.4), rng.uniform(0.5, 1.0), 200)
        for value in rng.binomial(16, chance) / 16:
            state, verdict = guarantee.step(state, np.array([value]))
            if verdict.score[0] > 0:
                alarms += 1
                break
    assert alarms <= 60 * 200 * 0.005  # the bound is loose: far fewer are usual
    assert alarms <= 6


def test_the_guarantee_bounds_hold_at_all_counts_together() -> None:
    rng = np.random.default_rng(6)
    sums = np.cumsum(rng.choice([-1.0, 1.0], (2000, 400)), axis=1)
    count = np.arange(1, 401, dtype=np.float64)
    missed = (np.abs(sums / count) > guarantee.bound(count, 1.0, 0.05)).any(1).mean()
    assert 0.0005 < missed <= 0.05


def test_the_guarantee_refuses_what_it_cannot_be_given_for() -> None:
    with pytest.raises(ValueError, match="range 2.0 to 0.0 is empty"):
        guarantee.start(0.001, 2.0, 0.0)
    with pytest.raises(ValueError, match="at most 0.1"):
        guarantee.start(0.5, 0.0, 1.0)
    state = guarantee.start(0.001, 0.0, 1.0)
    assert guarantee.step(state, np.array([7.0]))[0] is state
