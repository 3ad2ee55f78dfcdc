"""The 17 name traps: keys that look like one thing and mean another. One test for each."""

from __future__ import annotations

import numpy as np
import pytest

from foreshock.run import FloatArray
from foreshock.signals import (
    Resolution,
    catalogue,
    explain,
    frameworks,
    recognise_framework,
    resolve,
    step_keys,
)


def log(**values: float | list[float]) -> dict[str, FloatArray]:
    """Columns of three steps; keyword names cannot hold a slash, so `__` stands for it."""
    return columns({key.replace("__", "/"): value for key, value in values.items()})


def columns(values: dict[str, float | list[float]]) -> dict[str, FloatArray]:
    return {key: np.broadcast_to(np.asarray(value, dtype=float), (3,)) for key, value in values.items()}


def key_of(found: Resolution, name: str) -> str | None:
    return found.columns[name].key if name in found.columns else None


def test_trap_01_clip_ratio_is_length_in_verl_and_ppo_in_trl() -> None:
    verl = resolve(log(response_length__mean=9, response_length__clip_ratio=0.25, actor__pg_clipfrac=0.1,
                       critic__score__mean=1))  # fmt: skip
    assert verl.framework == "verl"
    assert key_of(verl, "truncation_ratio") == "response_length/clip_ratio"
    assert key_of(verl, "clip_ratio") == "actor/pg_clipfrac"
    trl = resolve(columns({"reward": 1, "completions/mean_length": 9, "completions/clipped_ratio": 0.25,
                           "clip_ratio/region_mean": 0.1}))  # fmt: skip
    assert key_of(trl, "truncation_ratio") == "completions/clipped_ratio"
    assert key_of(trl, "clip_ratio") == "clip_ratio/region_mean"
    tunix = resolve(
        columns({"rewards/train/score/mean": 1, "generation/train/completions/clip_ratio": 0.25,
                 "actor/train/pg_clipfrac": 0.1})
    )  # fmt: skip
    assert key_of(tunix, "truncation_ratio") == "generation/train/completions/clip_ratio"
    assert key_of(tunix, "clip_ratio") == "actor/train/pg_clipfrac"
    unknown = resolve(columns({"reward": 1, "clip_ratio": 0.1}))
    assert unknown.unrecognised == ("clip_ratio",)  # nobody can tell which of the two it is


@pytest.mark.parametrize("framework", ["verl", "easyr1", "tunix"])
def test_trap_02_pg_clipfrac_lower_is_dual_clip(framework: str) -> None:
    key = "actor/train/pg_clipfrac_lower" if framework == "tunix" else "actor/pg_clipfrac_lower"
    found = resolve(columns({key: 0.01}), framework=framework)
    assert key_of(found, "dual_clip_ratio") == key
    assert "clip_ratio_low" not in found.canonical


def test_trap_03_verl_score_is_the_raw_reward_and_critic_needs_no_critic() -> None:
    found = resolve(
        columns({"critic/rewards/mean": 0.5, "critic/score/mean": 0.7, "response_length/mean": 9})
    )
    assert found.framework == "verl"
    assert found.canonical["reward_mean"].tolist() == [0.7] * 3
    assert found.unrecognised == ()
    assert not {"value_loss", "value_mean", "critic_learning_rate"} & set(found.canonical)
    only = resolve(columns({"critic/rewards/mean": 0.5, "response_length/mean": 9}))
    assert key_of(only, "reward_mean") == "critic/rewards/mean"


def test_trap_04_zero_std_that_is_only_0_or_1_is_told_to_be_no_share_of_groups() -> None:
    values = np.array([0.0, 1.0] * 6)
    base = {"reward": values, "completions/mean_length": values + 9}
    found = resolve({**base, "frac_reward_zero_std": values})
    assert [note.kind for note in found.notes] == ["not-a-share"]
    assert "frac_reward_zero_std" in found.notes[0].text
    shares = resolve({**base, "frac_reward_zero_std": values * 0.5 + 0.25})
    assert not shares.notes


