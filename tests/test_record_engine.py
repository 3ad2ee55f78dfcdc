"""The rollout engine: stale weights and a growing log-prob gap are told, ordinary ones are not."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping

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


def steps_told(watch: EngineWatch, rows: Iterable[Mapping[str, float]], kind: str) -> list[int]:
    """At which rows an event of this kind, and no other, was told."""
    told = [kinds(watch, **row) for row in rows]
    assert {each for row in told for each in row} <= {kind}
    return [step for step, row in enumerate(told) if row]


def test_an_engine_that_stops_taking_weights_is_told_once() -> None:
    rows = [{"weight_version": min(step, 40), "trainer_version": step} for step in range(80)]
    assert steps_told(EngineWatch(), rows, "weights_stale") == [44]
    rows += [{"weight_version": step, "trainer_version": step} for step in range(80, 120)]
    rows += [{"weight_version": 119, "trainer_version": step} for step in range(120, 160)]
    # What it was behind while it stood still is a part of the past then: it takes longer to be unusual.
    assert steps_told(EngineWatch(), rows, "weights_stale")[0] == 44


def test_an_engine_that_never_takes_weights_is_told() -> None:
    rows = [{"weight_version": 0, "trainer_version": step} for step in range(100)]
    assert steps_told(EngineWatch(), rows, "weights_stale") == [50]
    assert steps_told(EngineWatch(), [{"weight_version": 7}] * 100, "weights_stale") == [50]


def test_without_the_version_of_the_trainer_a_stretch_longer_than_ever_is_told() -> None:
    rows = [{"weight_version": min(step, 60) // 2} for step in range(100)]
    assert steps_told(EngineWatch(), rows, "weights_stale") == [66]


def test_an_engine_that_lags_as_always_is_not_told() -> None:
    watch = EngineWatch()
    assert not any(kinds(watch, weight_version=step // 4 * 4, trainer_version=step) for step in range(200))
    watch = EngineWatch()
    assert not any(kinds(watch, weight_version=step // 4) for step in range(200))


def test_a_queue_that_fills_up_at_the_start_is_not_told() -> None:
    """Asynchronous training: rollouts are up to 12 versions old once the queue is full."""
    watch = EngineWatch()
    assert not any(kinds(watch, weight_version=max(0, s - 12), trainer_version=s) for s in range(200))


def test_weights_that_grow_old_at_once_are_told() -> None:
    rows = [{"weight_version": max(0, s - (1 if s < 50 else 9)), "trainer_version": s} for s in range(80)]
    assert steps_told(EngineWatch(), rows, "weights_stale") == [52]


def test_a_version_that_goes_back_and_stays_there_is_told_once() -> None:
    rows = [{"weight_version": step if step < 30 else step - 30} for step in range(60)]
    assert steps_told(EngineWatch(), rows, "weights_went_back") == [31]


def test_the_oldest_weights_of_partial_rollouts_go_back_and_forth() -> None:
    generator = random.Random(0)
    watch = EngineWatch()
    assert not any(
        kinds(watch, weight_version=max(0, s - generator.choice([0, 0, 1, 3]))) for s in range(300)
    )


def test_counters_that_begin_anew_with_a_resumed_process_are_no_event() -> None:
    first = EngineWatch()
    for step in range(50):
        data = first.step(weight_version=step, trainer_version=step).data
    again = EngineWatch(data)
    assert not any(kinds(again, weight_version=step, trainer_version=step) for step in range(50))


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


def test_a_single_spike_and_zeros_raise_nothing() -> None:
    watch = EngineWatch()
    gaps = [0.01 + 0.001 * (step % 5) for step in range(40)] + [5.0, 0.01, 0.0, 0.012]
    assert not any(kinds(watch, logp_gap=gap) for gap in gaps)


def test_a_gap_that_is_no_number_is_told_once() -> None:
    rows = [{"logp_gap": gap} for gap in (0.01, math.nan, 0.01, math.inf)]
    assert steps_told(EngineWatch(), rows, "logp_gap_not_finite") == [1]


def test_what_number_formats_make_of_a_gap_is_no_jump() -> None:
    watch = EngineWatch()
    assert not any(kinds(watch, logp_gap=1e-7 if step < 50 else 1e-4) for step in range(100))
