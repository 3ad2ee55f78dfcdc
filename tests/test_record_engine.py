"""The rollout engine: stale weights and a growing log-prob gap are told, ordinary ones are not."""

from __future__ import annotations

import math
import random

from foreshock.record.engine import EngineWatch


def kinds(watch: EngineWatch, **values: float) -> list[str]:
    return [change.kind for change in watch.step(**values).changes]


def test_metrics_of_what_is_known() -> None:
    found = EngineWatch().step(weight_version=3, trainer_version=5, logp_gap=0.01)
    assert found.metrics == {
        "foreshock/engine/weight_version": 3.0,
        "foreshock/engine/versions_behind": 2.0,
        "foreshock/engine/logp_gap": 0.01,
    }
    assert EngineWatch().step().metrics == {}


def test_an_engine_that_stops_taking_weights_is_told_once() -> None:
    watch = EngineWatch()
    told = [kinds(watch, weight_version=min(step, 20), trainer_version=step) for step in range(40)]
    assert [step for step, each in enumerate(told) if each] == [24]
    assert told[24] == ["weights_stale"]


def test_an_engine_that_lags_as_always_is_not_told() -> None:
    watch = EngineWatch()
    assert not any(kinds(watch, weight_version=step // 4 * 4, trainer_version=step) for step in range(200))


def test_a_version_that_goes_back_is_told_also_after_a_resume() -> None:
    watch = EngineWatch({"weight_version": 9.0})
    assert kinds(watch, weight_version=4) == ["weights_went_back"]
    assert kinds(watch, weight_version=5) == []


def test_a_gap_that_jumps_is_told_at_its_second_step_and_then_is_the_measure() -> None:
    generator = random.Random(0)
    watch = EngineWatch()
    gaps = [0.015 * math.exp(generator.gauss(0, 0.15)) for _ in range(60)]
    gaps += [0.2 * math.exp(generator.gauss(0, 0.15)) for _ in range(60)]
    told = [kinds(watch, logp_gap=gap) for gap in gaps]
    assert [step for step, each in enumerate(told) if each] == [61]
    assert told[61] == ["logp_gap_jumped"]


def test_ordinary_gaps_raise_nothing() -> None:
    """Synthetic: 60 runs of 300 steps, log-normal with autocorrelation 0 to 0.9 and a slow rise."""
    alarms = 0
    for seed in range(60):
        generator = random.Random(seed)
        phi = (seed % 4) * 0.3
        watch, state = EngineWatch(), 0.0
        for step in range(300):
            state = phi * state + math.sqrt(1 - phi**2) * generator.gauss(0, 0.3)
            alarms += bool(kinds(watch, logp_gap=0.01 * math.exp(state + step / 300)))
    assert alarms == 0


def test_a_single_spike_and_values_that_are_no_number_raise_nothing() -> None:
    watch = EngineWatch()
    gaps = [0.01 + 0.001 * (step % 5) for step in range(40)] + [5.0, 0.01, math.nan, math.inf, 0.0, 0.012]
    assert not any(kinds(watch, logp_gap=gap) for gap in gaps)
