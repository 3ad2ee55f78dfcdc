"""The promise, on fewer draws than benchmarks/figure.py: the drop is found, healthy twins are quiet.

The figure and its twins are synthetic. Draws are seeded, so these tests cannot flicker.
"""

from __future__ import annotations

import numpy as np
import pytest

from foreshock.analysis._scan import fall_scores
from foreshock.analysis._significance import null_tables, p_values
from foreshock.analysis.changes import find_changes
from foreshock.analysis.noise import scatter_of
from foreshock.run import FloatArray

STEPS = np.arange(71)
DRAWS = 60
FALLS = ("drop", "slow_decline")


def figure(seed: int) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    length = np.interp(STEPS, [0, 20, 35, 50, 70], [475, 550, 600, 665, 680])
    reward = np.interp(STEPS, [0, 5, 10, 20, 45, 60, 65, 70], [1.5, 1.7, 1.75, 1.8, 1.88, 1.875, 1.7, 1.75])
    return length + 12 * rng.standard_normal(71), reward + 0.012 * rng.standard_normal(71)


def twins(seed: int, draws: int, n: int, phi: float, tails: str = "normal") -> FloatArray:
    """The learning curve without the drop, with AR(1) noise, shape (draws, n)."""
    rng = np.random.default_rng(seed)
    shock = (
        rng.standard_t(5, (draws, n)) / np.sqrt(5 / 3) if tails == "t5" else rng.standard_normal((draws, n))
    )
    noise = np.empty_like(shock)
    noise[:, 0] = shock[:, 0]
    for i in range(1, n):
        noise[:, i] = phi * noise[:, i - 1] + np.sqrt(1 - phi**2) * shock[:, i]
    curve = np.interp(
        np.linspace(0, 70, n), [0, 5, 10, 20, 45, 60, 70], [1.5, 1.7, 1.75, 1.8, 1.88, 1.89, 1.9]
    )
    return curve + 0.012 * noise


def test_the_drop_of_the_figure_is_found_placed_and_sized() -> None:
    found = covered = 0
    said = []
    for seed in range(DRAWS):
        _, reward = figure(seed)
        drops = [c for c in find_changes("reward_mean", STEPS, reward, good="up") if c.kind == "drop"]
        found += bool(drops)
        # The last good step is 60, the first fallen one 61.
        covered += any(c.step_interval[0] <= 61 and c.step_interval[1] >= 60 for c in drops)
        said += drops[:1]
    assert found >= 0.99 * DRAWS
    assert covered >= 0.9 * DRAWS
    assert np.median([c.from_value for c in said]) == pytest.approx(1.88, abs=0.012)
    assert np.median([c.to_value for c in said]) == pytest.approx(1.70, abs=0.012)
    assert np.median([c.percent_of_peak or 0 for c in said]) == pytest.approx(9.6, abs=0.6)
    assert np.median([c.percent_of_gain or 0 for c in said]) == pytest.approx(47, abs=3)
    assert np.median([c.recovered or 0 for c in said]) == pytest.approx(0.28, abs=0.06)
    assert np.median([c.sigma or 0 for c in said]) == pytest.approx(15, abs=2.5)


def test_the_length_of_the_figure_has_no_drop_and_seldom_any_change() -> None:
    changes = [find_changes("response_length_mean", STEPS, figure(seed)[0]) for seed in range(DRAWS)]
    assert not [c for found in changes for c in found if c.kind in FALLS]
    assert sum(bool(found) for found in changes) <= 0.1 * DRAWS


@pytest.mark.parametrize("tails", ["normal", "t5"])
@pytest.mark.parametrize("phi", [0.0, 0.2, 0.4, 0.6, 0.8])
@pytest.mark.parametrize(("n", "draws"), [(71, 300), (300, 200), (1000, 60)])
def test_healthy_twins_have_no_reward_drop(n: int, draws: int, phi: float, tails: str) -> None:
    y = twins(n, draws, n, phi, tails)
    scatter = scatter_of(y)
    top = fall_scores(y, scatter).max(-1)
    alarms = (p_values(top, scatter.phi, n, null_tables()["fall"]) <= 0.05).sum()
    # At most 5 %, and what chance allows on so few draws (one in a thousand).
    assert alarms <= 0.05 * draws + 3.1 * np.sqrt(0.05 * 0.95 * draws)


@pytest.mark.parametrize("phi", [0.0, 0.8])
def test_what_a_user_sees_is_no_more_than_what_the_scan_finds(phi: float) -> None:
    runs = twins(9, 60, 71, phi)
    seen = sum(any(c.kind in FALLS for c in find_changes("r", STEPS, y, good="up")) for y in runs)
    assert seen <= 6


def test_p_values_fall_with_the_score_and_never_reach_zero() -> None:
    table = null_tables()["fall"]
    for n in (8, 30, 71, 1000, 5000):
        for phi in (-0.3, 0.0, 0.5, 0.97):
            p = p_values(np.linspace(0.1, 80, 200), np.full(200, phi), n, table)
            assert (np.diff(p) <= 1e-12).all()
            assert 0 < p.min() and p.max() <= 1