def test_trap_05_old_and_new_names_of_a_key_are_the_same_signal() -> None:
    old = resolve(columns({"completion_length": 9, "reward": 1, "reward_std": 0.1, "rewards/format": 1,
                           "clip_ratio": 0.1}))  # fmt: skip
    new = resolve(columns({"completions/mean_length": 9, "reward": 1, "reward_std": 0.1,
                           "rewards/format/mean": 1, "clip_ratio/region_mean": 0.1}))  # fmt: skip
    assert old.framework == new.framework == "trl_grpo"
    assert set(old.canonical) == set(new.canonical)
    assert "reward_component_mean/format" in new.canonical
    both = resolve(columns({"completion_length": 9, "reward": 1, "completions/mean_length": 8}))
    assert key_of(both, "response_length_mean") == "completions/mean_length"
    assert both.unrecognised == ()  # the other one is kept under its own name
    verl = {"critic/score/mean": 1.0, "response_length/mean": 9.0}
    before = resolve(columns({**verl, "mismatch/k3_kl": 0.001}))
    after = resolve(columns({**verl, "rollout_corr/k3_kl": 0.001}))
    assert key_of(before, "mismatch_kl") == "mismatch/k3_kl"
    assert key_of(after, "mismatch_kl") == "rollout_corr/k3_kl"


def test_trap_06_a_terminated_length_of_0_means_that_none_terminated() -> None:
    found = resolve(
        log(reward=1, completions__mean_length=[256, 256, 200], completions__clipped_ratio=[1, 1, 0.5],
            completions__mean_terminated_length=[0, 0, 144])
    )  # fmt: skip
    terminated = found.canonical["response_length_terminated_mean"]
    assert np.isnan(terminated[:2]).all() and terminated[2] == 144
    assert found.columns["response_length_terminated_mean"].transform == "0 is missing"
    assert [(note.kind, note.count) for note in found.notes] == [("none-terminated", 2)]
    assert "kl_ref" not in found.canonical  # TRL logs none with beta 0; it is absent, not 0
    # ms-swift does not drop NaN: it survives as evidence.
    poisoned = resolve(log(reward=[1, np.nan, 1], completions__mean_length=9, rollout_correction__k3_kl=0.1))
    assert poisoned.framework == "ms_swift"
    assert np.isnan(poisoned.canonical["reward_mean"]).tolist() == [False, True, False]


def test_trap_07_kl_of_async_trl_is_between_the_engines_not_to_a_reference() -> None:
    keys = columns({"reward": 1, "completions/mean_length": 9, "kl": 0.1, "training_tok/s": 100})
    found = resolve(keys)
    assert found.framework == "trl_async_grpo"
    assert key_of(found, "approx_kl_update") == "kl"
    assert "kl_ref" not in found.canonical
    del keys["training_tok/s"]
    assert key_of(resolve(keys), "kl_ref") == "kl"


def test_trap_08_units_of_the_mismatch_are_told_apart() -> None:
    trl = resolve(log(reward=1, completions__mean_length=9, sampling__sampling_logp_difference__mean=0.01))
    assert trl.columns["mismatch_logprob_abs"].unit == ""  # as the signal says: nats
    assert catalogue()["mismatch_logprob_abs"].unit == "nats"
    verl = resolve(
        log(critic__score__mean=1, response_length__mean=9, training__rollout_probs_diff_mean=0.01)
    )
    assert verl.columns["mismatch_logprob_abs"].unit == "probability"
    nemo = resolve(log(train__reward=1, train__token_mult_prob_error=[1, 1.02, np.inf]))
    assert nemo.framework == "nemo_rl"
    assert nemo.canonical["mismatch_logprob_abs"] == pytest.approx([0, np.log(1.02), np.inf])
    assert nemo.columns["mismatch_logprob_abs"].transform == "log(x)"


