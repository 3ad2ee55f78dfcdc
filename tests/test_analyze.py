"""What a user relies on: one call says what a careful expert would say, and no more."""

from __future__ import annotations

import numpy as np
import pytest

from foreshock import analyze
from foreshock.analysis import Analysis
from foreshock.errors import MetricError
from foreshock.run import Column, FloatArray, Run, Series


def noise(seed: int, n: int = 100) -> FloatArray:
    return np.random.default_rng(seed).standard_normal(n)


def run_of(original: dict[str, FloatArray] | None = None, /, **signals: FloatArray) -> Run:
    n = len(next(iter(signals.values())))
    columns = {name: Column(f"train/{name}") for name in signals}
    return Run("r", "-", "csv_table", None, np.arange(n), Series(original or {}, signals), columns)


def growth(n: int = 100) -> FloatArray:
    return np.asarray(2 - np.exp(-np.arange(n) / 15))


def judged(**signals: FloatArray) -> Analysis:
    return analyze(run_of(**signals))


def test_a_healthy_run_is_healthy() -> None:
    analysis = judged(reward_mean=growth() + 0.03 * noise(1), response_length_mean=300 + 5 * noise(2))
    assert analysis.verdict == "healthy"
    assert analysis.changes == ()
    assert analysis.primary == ("reward_mean", "response_length_mean")


def test_a_reward_that_falls_and_stays_down_is_trouble() -> None:
    analysis = judged(reward_mean=growth() + 0.03 * noise(3) - 0.5 * (np.arange(100) >= 70))
    assert analysis.verdict == "trouble"
    assert analysis.reasons == ("reward_mean drops at step 70 and stays down",)


def test_a_fall_that_was_made_good_is_to_be_watched() -> None:
    dip = np.interp(np.arange(100), [0, 40, 41, 50, 60, 99], [0, 0, 0.6, 0.6, 0, 0])
    assert judged(reward_mean=growth() + 0.03 * noise(4) - dip).verdict == "watch"


def test_a_saturated_length_with_the_reward_intact_is_no_collapse() -> None:
    length = np.minimum(300 + 4 * np.arange(100) + 8 * noise(5), 512.0)
    analysis = judged(
        reward_mean=growth() + 0.03 * noise(6),
        response_length_mean=length,
        truncation_ratio=np.clip((length - 400) / 112, 0, 1),
    )
    assert analysis.verdict == "watch"
    assert not [c for c in analysis.changes if c.signal == "reward_mean"]
    assert {c.kind for c in analysis.changes if c.signal == "response_length_mean"} == {"saturation"}


def test_a_loss_that_is_not_finite_is_trouble() -> None:
    loss = noise(7)
    loss[80] = np.inf
    assert judged(reward_mean=growth() + 0.03 * noise(8), loss=loss).verdict == "trouble"


def test_forty_quiet_metrics_do_not_yield_a_list_of_chances() -> None:
    told = 0
    for seed in range(8):
        metrics = {f"reward_component_mean/{k}": noise(100 * seed + k) for k in range(40)}
        told += len(judged(reward_mean=growth() + 0.03 * noise(seed), **metrics).changes)
    assert told <= 2


def test_signals_can_be_asked_for_by_name_and_unknown_ones_are_named() -> None:
    run = run_of({"my/thing": noise(9)}, reward_mean=noise(10), entropy=noise(11))
    assert list(analyze(run).signals) == ["reward_mean", "entropy"]
    assert list(analyze(run, signals=["my/thing"]).signals) == ["reward_mean", "my/thing"]
    with pytest.raises(MetricError, match="no signal 'nonsense'; it has reward_mean, entropy, my/thing"):
        analyze(run, signals=["nonsense"])


def test_the_false_alarm_rate_asked_for_is_the_one_used() -> None:
    run = run_of(reward_mean=growth() + 0.1 * noise(12) - 0.3 * (np.arange(100) >= 85))
    loose = analyze(run, alpha=0.2)
    assert loose.false_alarm_rate == 0.2
    p_values = [c.p_value for c in loose.changes if c.p_value is not None]
    assert all(p <= 0.2 for p in p_values)
    assert not [c for c in analyze(run, alpha=1e-9).changes if c.signal == "reward_mean"]


def test_a_description_carries_the_dictionary_s_words() -> None:
    length = judged(reward_mean=noise(13), response_length_mean=300 + noise(14)).signals[
        "response_length_mean"
    ]
    assert (length.key, length.unit) == ("train/response_length_mean", "tokens")
    assert length.count == 100
    assert length.phases and length.key_points


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 12])
def test_runs_of_any_length_are_analysed(n: int) -> None:
    analysis = judged(reward_mean=noise(15, n), response_length_mean=noise(16, n), kl_ref=np.full(n, np.nan))
    assert analysis.signals["reward_mean"].count == n
    assert "kl_ref" not in analysis.signals
