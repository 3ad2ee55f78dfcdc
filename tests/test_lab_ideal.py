"""The ideal observer: its power is that of a simulated test, and it sees nothing in nothing."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pytest

import _lab  # noqa: F401  makes the lab importable

# isort: split
from lab import ideal

Array = npt.NDArray[np.float64]
METRICS = 6


def noise(windows: int, seed: int) -> Array:
    """Clean windows: autocorrelated over steps, correlated over metrics, with an error of the level."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((windows, ideal.STEPS + 5, METRICS))
    for step in range(1, z.shape[1]):
        z[:, step] = 0.4 * z[:, step - 1] + np.sqrt(1 - 0.16) * z[:, step]
    mixing = np.eye(METRICS) + 0.5 * np.tri(METRICS, k=-1)
    return z[:, 5:] @ mixing + 0.2 * rng.standard_normal((windows, 1, METRICS))


def fault(size: float) -> Array:
    """A step in one metric and a slow ramp in another."""
    effect = np.zeros((ideal.STEPS, METRICS))
    effect[:, 0] = size
    effect[:, 2] = size * np.linspace(0, 2, ideal.STEPS)
    return effect


@pytest.mark.parametrize("size", [0.4, 0.8, 1.2])
def test_power_is_that_of_a_simulated_test(size: float) -> None:
    effect, n = fault(size), 8
    covariance = np.cov(ideal.features(noise(4000, 1), n), rowvar=False)
    (expected,) = ideal.features(effect[None], n)
    direction = np.linalg.solve(covariance, expected)
    clean = ideal.features(noise(20_000, 2), n) @ direction
    faulty = ideal.features(noise(20_000, 3) + effect, n) @ direction
    simulated = float((faulty > np.quantile(clean, 1 - ideal.ALARMS)).mean())
    told = ideal.power(ideal.distance([expected] * 100, covariance))
    assert simulated - 0.08 < told < simulated + 0.03  # a little cautious, for the ridge


def test_seeds_that_differ_by_chance_only_show_nothing() -> None:
    clean, rng = noise(400, 4), np.random.default_rng(5)
    powers = []
    for _ in range(20):
        drawn = [noise(1, int(seed))[0] for seed in rng.integers(10**9, size=6)]
        seeds = [drawn[place] - drawn[place + 3] for place in range(3)]
        powers.append(ideal.powers_of(seeds, clean)[-1])
    assert np.mean(powers) < 0.12  # above 1 %, as the window is chosen by the estimate


def test_a_strong_fault_is_seen_at_once_and_a_weak_one_later() -> None:
    clean = noise(400, 6)
    pair = [noise(1, seed)[0] - noise(1, seed + 50)[0] for seed in range(3)]
    strong = ideal.summary(ideal.powers_of([fault(20.0) + each for each in pair], clean))
    weak = ideal.summary(ideal.powers_of([fault(2.0) + each for each in pair], clean))
    assert strong == {"power_8": 1.0, "power_16": 1.0, "delay": 1.0}
    assert weak["power_8"] is not None
    assert weak["power_16"] is not None
    assert 0.1 < weak["power_8"] < weak["power_16"]
    assert weak["delay"] is None or weak["delay"] > 4


def test_delay_is_the_mean_wait() -> None:
    powers = [0.0, 0.0, 1.0, *[1.0] * 13]
    assert ideal.summary(powers) == {"power_8": 1.0, "power_16": 1.0, "delay": 3.0}
    assert ideal.summary([0.1] * 16)["delay"] is None
    assert ideal.power(NormalDist().inv_cdf(0.99)) == pytest.approx(0.5)


def test_noise_and_gaps_of_a_metric() -> None:
    level, unit = ideal.measure(np.array([1.0, 2.0] * 30))
    assert level == pytest.approx(1.5)
    assert unit == pytest.approx(1 / np.sqrt(2), rel=0.02)
    assert ideal.measure(np.full(30, 0.3)) == pytest.approx((0.3, 3e-4))
    assert list(ideal.held(np.array([np.nan, 1.0, np.nan, 2.0]), 0.0)) == [0.0, 1.0, 1.0, 2.0]
    assert list(ideal.cut(np.array([-1e9, 0.5, np.nan]))) == [-20.0, 0.5, 0.0]
