"""Which causes the curves leave open, what speaks against each, and what to log."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foreshock.analysis import Analysis, Change, SignalAnalysis, analyze
from foreshock.demo import RUNS
from foreshock.diagnosis import OpenCause, causes, markdown, open_causes, what_to_log
from foreshock.readers import open_run
from foreshock.run import Column, FloatArray, Run, Series
from foreshock.signals import catalogue, signal

ROOT = Path(__file__).resolve().parents[1]
STEPS = np.arange(100)
REWARD, LENGTH = "reward_mean", "response_length_mean"


def a_run(*names: str, **series: FloatArray) -> Run:
    """A run of 100 steps that logs these signals (their values do not matter to the diagnosis)."""
    values = {name: np.full(100, 0.5) for name in names} | series
    columns = {name: Column(name) for name in values}
    return Run("r", "r.csv", "csv_table", None, STEPS, Series(values, values), columns)


def change(name: str, kind: str = "drop", to: float = 0.2, step: int = 60, **more: object) -> Change:
    fields: dict[str, object] = {
        "signal": name,
        "kind": kind,
        "step": step,
        "step_interval": (step - 1, step + 1),
        "end_step": step + 2,
        "from_value": 0.5,
        "to_value": to,
        "percent_of_peak": None,
        "percent_of_gain": None,
        "sigma": 9.0,
        "p_value": 0.0001,
        "significant": True,
    }
    return Change(**{**fields, **more})  # type: ignore[arg-type]


def an_analysis(run: Run, *changes: Change, verdict: str = "trouble") -> Analysis:
    signals = {
        name: SignalAnalysis(name, name, name, "", None, 100, 0.5, 0.5, 0.2, 0.8, None)
        for name in run.columns
    }
    return Analysis(signals, changes, (), (), verdict)


def found(run: Run, *changes: Change, verdict: str = "trouble") -> dict[str, OpenCause]:
    return {cause.id: cause for cause in open_causes(run, an_analysis(run, *changes, verdict=verdict))}


# --- two curves --------------------------------------------------------------------------------------


def test_a_reward_drop_with_a_calm_length_leaves_scorer_labels_and_measurement_open() -> None:
    open_ones = found(a_run(REWARD, LENGTH), change(REWARD))
    free = ["noisy_data_late", "reward_parser_bug", "verifier_infra", "metric_artifact", "no_fault_noise"]
    for id in free:
        assert open_ones[id].against == "", id
        assert "response length shows no significant change" in open_ones[id].why
    for id in ("dist_shift", "arch_change"):
        assert "response length" in open_ones[id].against
        assert list(open_ones).index(id) > max(list(open_ones).index(other) for other in free)


def test_two_curves_never_name_overfitting_or_reward_hacking() -> None:
    for kind, to in (("drop", 0.2), ("level_shift", 0.2), ("slow_decline", 0.2), ("spike", 0.2)):
        open_ones = found(a_run(REWARD, LENGTH), change(REWARD, kind, to))
        assert open_ones
        assert not {"overfit_memorise", "reward_hacking", "rm_overopt"} & set(open_ones)


def test_a_lasting_drop_speaks_against_an_unlucky_batch_and_a_short_one_for_it() -> None:
    run = a_run(REWARD, LENGTH)
    lasting = found(run, change(REWARD, recovered=0.1, recovered_by=99))["no_fault_noise"]
    assert "lasted" in lasting.against
    short = found(run, change(REWARD, end_step=60, recovered=1.0, recovered_by=61))
    assert "passed at once" in short["no_fault_noise"].why and not short["no_fault_noise"].against
    assert "expected to stay down" in short["noisy_data_late"].against
    assert list(short)[0] == "no_fault_noise"


def test_partial_recovery_fits_a_change_of_the_prompts_and_not_a_mismatch() -> None:
    open_ones = found(a_run(REWARD), change(REWARD, recovered=0.6, recovered_by=90))
    assert "came back" in open_ones["dist_shift"].why
    everything = {
        cause.id: cause
        for cause in open_causes(a_run(REWARD), an_analysis(a_run(REWARD), change(REWARD, recovered=0.6)))
    }
    for id in ("mismatch_numerics", "moe_routing", "staleness"):
        assert id not in everything or "expected to stay down" in everything[id].against


def test_a_cause_that_presupposes_something_stands_behind_the_others_and_says_so() -> None:
    order = found(a_run(REWARD, LENGTH), change(REWARD))
    conditions = [bool(causes()[id].condition) for id in order]
    assert conditions == sorted(conditions)
    tools = found(
        a_run(REWARD, "tool_failure_rate"), change(REWARD), change("tool_failure_rate", "rise", 0.9)
    )
    assert list(tools)[0] in ("tool_env_failure", "multiturn_collapse")
    assert "only where the run uses tools" in tools["tool_env_failure"].why


def test_mismatch_is_not_the_first_cause_when_only_garbage_text_accompanies_the_drop() -> None:
    run = a_run(REWARD, LENGTH, "entropy", "repetition_frac")
    garbage = [change(name, "rise", 0.9) for name in ("entropy", "repetition_frac", LENGTH)]
    order = list(found(run, change(REWARD), *garbage))
    assert order[0] not in ("mismatch_numerics", "stale_rollout_weights", "staleness", "moe_routing")
    assert "entropy_explosion" in order and "mismatch_numerics" not in order[:3]


# --- no event, other events -----------------------------------------------------------------------


@pytest.mark.parametrize("verdict", ["healthy", "watch", "cannot tell"])
def test_no_change_means_no_causes(verdict: str) -> None:
    run = a_run(REWARD, LENGTH)
    assert open_causes(run, an_analysis(run, verdict=verdict)) == ()
    weak = change(REWARD, significant=False)
    assert open_causes(run, an_analysis(run, weak, verdict=verdict)) == ()


def test_a_length_at_its_limit_with_the_reward_intact_is_no_collapse() -> None:
    run = a_run(REWARD, LENGTH, "truncation_ratio")
    assert found(run, change(LENGTH, "saturation", 0.5), verdict="watch") == {}
    assert found(run, change("truncation_ratio", "saturation", 0.5), verdict="watch") == {}


def test_a_reward_that_rises_is_nothing_to_explain() -> None:
    assert found(a_run(REWARD, LENGTH), change(REWARD, "rise", 0.9), verdict="watch") == {}


def test_a_held_out_score_that_falls_while_training_goes_on_opens_overfitting() -> None:
    run = a_run(REWARD, "eval_score", "entropy")
    open_ones = found(run, change("eval_score"), verdict="watch")
    assert list(open_ones)[0] == "overfit_memorise"
    assert "arch_change" not in open_ones  # it would have taken the reward and the entropy with it
    several = a_run(REWARD, "eval_score/a", "eval_score/b")
    assert "overfit_memorise" in found(several, change("eval_score/a"), verdict="watch")


def test_a_value_that_is_not_finite_leads_to_the_numerical_causes() -> None:
    run = a_run(REWARD, "loss", "grad_norm", "kl_ref")
    order = list(found(run, change("grad_norm", "non_finite", np.nan)))
    assert "grad_nan" in order and "no_fault_noise" not in order


def test_what_moved_together_puts_a_changed_model_first() -> None:
    names = (REWARD, LENGTH, "entropy", "kl_ref", "reward_component_mean/a", "reward_component_mean/b")
    moved = [change(REWARD), change(LENGTH, "level_shift", 0.9), change("entropy", "rise", 0.9),
             change("kl_ref", "rise", 0.9), change("reward_component_mean/a"),
             change("reward_component_mean/b")]  # fmt: skip
    open_ones = found(a_run(*names), *moved)
    assert "reward component fell" in open_ones["arch_change"].why
    assert open_ones["arch_change"].against == ""
    assert "reward_parser_bug" not in open_ones or open_ones["reward_parser_bug"].against
    one_only = found(a_run(*names), *moved[:5])
    assert "reward component" not in one_only["arch_change"].why  # they do not agree: nothing is said


def test_a_signal_with_too_few_points_is_not_said_to_be_calm() -> None:
    sparse = np.full(100, np.nan)
    sparse[[10, 50, 90]] = 0.5
    open_ones = found(a_run(REWARD, eval_score=sparse), change(REWARD))
    assert all("held-out" not in cause.why + cause.against for cause in open_ones.values())


def test_a_share_that_is_at_0_already_is_not_expected_to_fall() -> None:
    run = a_run(REWARD, LENGTH, truncation_ratio=np.zeros(100))
    moves = [change(REWARD), change(LENGTH, "level_shift", 0.1)]
    assert "truncated" not in found(run, *moves)["length_collapse"].against
    run = a_run(REWARD, LENGTH, "truncation_ratio")
    assert "truncated share shows no significant change" in found(run, *moves)["length_collapse"].against


def test_a_fall_that_stays_is_explained_before_a_spike() -> None:
    run = a_run(REWARD, LENGTH)
    spike = change(REWARD, "spike", step=20, sigma=50.0)
    open_ones = found(run, spike, change(REWARD, recovered=0.0, recovered_by=99))
    assert "lasted" in open_ones["no_fault_noise"].against


def test_what_moved_long_before_is_told_as_such() -> None:
    run = a_run(REWARD, "entropy")
    early = found(run, change(REWARD), change("entropy", "rise", 0.9, step=30))
    assert "entropy rose before" in early["entropy_explosion"].why


def test_an_epoch_boundary_needs_an_epoch_that_begins_there() -> None:
    at = a_run(REWARD, epoch=STEPS / 60.0)
    assert "a new epoch began there" in found(at, change(REWARD))["epoch_boundary"].why
    elsewhere = a_run(REWARD, epoch=STEPS / 80.0)
    assert "epoch_boundary" not in found(elsewhere, change(REWARD))
    assert "epoch_boundary" in found(a_run(REWARD), change(REWARD))  # not logged: cannot tell


def test_many_contradictions_leave_a_cause_out_and_one_does_not() -> None:
    names = (REWARD, "entropy", "kl_ref", "grad_norm", LENGTH)
    moves = [change(name, "rise", 0.9) for name in names[1:]]
    open_ones = found(a_run(*names), change(REWARD), *moves)
    assert "metric_artifact" not in open_ones and "no_fault_noise" not in open_ones
    assert found(a_run(REWARD, LENGTH), change(REWARD), moves[3])["reward_parser_bug"].against


# --- what to log ---------------------------------------------------------------------------------------


def test_each_cause_names_signals_that_the_run_lacks() -> None:
    run = a_run(REWARD, LENGTH, "reward_component_mean/a")
    for cause in open_causes(run, an_analysis(run, change(REWARD))):
        assert not {REWARD, LENGTH, "reward_component_mean"} & set(cause.log)
        assert len(cause.log) <= 5 and set(cause.log) <= set(catalogue())
        assert cause.decide == causes()[cause.id].experiment


def test_what_to_log_tells_the_most_open_causes_apart_and_is_not_logged_yet() -> None:
    run = a_run(REWARD, LENGTH)
    ids = list(found(run, change(REWARD)))
    advice = what_to_log(run, ids)
    names = [name for name, _ in advice]
    assert len(names) == 5 and {"entropy", "eval_score", "kl_ref"} <= set(names)
    for name, why in advice:
        assert name not in run.columns and "It tells, for example" in why
    assert "entropy" not in dict(what_to_log(a_run(REWARD, "entropy")))
    assert what_to_log(run, ["grad_nan"]) == ()  # one cause: nothing to tell apart
    assert len(what_to_log(run, most=2)) == 2


# --- whole runs, the catalogue -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "truth"), [("layer-pruned", "arch_change"), ("prompt-shift-all", "dist_shift")]
)
def test_the_true_cause_of_a_run_with_a_known_fault_remains_open(name: str, truth: str) -> None:
    (demo,) = [demo for demo in RUNS if demo.path.stem == name]
    run = open_run(demo.path)
    assert truth in [cause.id for cause in open_causes(run, analyze(run))]


def test_a_healthy_run_has_no_causes() -> None:
    (demo,) = [demo for demo in RUNS if demo.path.stem.startswith("clean")]
    run = open_run(demo.path)
    assert open_causes(run, analyze(run)) == ()


def test_the_catalogue_is_whole() -> None:
    assert len(causes()) == 35
    for cause in causes().values():
        assert cause.title and cause.mechanism and cause.event and cause.experiment and cause.remedy
        assert cause.sources and cause.signature
        for name in (*cause.signature, *cause.evidence):
            assert signal(name) is not None, (cause.id, name)
        for text in cause.tell_apart:
            id, colon, _ = text.partition(": ")
            assert not colon or "_" not in id or id in causes(), text


def test_no_cause_explains_a_falling_train_reward_by_overfitting() -> None:
    assert causes()["overfit_memorise"].signature[REWARD] == (1, 1, 1)


def test_the_page_of_causes_is_made_from_the_catalogue() -> None:
    page = markdown()
    for cause in causes().values():
        assert f"## {cause.title}\n" in page and cause.experiment in page
    assert (ROOT / "docs" / "causes.md").read_text() == page, "out of date, run `make docs`"