def test_trap_09_entropy_loss_is_positive_entropy_and_ppo_sums_are_divided_by_the_length() -> None:
    verl = resolve(log(critic__score__mean=1, response_length__mean=9, actor__entropy_loss=0.3))
    assert verl.canonical["entropy"].tolist() == [0.3] * 3
    ppo = {"objective/rlhf_reward": 1.0, "policy/approxkl_avg": 0.0, "objective/kl": 20.0}
    alone = resolve(columns({**ppo, "objective/entropy": [40.0, 60.0, 80.0]}))
    assert alone.framework == "trl_ppo"
    assert not {"entropy", "kl_ref"} & set(alone.canonical)  # a sum over the sequence is no value per token
    assert {note.kind for note in alone.notes} == {"needs-a-number"}
    assert alone.unrecognised == ()
    given = resolve(
        columns({**ppo, "objective/entropy": [40.0, 60.0, 80.0], "my_length": [20.0, 0.0, np.nan]}),
        mapping={"length": "my_length"},
    )
    assert given.canonical["entropy"] == pytest.approx([2.0, np.nan, np.nan], nan_ok=True)
    assert given.canonical["kl_ref"] == pytest.approx([1.0, np.nan, np.nan], nan_ok=True)


def test_trap_10_val_is_training_in_open_instruct_and_validation_in_verl() -> None:
    open_instruct = resolve(
        columns({"scores": 1, "val/sequence_lengths": 9, "val/stop_rate": [1, 0.75, 0], "eval/scores": 0.5})
    )
    assert open_instruct.framework == "open_instruct"
    assert key_of(open_instruct, "response_length_mean") == "val/sequence_lengths"
    assert open_instruct.canonical["truncation_ratio"].tolist() == [0, 0.25, 1]
    assert "eos_count" not in open_instruct.canonical  # a share is no count
    assert key_of(open_instruct, "eval_score") == "eval/scores"
    verl = resolve(
        columns({"critic/score/mean": 1, "response_length/mean": 9,
                 "val-core/openai/gsm8k/reward/mean@1": 0.5})
    )  # fmt: skip
    assert key_of(verl, "eval_score") == "val-core/openai/gsm8k/reward/mean@1"
    ppo = resolve(columns({"val/ratio": 1, "val/clipfrac_avg": 0.1}), framework="trl_ppo")
    assert set(ppo.canonical) == {"importance_ratio", "value_clipfrac"}


def test_trap_11_clocks_are_no_metrics_and_each_has_its_place() -> None:
    slime = resolve(
        columns({"rollout/step": [0, 1, 2], "train/step": [0, 4, 8], "eval/step": 0, "rollout/raw_reward": 1})
    )
    assert slime.framework == "slime"
    assert set(slime.canonical) == {"reward_mean"}
    assert slime.unrecognised == ()
    order = step_keys()
    assert order[0] == "step"
    assert order.index("rollout/step") < order.index("train/step") < order.index("eval/step")
    assert "episode" not in order and "epoch" not in order and order[-1] == "_step"
    assert "from 1" in frameworks()["nemo_rl"].step
    assert "from 0" in frameworks()["llama_factory"].step
    assert "orchestrator" in frameworks()["prime_rl"].step


def test_trap_12_prime_rl_old_and_new_names_and_all_before_effective() -> None:
    new = resolve(
        columns({"train/agg/effective/main/reward/mean": 0.9, "train/agg/all/main/reward/mean": 0.7,
                 "train/math/all/main/reward/mean": 0.6, "train/agg/all/has_error/mean": 0.2})
    )  # fmt: skip
    assert new.framework == "prime_rl"
    assert key_of(new, "reward_mean") == "train/agg/all/main/reward/mean"
    assert key_of(new, "aborted_ratio") == "train/agg/all/has_error/mean"
    old = resolve(columns({"reward/all/mean": 0.7, "mismatch_kl/all/mean": 0.001, "seq_len/all/mean": 9}))
    assert key_of(old, "reward_mean") == "reward/all/mean"
    assert key_of(old, "response_length_mean") == "seq_len/all/mean"
    only = resolve(columns({"train/agg/effective/main/reward/mean": 0.9, "mismatch_kl/all/mean": 0}))
    assert key_of(only, "reward_mean") == "train/agg/effective/main/reward/mean"


