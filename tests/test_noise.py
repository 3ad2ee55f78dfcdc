"""What a user relies on: the noise of a curve is the noise, whatever the curve does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock.analysis import estimate_noise
from foreshock.run import FloatArray


def autoregressive(seed: int, n: int, phi: float) -> FloatArray:
    rng = np.random.default_rng(seed)
    y = rng.standard_normal(n)
    for i in range(1, n):
        y[i] = phi * y[i - 1] + np.sqrt(1 - phi**2) * y[i]
    return y


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.6])
def test_the_scatter_and_its_memory_are_found(phi: float) -> None:
    noises = [estimate_noise(autoregressive(seed, 300, phi)) for seed in range(40)]
    assert np.median([noise.sd for noise in noises]) == pytest.approx(1.0, abs=0.08)
    assert np.median([noise.phi for noise in noises]) == pytest.approx(phi, abs=0.08)


@pytest.mark.parametrize(
    "trend",
    [
        np.linspace(0, 50, 200),
        20 * (1 - np.exp(-np.arange(200) / 15)),
        np.where(np.arange(200) < 120, 0.0, -15.0),
        np.interp(np.arange(200), [0, 150, 165, 199], [0, 30, 5, 10]),
    ],
    ids=["line", "learning curve", "step", "growth, drop, recovery"],
)
def test_a_trend_or_a_drop_is_not_noise(trend: FloatArray) -> None:
    bare = np.median([estimate_noise(autoregressive(s, 200, 0.2)).sd for s in range(40)])
    curved = np.median([estimate_noise(autoregressive(s, 200, 0.2) + trend).sd for s in range(40)])
    assert curved == pytest.approx(bare, rel=0.12)


def test_outliers_however_large_hardly_count() -> None:
    y = autoregressive(1, 120, 0.0)
    before = estimate_noise(y).sd
    y[[20, 71]] = 1e14, -1e300
    assert estimate_noise(y).sd < 1.6 * before


def test_gaps_and_infinities_are_skipped() -> None:
    y = autoregressive(2, 100, 0.0)
    holes = np.insert(y, [10, 50, 90], [np.nan, np.inf, -np.inf])
    assert estimate_noise(holes) == estimate_noise(y)


def test_a_constant_or_almost_empty_signal_has_no_noise() -> None:
    assert estimate_noise(np.full(40, 3.0)).sd == 0.0
    assert estimate_noise(np.array([1.0, 2.0])).sd == 0.0
    assert estimate_noise(np.array([])).count == 0


def test_a_long_still_stretch_does_not_make_the_rest_look_calm() -> None:
    y = np.concatenate([autoregressive(3, 60, 0.0), np.full(120, 5.0)])
    assert estimate_noise(y).sd > 0.6


def test_slow_wander_raises_the_long_run_scatter_only() -> None:
    white = autoregressive(4, 2000, 0.0)
    wandering = white + 0.7 * autoregressive(5, 2000, 0.99)
    noise = estimate_noise(wandering)
    assert noise.sd < 1.4
    assert noise.long_run_sd > 2 * estimate_noise(white).long_run_sd


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_noise_scales_with_the_unit_and_ignores_the_level(seed: int, shift: float, scale: float) -> None:
    y = autoregressive(seed, 60, 0.3)
    one, other = estimate_noise(y), estimate_noise(scale * (y + shift))
    assert other.sd == pytest.approx(scale * one.sd, rel=1e-6)
    assert other.phi == pytest.approx(one.phi, abs=1e-6)
