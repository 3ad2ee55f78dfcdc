"""What a user relies on: real logs get the reading that a careful person gave them.

The logs are other people's and not part of the repository: without the shared folder these tests skip.
Steps of logs 035 to 062 are five apart.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from foreshock.analysis import Analysis, Change, analyze
from foreshock.readers import open_run

FALLS = ("drop", "slow_decline")


@cache
def _analysis(folder: Path, number: str) -> Analysis:
    (run,) = (folder / "data" / "real" / "raw").glob(f"{number}-*")
    files = [path for path in sorted(run.rglob("*")) if path.is_file()]
    return analyze(open_run(files[0] if len(files) == 1 else run))


def told(shared: Path, number: str, signal: str, *kinds: str) -> list[Change]:
    found = [c for c in _analysis(shared, number).changes if c.signal == signal]
    return [c for c in found if c.kind in kinds] if kinds else found


def test_062_the_reward_collapses_before_the_length_moves(shared: Path) -> None:
    (fall,) = told(shared, "062", "reward_mean", *FALLS)
    assert 65 <= fall.step <= 75
    assert fall.to_value < 0.1
    assert fall.percent_of_peak == pytest.approx(98, abs=3)
    assert min(c.step for c in told(shared, "062", "response_length_mean")) > fall.step
    (pair,) = [
        r for r in _analysis(shared, "062").relations if (r.a, r.b) == ("reward_mean", "response_length_mean")
    ]
    assert pair.decoupled_at == fall.step
    assert _analysis(shared, "062").verdict == "trouble"


def test_036_a_dip_that_recovers_and_then_a_collapse(shared: Path) -> None:
    dip, fall = told(shared, "036", "reward_mean", "spike", *FALLS)
    assert dip.step == 15 and dip.end_step <= 20
    assert 45 <= fall.step <= 115
    assert fall.to_value < 0.1 and (fall.recovered or 0) < 0.1
    assert _analysis(shared, "036").verdict == "trouble"


def test_042_a_collapse_of_the_length_takes_the_reward_with_it(shared: Path) -> None:
    (fall,) = told(shared, "042", "reward_mean", *FALLS)
    assert 35 <= fall.step <= 45
    length = told(shared, "042", "response_length_mean", "level_shift")[0]
    assert length.step_interval[0] <= fall.step <= length.end_step
    assert length.to_value < 10
    assert _analysis(shared, "042").verdict == "trouble"


@pytest.mark.parametrize("number", ["052", "153"])
def test_a_saturated_length_with_the_reward_intact_is_no_collapse(shared: Path, number: str) -> None:
    assert told(shared, number, "reward_mean", *FALLS) == []
    assert told(shared, number, "truncation_ratio", "saturation")
    assert _analysis(shared, number).verdict == "watch"


@pytest.mark.parametrize("number", ["015", "016", "019"])
def test_very_noisy_rewards_have_no_event(shared: Path, number: str) -> None:
    assert told(shared, number, "reward_mean") == []


@pytest.mark.parametrize("number", ["161", "174"])
def test_dead_signals_cannot_be_judged(shared: Path, number: str) -> None:
    analysis = _analysis(shared, number)
    assert analysis.verdict == "cannot tell"
    assert "dead" in {q.kind for q in analysis.quality}


def test_094_infinities_are_evidence(shared: Path) -> None:
    analysis = _analysis(shared, "094")
    assert analysis.verdict == "trouble"
    assert told(shared, "094", "kl_ref", "non_finite")
    # Exactly 0 from step 31 to 42, as the reading says; 30 is the first of them in the file.
    (still,) = told(shared, "094", "reward_mean", "flat_line", *FALLS)
    assert 29 <= still.step <= 31


def test_048_collapses_between_steps_25_and_35(shared: Path) -> None:
    (fall,) = told(shared, "048", "reward_mean", *FALLS)
    assert 20 <= fall.step <= 30 and 25 <= fall.end_step <= 35
    assert fall.to_value < 0.1


def test_059_drops_and_stays_down(shared: Path) -> None:
    (fall,) = told(shared, "059", "reward_mean", *FALLS)
    assert 115 <= fall.step <= 125
    assert (fall.recovered or 0) < 0.2


def test_060_dips_and_recovers(shared: Path) -> None:
    (fall,) = told(shared, "060", "reward_mean", *FALLS)
    assert 65 <= fall.step <= 85
    assert (fall.recovered or 0) > 0.8
    assert _analysis(shared, "060").verdict == "watch"


def test_043_dips_once(shared: Path) -> None:
    (dip,) = told(shared, "043", "reward_mean")
    assert dip.kind == "spike"
    assert dip.step <= 25 <= dip.end_step


def test_050_the_length_blows_up_late(shared: Path) -> None:
    assert told(shared, "050", "response_length_mean", "saturation")[0].step == 165
    assert _analysis(shared, "050").verdict in ("watch", "trouble")


@pytest.mark.parametrize("number", ["155", "107", "077", "001", "120", "147"])
def test_healthy_runs_are_healthy(shared: Path, number: str) -> None:
    assert told(shared, number, "reward_mean", *FALLS) == []
    assert _analysis(shared, number).verdict == "healthy"


def test_152_repeats_each_value_ten_times(shared: Path) -> None:
    (found,) = [q for q in _analysis(shared, "152").quality if q.signal == "reward_mean"]
    assert found.kind == "forward_filled"
    assert _analysis(shared, "152").signals["reward_mean"].count == 99


LAB_SEEN = {"layer-pruned": "trouble", "lr-x20": "trouble", "prompt-shift-all": "trouble"}
LAB_UNSEEN = ("clean", "clean-64-prompts", "label-noise", "reward-parser", "optimizer-lost", "length-cap")


@pytest.mark.parametrize("name", LAB_SEEN)
def test_strong_faults_of_the_lab_are_found_at_their_step(shared: Path, name: str) -> None:
    analysis = analyze(open_run(shared / "data" / "lab" / f"{name}.csv"))
    falls = [c for c in analysis.changes if c.signal == "reward_mean" and c.kind in FALLS]
    assert falls[0].step_interval[0] <= 62 and falls[0].step_interval[1] >= 61
    assert analysis.verdict == LAB_SEEN[name]


@pytest.mark.parametrize("name", LAB_UNSEEN)
def test_faults_within_the_noise_of_twelve_prompts_are_not_claimed(shared: Path, name: str) -> None:
    analysis = analyze(open_run(shared / "data" / "lab" / f"{name}.csv"))
    assert not [c for c in analysis.changes if c.signal == "reward_mean"]
    assert analysis.verdict == "healthy"
