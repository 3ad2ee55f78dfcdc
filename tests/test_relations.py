"""What a user relies on: two rising curves are not called related, and a parting is placed where it is."""

from __future__ import annotations

import numpy as np
import pytest

from foreshock.analysis import Change, Phase, Relation
from foreshock.analysis.changes import find_changes
from foreshock.analysis.relations import change_correlation, find_relations, rank_correlation, residual
from foreshock.run import FloatArray

N = 120
STEPS = np.arange(N)


def noise(seed: int, phi: float = 0.0, n: int = N) -> FloatArray:
    rng = np.random.default_rng(seed)
    y = rng.standard_normal(n)
    for i in range(1, n):
        y[i] = phi * y[i - 1] + np.sqrt(1 - phi**2) * y[i]
    return y


def relate(reward: FloatArray, length: FloatArray, phases: tuple[Phase, ...] = ()) -> Relation:
    changes: list[Change] = find_changes("reward_mean", STEPS, reward, good="up")
    changes += find_changes("response_length_mean", STEPS, length)
    series = {"reward_mean": reward, "response_length_mean": length}
    (relation,) = find_relations(STEPS, series, changes, {"reward_mean": phases})
    return relation


def test_two_rising_curves_correlate_and_are_said_to_be_trending() -> None:
    relation = relate(STEPS / 10 + noise(1), 3 * STEPS + 10 * noise(2))
    assert relation.trending
    assert relation.level_correlation is not None and relation.level_correlation > 0.8
    assert relation.change_correlation == pytest.approx(0, abs=0.25)
    assert relation.change_p_value is not None and relation.change_p_value > 0.01


def test_curves_that_move_against_each_other_from_step_to_step_are_found_under_two_rising_trends() -> None:
    shared = noise(3)
    relation = relate(STEPS / 10 + shared + 0.5 * noise(4), 3 * STEPS - 10 * shared + 5 * noise(5))
    assert relation.level_correlation is not None and relation.level_correlation > 0.5
    assert relation.change_correlation is not None and relation.change_correlation < -0.5
    assert relation.change_p_value is not None and relation.change_p_value < 0.001


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8])
def test_unrelated_signals_are_seldom_called_related(phi: float) -> None:
    draws = 300
    ps = [
        change_correlation(residual(noise(s, phi)), residual(noise(s + 10_000, phi)))[1] for s in range(draws)
    ]
    assert sum(p is not None and p < 0.05 for p in ps) <= 0.07 * draws + 3 * np.sqrt(0.07 * 0.93 * draws)


def test_a_lag_is_named_only_where_it_is_clear() -> None:
    shared = noise(6, n=N + 3)
    late = relate(shared[3:] + 0.3 * noise(7), 20 * shared[:-3] + 5 * noise(8))
    assert late.lag == 3
    assert relate(noise(9), noise(10)).lag is None
    together = noise(11)
    assert relate(together, 20 * together + noise(12)).lag is None


def test_a_reward_that_drops_alone_parts_from_the_length_at_that_step() -> None:
    reward = 2 + 0.02 * noise(13) - 0.5 * (STEPS >= 80)
    relation = relate(reward, 500 + 5 * noise(14))
    assert relation.decoupled_at == 80
    assert relation.detail == "reward_mean changes at step 80, response_length_mean does not follow"


def test_a_length_that_follows_later_is_named_with_its_step() -> None:
    reward = 2 + 0.02 * noise(13) - 0.5 * (STEPS >= 80)
    relation = relate(reward, 300 + 5 * noise(14) + 200 * (STEPS >= 90))
    assert relation.decoupled_at == 80
    assert relation.detail.endswith("response_length_mean changes only at step 90")


def test_signals_that_change_together_do_not_part() -> None:
    fallen = STEPS >= 80
    assert relate(2 + 0.02 * noise(15) - fallen, 300 + 5 * noise(16) + 200 * fallen).decoupled_at is None


def test_each_phase_has_its_own_correlation() -> None:
    shared = noise(17)
    sign = np.where(STEPS < 60, 1.0, -1.0)
    phases = tuple(Phase("plateau", a, b, 0, 0, 0, 0, 0, 1) for a, b in ((0, 59), (60, 119)))
    relation = relate(shared + 0.3 * noise(18), sign * shared + 0.3 * noise(19), phases)
    first, second = (p.change_correlation for p in relation.phases)
    assert first is not None and first > 0.6
    assert second is not None and second < -0.6


def test_signals_that_stand_still_or_hardly_overlap_have_no_relation() -> None:
    reward = noise(20)
    gaps = np.where(STEPS < 10, noise(21), np.nan)
    for other in (np.full(N, 7.0), gaps):
        series = {"reward_mean": reward, "response_length_mean": other}
        assert find_relations(STEPS, series, [], {}) == []


def test_rank_correlation_knows_ties_and_shrugs_at_outliers() -> None:
    x = np.array([1.0, 2.0, 2.0, 3.0, 1e14])
    assert rank_correlation(x, x) == pytest.approx(1)
    assert rank_correlation(x, -x) == pytest.approx(-1)
    assert rank_correlation(x, np.ones(5)) is None
