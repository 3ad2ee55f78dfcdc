"""What a user relies on: what cannot be trusted is said, once, with its numbers."""

from __future__ import annotations

import numpy as np

from foreshock.analysis import Analysis, analyze
from foreshock.analysis.quality import hold_length, without_fill
from foreshock.run import Column, FloatArray, IntArray, Note, Run, Series


def noise(seed: int, n: int) -> FloatArray:
    return np.random.default_rng(seed).standard_normal(n)


def run_of(steps: IntArray | None = None, notes: tuple[Note, ...] = (), **signals: FloatArray) -> Run:
    n = len(next(iter(signals.values())))
    columns = {name: Column(name) for name in signals}
    steps = np.arange(n) if steps is None else steps
    return Run("r", "-", "csv_table", None, steps, Series(signals, signals), columns, notes=notes)


def kinds(analysis: Analysis, signal: str | None) -> list[str]:
    return [q.kind for q in analysis.quality if q.signal == signal]


def test_a_reward_that_never_moves_is_dead_and_nothing_can_be_told() -> None:
    analysis = analyze(run_of(reward_mean=np.full(51, 1.0075)))
    assert kinds(analysis, "reward_mean") == ["dead"]
    assert analysis.verdict == "cannot tell"
    assert analysis.reasons == ("reward_mean is 1.0075 at every one of its 51 steps",)


def test_groups_without_any_spread_make_a_moving_reward_dead() -> None:
    analysis = analyze(
        run_of(reward_mean=0.9 + 0.01 * noise(1, 50), frac_zero_variance_groups=np.full(50, 1.0))
    )
    assert "dead" in kinds(analysis, "reward_mean")
    assert analysis.verdict == "cannot tell"


def test_a_length_that_never_moves_is_constant() -> None:
    analysis = analyze(run_of(reward_mean=noise(2, 40), response_length_mean=np.full(40, 96.0)))
    assert kinds(analysis, "response_length_mean") == ["constant"]


def test_forward_filled_values_count_only_where_measured() -> None:
    measured = 5 + noise(3, 60)
    filled = np.repeat(measured, 10)
    assert hold_length(filled) == 10
    assert np.isfinite(without_fill(filled)).sum() == 60
    analysis = analyze(run_of(reward_mean=filled))
    assert kinds(analysis, "reward_mean") == ["forward_filled"]
    assert analysis.signals["reward_mean"].count == 60
    noise_sd = analysis.signals["reward_mean"].noise
    assert noise_sd is not None and 0.7 < noise_sd.sd < 1.4


def test_a_reward_in_eighths_is_not_forward_filled() -> None:
    coarse = np.random.default_rng(4).integers(0, 4, 300) / 8
    assert hold_length(coarse) == 1


def test_a_run_of_a_few_steps_says_so_once_and_cannot_be_judged() -> None:
    analysis = analyze(run_of(reward_mean=noise(5, 6), response_length_mean=noise(6, 6), kl_ref=noise(7, 6)))
    assert analysis.verdict == "cannot tell"
    assert [q.kind for q in analysis.quality] == ["too_few_points", "too_few_points"]
    assert [q.signal for q in analysis.quality] == [None, "reward_mean"]


def test_a_run_without_a_reward_cannot_be_judged() -> None:
    analysis = analyze(run_of(response_length_mean=300 + noise(8, 60)))
    assert (analysis.verdict, analysis.reasons) == ("cannot tell", ("the run has no reward",))


def test_missing_and_repeated_steps_are_counted() -> None:
    steps = np.delete(np.arange(60) * 5, [20, 21, 40])
    notes = (Note("repeated-steps", "4 steps were logged twice", 4),)
    analysis = analyze(run_of(steps, notes, reward_mean=noise(9, 57)))
    by_kind = {q.kind: q for q in analysis.quality}
    assert by_kind["missing_steps"].count == 3
    assert by_kind["missing_steps"].step == 95
    assert by_kind["repeated_steps"].count == 4


def test_infinities_are_counted_and_placed() -> None:
    kl = np.abs(noise(10, 50))
    kl[[30, 44]] = np.inf
    analysis = analyze(run_of(reward_mean=noise(11, 50), kl_ref=kl))
    (found,) = [q for q in analysis.quality if q.signal == "kl_ref"]
    assert (found.kind, found.count, found.step) == ("non_finite", 2, 30)
    assert analysis.verdict == "trouble"