def test_trap_13_nemo_filtered_reward_is_never_preferred_nor_joined_to_the_unfiltered() -> None:
    base = {"train/token_mult_prob_error": 1.0}
    found = resolve(columns({**base, "train/filtered_reward": 0.5, "train/reward": [0.2, 0.2, np.nan]}))
    assert key_of(found, "reward_mean") == "train/reward"
    assert np.isnan(found.canonical["reward_mean"][2])  # not filled from the filtered mean
    assert np.array_equal(
        resolve(columns({**base, "train/filtered_reward": 0.5})).canonical["reward_mean"], [0.5] * 3
    )


def test_trap_14_suffixes_prefixes_and_evaluation_twins() -> None:
    roll = resolve(columns({"tokens/response_length/mean@mean": 9, "critic/score/mean@mean": 1,
                            "system/step": [1, 2, 3], "actor/pg_loss@sum": 0}))  # fmt: skip
    assert roll.framework == "roll"
    assert key_of(roll, "response_length_mean") == "tokens/response_length/mean@mean"
    assert key_of(roll, "loss") == "actor/pg_loss@sum"
    tunix = resolve(
        columns({"rewards/train/score/mean": 1, "rewards/eval/score/mean": 2, "actor/train/kl": 0,
                 "actor/eval/kl": 5})
    )  # fmt: skip
    assert tunix.canonical["reward_mean"].tolist() == [1] * 3
    assert key_of(tunix, "eval_score") == "rewards/eval/score/mean"
    assert tunix.twins == {"actor/eval/kl": "kl_ref"}
    for prefix in ("", "train/"):
        trl = resolve(columns({f"{prefix}reward": 1, f"{prefix}completions/mean_length": 9,
                               "eval_completions/mean_length": 7, "eval_reward": 2,
                               "eval/entropy": 3}))  # fmt: skip
        assert key_of(trl, "reward_mean") == f"{prefix}reward"
        assert trl.canonical["response_length_mean"].tolist() == [9] * 3
        assert key_of(trl, "eval_score") == "eval_reward"
        assert trl.twins == {
            "eval_completions/mean_length": "response_length_mean",
            "eval/entropy": "entropy",
        }
        assert "entropy" not in trl.canonical and trl.unrecognised == ()
    hosted = resolve(columns({"train/reward": 1, "train/actor_lr": 1e-6, "train/response_length": 9}))
    assert hosted.framework == "openrlhf"
    bare = resolve(columns({"reward": 1, "actor_lr": 1e-6, "response_length": 9}))
    assert bare.framework == "openrlhf"
    assert (
        set(hosted.canonical)
        == set(bare.canonical)
        == {"reward_mean", "learning_rate", "response_length_mean"}
    )


def test_trap_15_the_level_of_the_loss_and_a_clip_ratio_of_0_say_nothing() -> None:
    assert catalogue()["loss"].good is None
    assert "says nothing about health" in catalogue()["loss"].meaning
    assert catalogue()["clip_ratio"].good is None
    assert "Constantly 0 is normal" in catalogue()["clip_ratio"].meaning


