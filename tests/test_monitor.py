"""The monitor: what it tells of a run, once, and what it keeps to itself."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import pytest

from foreshock.detect import Alarm, Monitor
from foreshock.run import FloatArray

LENGTH = (0, 20, 35, 50, 70), (475, 550, 600, 665, 680)
REWARD = (0, 5, 10, 20, 45, 60, 65, 70), (1.50, 1.70, 1.75, 1.80, 1.88, 1.875, 1.70, 1.75)


def figure(seed: int) -> dict[str, FloatArray]:
    """The synthetic figure that the project comes from: a drop of the reward that begins after step 60."""
    rng, steps = np.random.default_rng(seed), np.arange(71)
    return {
        "response_length_mean": np.interp(steps, *LENGTH) + 12 * rng.standard_normal(71),
        "reward_mean": np.interp(steps, *REWARD) + 0.012 * rng.standard_normal(71),
    }


def told(monitor: Monitor, series: Mapping[str, FloatArray], first: int = 0) -> list[Alarm]:
    """Everything that is told about a run; NaN in a series is a value that was not logged."""
    said = []
    for row in range(len(next(iter(series.values())))):
        values = {name: float(y[row]) for name, y in series.items() if not np.isnan(y[row])}
        said += monitor.step(first + row, values)
    return said


def healthy(n: int, seed: int = 0) -> dict[str, FloatArray]:
    """A synthetic run in which nothing goes wrong."""
    rng = np.random.default_rng(seed)
    growth = 1 - np.exp(-np.arange(n) / 40)
    return {
        "reward_mean": 1.5 + 0.35 * growth + 0.02 * rng.standard_normal(n),
        "response_length_mean": 480 + 150 * growth + 12 * rng.standard_normal(n),
        "entropy": 0.6 - 0.3 * growth + 0.01 * rng.standard_normal(n),
        "kl_ref": 0.001 + 0.1 * growth * np.exp(0.2 * rng.standard_normal(n)),
        "grad_norm": 0.3 * np.exp(0.2 * rng.standard_normal(n)),
    }


@pytest.mark.parametrize("seed", range(6))
def test_the_drop_of_the_figure_is_told_by_step_64_and_nothing_before_60(seed: int) -> None:
    said = told(Monitor(), figure(seed))
    opened = [alarm for alarm in said if alarm.state == "open"]
    assert [alarm.signal for alarm in opened] == ["reward_mean"]
    assert 60 <= opened[0].step <= 64
    assert said[-1].kind == "drop"  # the first message may know of one low row only, a spike so far
    assert opened[0].severity == "trouble"
    assert (opened[0].false_alarm_rate or 9) <= 1.0


def test_the_numbers_of_an_alarm_are_those_on_the_chart() -> None:
    last = told(Monitor(), figure(1))[-1]
    assert last.from_value == pytest.approx(1.88, abs=0.02)
    assert last.to_value == pytest.approx(1.73, abs=0.03)
    assert last.onset_interval[0] <= 61 <= last.onset_interval[1]
    assert last.from_value is not None and last.to_value is not None
    size = last.from_value - last.to_value
    assert last.sigma == pytest.approx(size / 0.012, rel=0.35)
    assert last.percent_of_peak == pytest.approx(100 * size / 1.88, abs=1.0)
    assert last.percent_of_gain == pytest.approx(100 * size / (1.88 - 1.60), rel=0.25)
    assert f"fell from {last.from_value:.4g} to {last.to_value:.4g}" in last.text


def test_one_event_is_one_alarm_that_opens_and_closes() -> None:
    run = healthy(400, 3)
    run["reward_mean"][200:230] -= 0.2
    said = [alarm for alarm in told(Monitor(), run) if alarm.signal == "reward_mean"]
    assert [alarm.state for alarm in said if alarm.state != "update"] == ["open", "closed"]
    assert len({alarm.id for alarm in said}) == 1
    assert 200 <= said[0].step <= 203
    assert 230 <= said[-1].step <= 240
    assert len(said) <= 8


def test_a_level_that_stays_becomes_the_usual_one_and_can_fall_again() -> None:
    run = healthy(500, 4)
    run["reward_mean"][200:] -= 0.2
    run["reward_mean"][400:] -= 0.2
    said = [a for a in told(Monitor(), run) if a.signal == "reward_mean" and a.state in ("open", "closed")]
    assert [alarm.state for alarm in said][:3] == ["open", "closed", "open"]
    assert 200 <= said[0].step <= 203
    assert 400 <= said[2].step <= 403


def test_a_healthy_run_keeps_quiet() -> None:
    opened = [a for seed in range(8) for a in told(Monitor(), healthy(250, 100 + seed)) if a.state == "open"]
    assert len(opened) <= 4  # two are expected at most; five and more have a chance of 5 %


def test_further_signals_join_the_alarm_of_the_event() -> None:
    run = healthy(200, 5)
    run["reward_mean"][150:] -= 0.3
    run["entropy"][150:] -= 0.2
    said = told(Monitor(), run)
    assert {alarm.signal for alarm in said if alarm.state == "open" and alarm.step >= 150} <= {
        "reward_mean",
        "entropy",
    }
    everything = " ".join(sentence for alarm in said for sentence in alarm.evidence)
    assert "Entropy" in everything or any(alarm.signal == "entropy" for alarm in said)
    assert len([alarm for alarm in said if alarm.state == "open"]) <= 2


def test_a_planned_change_of_the_task_is_no_alarm() -> None:
    for planned, alarms in ((False, 1), (True, 0)):
        run, monitor = healthy(200, 6), Monitor()
        run["reward_mean"][120:] -= 0.3
        said = []
        for row in range(200):
            values = {name: float(y[row]) for name, y in run.items()}
            said += monitor.step(row, values, planned=(118,) if planned else ())
        opened = [a for a in said if a.state == "open" and a.signal == "reward_mean" and a.step >= 120]
        assert len(opened) == alarms


def test_the_same_rows_give_the_same_messages_from_a_copy() -> None:
    run = figure(2)
    whole = told(Monitor(), run)
    monitor = Monitor()
    first = told(monitor, {name: y[:62] for name, y in run.items()})
    rest = {name: y[62:] for name, y in run.items()}
    kept = copy.deepcopy(monitor)
    assert first + told(monitor, rest, 62) == whole
    assert first + told(kept, rest, 62) == whole


def test_signals_that_come_later_or_seldom_are_watched_too() -> None:
    run = healthy(300, 7)
    run["eval_score/math"] = np.full(300, np.nan)
    rng = np.random.default_rng(8)
    run["eval_score/math"][50::5] = 0.6 + 0.01 * rng.standard_normal(50)
    run["eval_score/math"][200:] -= 0.2
    opened = [a for a in told(Monitor(), run) if a.state == "open" and a.signal.startswith("eval")]
    assert len(opened) == 1
    assert 200 <= opened[0].onset <= 215


def test_what_is_not_known_to_matter_is_watched_only_when_asked_for() -> None:
    y = np.random.default_rng(1).standard_normal(100)
    y[80:] -= 9
    assert not told(Monitor(), {"my/metric": y, "learning_rate": y})
    said = told(Monitor(signals=["my/metric"]), {"my/metric": y, "learning_rate": y})
    assert said[0].signal == "my/metric"


def test_nan_and_infinity_are_told_and_are_over_when_values_are_back() -> None:
    monitor = Monitor()
    said = told(monitor, {"grad_norm": np.linspace(1.0, 1.1, 20)})
    said += monitor.step(20, {}, nan=["grad_norm"])
    said += monitor.step(21, {"grad_norm": np.inf})
    said += monitor.step(22, {"grad_norm": 1.05})
    assert [(alarm.kind, alarm.state, alarm.step) for alarm in said] == [
        ("non_finite", "open", 20),
        ("non_finite", "closed", 22),
    ]
    assert said[0].severity == "trouble"
    assert said[0].false_alarm_rate is None


def test_a_share_at_its_limit_is_told_once_it_is_not_chance() -> None:
    rng = np.random.default_rng(9)
    often = rng.integers(0, 2, 200).astype(float)  # one group a step: its share is 0 or 1
    assert not [a for a in told(Monitor(), {"frac_zero_variance_groups": often}) if a.kind == "saturation"]
    cut = np.concatenate([0.02 * rng.random(60), np.ones(40)])
    said = [a for a in told(Monitor(), {"truncation_ratio": cut}) if a.kind == "saturation"]
    assert [(alarm.state, alarm.onset) for alarm in said] == [("open", 60)]


def test_a_reward_that_stands_still_is_told_unless_it_is_at_its_best() -> None:
    y = healthy(120, 10)["reward_mean"]
    dead, best = y.copy(), y.copy()
    dead[100:], best[100:] = 0.5, 2.0
    kinds = [
        {alarm.kind for alarm in told(Monitor(), {"reward_mean": z}) if alarm.step >= 100}
        for z in (dead, best)
    ]
    assert "flat_line" in kinds[0]
    assert not kinds[1]


def test_a_stall_is_told_and_ends() -> None:
    monitor = Monitor()
    for minute in range(8):
        monitor.step(minute, {"reward_mean": 1.0})
        monitor.arrived(60.0 * minute)
    assert monitor.clock(420 + 170, 420) == []
    (stalled,) = monitor.clock(420 + 190, 420)
    assert (stalled.kind, stalled.state) == ("stall", "open")
    assert monitor.open == (stalled,)
    assert monitor.clock(420 + 250, 420) == []
    monitor.arrived(700.0)
    (over,) = monitor.clock(701, 700)
    assert over.state == "closed"


def test_a_smaller_budget_is_slower_and_surer() -> None:
    delays = []
    for budget in (10.0, 1.0, 0.01):
        steps = []
        for seed in range(12):
            run = healthy(160, 200 + seed)
            run["reward_mean"][120:] -= 0.06
            opened = [
                a.step for a in told(Monitor(budget=budget), run) if a.state == "open" and a.step >= 120
            ]
            steps.append(min([*opened, 160]) - 119)
        delays.append(np.mean(steps))
    assert delays == sorted(delays)
    assert delays[0] < delays[-1]


def test_the_guaranteed_mode_needs_the_range_and_says_that_it_is_proven() -> None:
    run = {"reward_mean": np.append(figure(3)["reward_mean"], np.full(60, 1.4))}
    assert not [a for a in told(Monitor(mode="guaranteed"), run) if a.state == "open"]
    facts = {"reward_range": (0, 2), "prompts_per_step": 64}
    opened = [a for a in told(Monitor(mode="guaranteed", facts=facts), run) if a.state == "open"]
    assert len(opened) == 1
    assert "proven" in opened[0].evidence[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"budget": 0.0}, "must be 0.001 to 100"),
        ({"mode": "hopeful"}, "there are calibrated and guaranteed"),
        ({"mode": "guaranteed", "facts": {"reward_range": (1, 0)}}, "is empty"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Monitor(**arguments)  # type: ignore[arg-type]