@pytest.mark.parametrize(
    ("framework", "key", "name", "logged", "canonical"),
    [
        ("nemo_rl", "train/baseline_reward/pct_1", "frac_groups_all_correct", 25.0, 0.25),
        ("nemo_rl", "train/baseline_reward/pct_0", "frac_groups_all_wrong", 25.0, 0.25),
        ("nemo_rl", "train/baseline_reward/pct_mixed", "frac_zero_variance_groups", 25.0, 0.75),
        ("nemo_rl", "train/natural_termination_rate", "truncation_ratio", 0.9, 0.1),
        ("nemo_rl", "train/max_seq_mult_prob_error", "mismatch_logprob_max", np.e, 1.0),
        ("open_instruct", "val/stop_rate", "truncation_ratio", 0.9, 0.1),
        ("openrlhf", "train/dynamic_filtering_pass_rate", "frac_zero_variance_groups", 0.9, 0.1),
        ("prime_rl", "train/agg/all/main/solved_some", "frac_zero_variance_groups", 0.9, 0.1),
        ("rllm", "batch/main/fractions/effective", "frac_zero_variance_groups", 0.9, 0.1),
        ("trl_async_grpo", "scoring_time_ms", "reward_time", 1500.0, 1.5),
    ],
)
def test_trap_16_percent_complement_logarithm_and_milliseconds_are_computed(
    framework: str, key: str, name: str, logged: float, canonical: float
) -> None:
    found = resolve(columns({key: [logged, np.nan, logged]}), framework=framework)
    assert found.canonical[name] == pytest.approx([canonical, np.nan, canonical], nan_ok=True)
    assert found.columns[name].transform != "identity"
    assert name in {signal.name for signal in explain(key)} | {"truncation_ratio"}


@pytest.mark.parametrize(
    ("framework", "key"),
    [
        ("skyrl", "reward/num_zero_variance_filtered"),
        ("rllm", "groups/dropped_zero_adv"),
        ("slime", "rollout/zero_std/count_0.0"),
        ("open_instruct", "batch/filtered_prompts_solved"),
        ("nemo_rl", "train/num_masked_seqs_by_logprob_error"),
    ],
)
def test_trap_16_a_count_without_its_total_is_not_passed_off_as_a_share(framework: str, key: str) -> None:
    found = resolve(columns({key: 3}), framework=framework)
    assert not found.canonical
    assert found.unrecognised == ()
    assert found.notes and all(note.kind == "needs-a-number" for note in found.notes)


def test_trap_17_an_unscorable_reward_is_missing_and_never_0() -> None:
    found = resolve(
        log(reward=[1, np.nan, 1], rewards__exact__mean=[1, np.nan, 1], completions__mean_length=9)
    )
    for name in ("reward_mean", "reward_component_mean/exact"):
        assert np.isnan(found.canonical[name]).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("keys", "framework"),
    [
        (["completions/clipped_ratio", "reward"], "trl_grpo"),
        (["completions/clipped_ratio", "rollout_correction/kl"], "ms_swift"),
        (["completions/mean_length", "entropy/mean"], "ms_swift"),
        (["response_length/clip_ratio", "response_length/mean", "perf/mfu_actor"], "easyr1"),
        (["response_length/clip_ratio", "perf/mfu/actor"], "verl"),
        (["response_length/clip_ratio", "training/global_step"], "verl"),
        (["train/token_mult_prob_error"], "nemo_rl"),
        (["rollout/response_len/mean"], "slime"),
        (["generate/avg_num_tokens"], "skyrl"),
        (["mismatch_kl/all/mean"], "prime_rl"),
        (["ppo_actor/update/entropy/avg"], "areal"),
        (["tokens/response_length/mean"], "roll"),
        (["train/actor_lr"], "openrlhf"),
        (["val/sequence_lengths"], "open_instruct"),
        (["rl_trainer/avg_loss"], "torchforge"),
        (["advantage/main/fraction_zero"], "rllm"),
        (["advantage/main/fraction_zero", "perf/mfu/actor", "critic/score/mean"], "rllm"),
        (["completions/clipped_ratio", "perf/mfu/actor"], None),  # two trainers in one log
        (["reward", "loss", "learning_rate"], None),
        ([], None),
    ],
)
def test_fingerprints_name_the_trainer_or_nobody(keys: list[str], framework: str | None) -> None:
    assert recognise_framework(keys) == framework
    assert recognise_framework(iter(reversed(keys))) == framework
