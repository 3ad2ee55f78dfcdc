"""The metric dictionary, and how the keys of a log become canonical signals."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock import signals
from foreshock.errors import MetricError
from foreshock.run import FloatArray

ROOT = Path(__file__).resolve().parents[1]
PLAIN_NUMBERS = {
    "step", "kl_coef", "loss", "grad_norm", "learning_rate", "importance_ratio", "advantage_mean",
    "advantage_max", "advantage_min", "value_loss", "mismatch_is_ratio", "moe_load_violation",
    "critic_grad_norm", "critic_learning_rate",
}  # fmt: skip


def table(**values: Sequence[float]) -> dict[str, FloatArray]:
    return {key: np.asarray(value, dtype=float) for key, value in values.items()}


# --- the dictionary --------------------------------------------------------------------------------


def test_the_dictionary_holds_69_signals_and_718_keys_of_22_trainers() -> None:
    catalogue = signals.catalogue()
    keys = [key for signal in catalogue.values() for held in signal.keys.values() for key in held]
    assert (len(catalogue), len(keys), len(signals.frameworks())) == (69, 718, 22)
    used = {framework for signal in catalogue.values() for framework in signal.keys}
    assert used == set(signals.frameworks())


@pytest.mark.parametrize("name", list(signals.catalogue()))
def test_every_signal_says_what_it_is(name: str) -> None:
    signal = signals.catalogue()[name]
    assert signal.name == name and signal.title and signal.range
    assert signal.meaning.endswith(".") and len(signal.meaning) > 20
    assert signal.good in ("up", "down", None)
    assert bool(signal.unit) == (name not in PLAIN_NUMBERS)
    if signal.low is not None and signal.high is not None:
        assert signal.low < signal.high
    titles = [other.title for other in signals.catalogue().values()]
    assert titles.count(signal.title) == 1


def test_the_two_main_signals_are_called_as_on_the_charts() -> None:
    assert signals.catalogue()["response_length_mean"].title == "Response Length"
    assert signals.catalogue()["reward_mean"].title == "Train Reward"


def test_one_of_several_series_has_the_meaning_of_its_kind() -> None:
    one = signals.signal("reward_component_mean/format")
    assert one is not None
    assert (one.title, one.good) == ("Reward Component format", "up")
    assert signals.signal("reward_mean") is signals.catalogue()["reward_mean"]
    assert signals.signal("entropy/x") is None
    assert signals.signal("no such") is None


def test_every_exact_key_of_every_trainer_resolves_to_its_signal() -> None:
    catalogue = signals.catalogue()
    for signal in catalogue.values():
        for framework, keys in signal.keys.items():
            for key in keys:
                if "*" in key.pattern:
                    continue
                found = signals.resolve({key.pattern: np.array([0.5, 0.25])}, framework=framework)
                assert found.unrecognised == (), (framework, key.pattern)
                names = {name.partition("/")[0] for name in found.canonical}
                if key.transform == "identity" and signal.name != "step":
                    assert signal.name in names, (framework, key.pattern)
                if key.transform == "other":
                    assert signal.name not in names, (framework, key.pattern)


def test_every_pattern_with_a_star_resolves_too() -> None:
    for signal in signals.catalogue().values():
        for framework, keys in signal.keys.items():
            for key in keys:
                logged = key.pattern.replace("*", "1.0" if key.only else "x")
                if "*" not in key.pattern or key.match(logged) is None:
                    continue
                found = signals.resolve({logged: np.array([0.5, 0.25])}, framework=framework)
                assert found.unrecognised == (), (framework, key.pattern)


# --- real logs -------------------------------------------------------------------------------------


def test_reward_and_length_of_all_51_real_logs_are_found(shared: Path) -> None:
    folder = shared / "data" / "real"
    runs = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    assert len(runs) == 51
    for run in runs:
        with (folder / "csv" / f"{run['id']}.csv").open(newline="") as file:
            rows = list(csv.reader(file))
        own = {run["reward_col"], run["length_col"]}
        logged: dict[str, FloatArray] = {}
        for place, key in enumerate(rows[0]):
            if key not in ("reward", "response_length", "_row") or key in own:  # added by the CSV's maker
                cells = [row[place] if place < len(row) else "" for row in rows[1:]]
                logged[key] = np.array([float(cell) if cell else np.nan for cell in cells])
        found = signals.resolve(logged)
        keys = {name: column.key for name, column in found.columns.items()}
        assert keys["reward_mean"] == run["reward_col"], run["id"]
        assert keys.get("response_length_mean") == run["length_col"], run["id"]
        assert not found.ambiguous, run["id"]
        if run["framework"].startswith("TRL"):
            assert found.framework == (None if run["id"] == "152-fair" else "trl_grpo"), run["id"]
            ours = {"profiling", "_runtime", "_timestamp", "train/mean_token_accuracy"}
            assert {key.partition("/")[0] for key in found.unrecognised} <= {*ours, "train"}, run["id"]
        if run["framework"].startswith("verl"):
            assert found.framework == "verl", run["id"]


# --- plain names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("avg_reward", "reward_mean"),
        ("Train Reward", "reward_mean"),
        ("trainReward", "reward_mean"),
        ("reward/mean", "reward_mean"),
        ("rewards_avg", "reward_mean"),
        ("episode_reward_mean", "reward_mean"),
        ("score", "reward_mean"),
        ("Avg Response Len", "response_length_mean"),
        ("mean_completion_tokens", "response_length_mean"),
        ("length/mean", "response_length_mean"),
        ("KL_ref", "kl_ref"),
        ("approx_kl", "approx_kl_update"),
        ("Learning Rate", "learning_rate"),
        ("gradient_norm", "grad_norm"),
        ("accuracy", "pass_rate"),
        ("val_accuracy", "eval_score"),
        ("policy/entropy", "entropy"),
        ("reward_std", "reward_std"),
    ],
)
def test_plain_names_are_understood_in_any_spelling(key: str, name: str) -> None:
    found = signals.resolve({key: np.array([0.25, 0.5])})
    assert list(found.canonical) == [name]
    assert found.columns[name].via == "generic"
    assert [signal.name for signal in signals.explain(key)] == [name]


@pytest.mark.parametrize(
    "key",
    ["eval_reward_gap", "prompt", "len_chars", "reward_std_ratio", "奖励", "", "num_tokens", "eval_loss"],
)
def test_what_is_not_understood_is_listed_and_not_guessed(key: str) -> None:
    found = signals.resolve({key: np.array([0.25, 0.5])})
    assert not found.canonical and found.unrecognised == (key,)


def test_two_columns_that_could_be_the_reward_are_a_question() -> None:
    found = signals.resolve(table(mean_reward=[1, 2, 3], avg_reward=[1, 2, 4], loss=[0, 0, 0]))
    assert found.ambiguous == {"reward_mean": ("mean_reward", "avg_reward")}
    assert "reward_mean" not in found.canonical
    found = signals.resolve(table(reward_a=[1, 2, 3], reward_b=[1, 2, 4]))
    assert found.ambiguous == {"reward_mean": ("reward_a", "reward_b")}
    found = signals.resolve(table(reward_a=[1, 2, 3], reward_b=[1, 2, 4]), mapping={"reward": "reward_b"})
    assert found.columns["reward_mean"].key == "reward_b" and not found.ambiguous
    assert found.unrecognised == ("reward_a",)


def test_the_same_values_under_two_names_are_no_question() -> None:
    nan = np.nan
    found = signals.resolve(table(mean_reward=[1, nan, 3], avg_reward=[1, 2, 3]))
    assert found.columns["reward_mean"].key == "avg_reward"  # the fuller one
    assert not found.ambiguous and found.unrecognised == ()
    apart = signals.resolve(table(mean_reward=[1, nan, nan], avg_reward=[nan, 2, 3]))
    assert apart.ambiguous  # never logged together: nothing shows that they are the same


def test_a_plain_reward_wins_over_a_score_and_over_its_statistics() -> None:
    logged = table(score=[5, 5], reward_max=[3, 3], reward_std=[1, 1], reward=[1, 2], eval_reward=[9, 9])
    found = signals.resolve(logged)
    assert {name: column.key for name, column in found.columns.items()} == {
        "reward_mean": "reward",
        "reward_max": "reward_max",
        "reward_std": "reward_std",
        "eval_score": "eval_reward",
    }


def test_a_single_column_that_speaks_of_a_reward_is_taken_and_told() -> None:
    found = signals.resolve(table(gsm8k_reward=[1, 2], reward_weight=[1, 1]))
    assert found.columns["reward_mean"].key == "gsm8k_reward"
    assert [note.kind for note in found.notes] == ["guessed-reward"]


def test_a_guess_whose_values_are_impossible_is_not_made() -> None:
    assert not signals.resolve(table(accuracy=[10, 45])).canonical  # a percentage is no fraction
    assert not signals.resolve(table(length=[-1, 5])).canonical
    assert not signals.resolve(table(entropy=[-3, -4])).canonical


def test_two_lengths_are_left_out_and_told() -> None:
    found = signals.resolve(table(reward=[1, 2], response_length=[5, 6], completion_tokens=[500, 600]))
    assert "response_length_mean" not in found.canonical
    assert found.ambiguous == {"response_length_mean": ("response_length", "completion_tokens")}
    (note,) = found.notes
    assert note.kind == "ambiguous" and "--map length=response_length" in note.text


# --- several series, preference, what the user says ------------------------------------------------


def test_component_rewards_become_signals_of_their_own() -> None:
    components = {
        "completions/mean_length": [9, 9],
        "rewards/format/mean": [0, 1],
        "rewards/format/std": [3, 3],
        "rewards/exact/mean": [1, 1],
    }
    trl = table(reward=[1, 2], **components)
    found = signals.resolve(trl)
    assert found.canonical["reward_component_mean/format"].tolist() == [0, 1]
    assert found.canonical["reward_component_mean/exact"].tolist() == [1, 1]
    assert found.canonical["reward_component_std/format"].tolist() == [3, 3]
    unknown = signals.resolve(
        table(my_total_reward=[1, 2], **{"rewards/format": [0, 1], "rewards/std": [1, 1]})
    )
    assert unknown.columns["reward_component_mean/format"].via == "generic"
    assert unknown.columns["reward_std"].key == "rewards/std"  # of the whole reward, no component "std"


def test_several_held_out_sets_are_several_signals_and_one_is_just_the_score() -> None:
    verl = {
        "critic/score/mean": [1.0, 1],
        "response_length/mean": [9.0, 9],
        "val-core/a/b/acc/mean@1": [0.5, 1],
    }
    one = signals.resolve(table(**verl))
    assert one.canonical["eval_score"].tolist() == [0.5, 1]
    two = signals.resolve(table(**verl, **{"val-core/c/acc/mean@8": [0, 0]}))
    assert [name for name in two.canonical if name.startswith("eval")] == [
        "eval_score/a/b/acc/mean@1",
        "eval_score/c/acc/mean@8",
    ]


def test_a_preferred_key_without_a_single_number_gives_way() -> None:
    nan = np.nan
    logged = table(reward=[1, 2], completion_length=[5, 6], **{"completions/mean_length": [nan, nan]})
    found = signals.resolve(logged)
    assert found.columns["response_length_mean"].key == "completion_length"


def test_several_environments_without_their_aggregate_are_a_question() -> None:
    logged = {f"train/{env}/all/main/reward/mean": np.array([i, i + 1.0]) for i, env in enumerate("ab")}
    found = signals.resolve(logged, framework="prime_rl")
    assert found.ambiguous == {"reward_mean": tuple(logged)}


def test_what_the_user_says_wins_and_keeps_the_values_as_logged() -> None:
    logged = table(
        reward=[1, 2], other=[7, 8], **{"completions/mean_length": [9, 9], "rewards/exact/mean": [0, 1]}
    )
    found = signals.resolve(logged, mapping={"reward": "rewards/exact/mean", "kl": "other"})
    assert found.columns["reward_mean"].key == "rewards/exact/mean"
    assert found.columns["reward_mean"].via == "map"
    assert found.canonical["kl_ref"].tolist() == [7, 8]
    assert found.canonical["reward_component_mean/exact"].tolist() == [0, 1]
    mapped = signals.resolve(logged, mapping={"reward_component_mean/mine": "other"})
    assert mapped.canonical["reward_component_mean/mine"].tolist() == [7, 8]


def test_a_mapping_that_names_nothing_says_what_is_near() -> None:
    logged = table(mean_rewrad=[1, 2], loss=[0, 0])
    with pytest.raises(MetricError, match=r"no key 'mean_reward'.*mean_rewrad"):
        signals.resolve(logged, mapping={"reward": "mean_reward"})
    with pytest.raises(MetricError, match=r"no signal 'rewards'; did you mean reward"):
        signals.resolve(logged, mapping={"rewards": "loss"})
    with pytest.raises(MetricError, match=r"no signal 'xyzzy'; `foreshock signals` lists them"):
        signals.resolve(logged, mapping={"xyzzy": "loss"})
    with pytest.raises(MetricError, match=r"no trainer 'verll'; did you mean verl"):
        signals.resolve(logged, framework="verll")


def test_infinities_and_nan_come_through_untouched() -> None:
    values = [1.0, np.nan, np.inf, -np.inf]
    found = signals.resolve(table(reward=values, kl=values, grad_norm=[8e15, np.inf, 0, 1]))
    assert np.array_equal(found.canonical["reward_mean"], np.array(values), equal_nan=True)
    assert found.canonical["grad_norm"][1] == np.inf


KEYS = [
    key.pattern.replace("*", "x") for s in signals.catalogue().values() for k in s.keys.values() for key in k
]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(st.sampled_from(KEYS), st.sampled_from(["eval_reward", "my_reward", "train/x"]), st.text()),
        unique=True,
        max_size=12,
    ),
    st.sampled_from([None, *signals.frameworks()]),
    st.integers(0, 2**32 - 1),
)
def test_no_column_is_ever_lost_and_no_number_invented(
    keys: list[str], framework: str | None, seed: int
) -> None:
    random = np.random.default_rng(seed)
    pool = np.array([0.0, 0.5, 1.0, -2.0, 300.0, np.nan, np.inf])
    logged = {key: random.choice(pool, 5) for key in keys}
    before = {key: values.copy() for key, values in logged.items()}
    found = signals.resolve(logged, framework=framework)
    assert list(logged) == keys
    assert all(np.array_equal(logged[key], before[key], equal_nan=True) for key in keys)
    assert set(found.unrecognised) <= set(keys)
    assert set(found.canonical) == set(found.columns)
    assert not set(found.unrecognised) & {column.key for column in found.columns.values()}
    for name, column in found.columns.items():
        assert signals.signal(name) is not None
        assert len(found.canonical[name]) == 5
        if column.transform == "identity":
            assert np.array_equal(found.canonical[name], logged[column.key], equal_nan=True)
    for keys_of in found.ambiguous.values():
        assert len(keys_of) > 1 and set(keys_of) <= set(keys)


# --- for people ------------------------------------------------------------------------------------


def test_a_key_is_explained_by_its_closest_meaning() -> None:
    assert [s.name for s in signals.explain("critic/score/mean")] == ["reward_mean"]
    assert [s.name for s in signals.explain("train/completions/clipped_ratio")] == ["truncation_ratio"]
    assert [s.name for s in signals.explain("rewards/format/std")] == ["reward_component_std"]
    assert [s.name for s in signals.explain("kl")] == ["kl_ref", "approx_kl_update"]
    assert [s.name for s in signals.explain("entropy")] == ["entropy"]
    with pytest.raises(MetricError, match=r"did you mean .*entropy"):
        signals.explain("entrpy")


def test_the_page_of_signals_is_made_from_the_dictionary() -> None:
    page = signals.markdown()
    for name, signal in signals.catalogue().items():
        assert f"## {name}\n" in page and signal.meaning in page
    for framework in signals.frameworks():
        assert f"| `{framework}` |" in page
    assert (ROOT / "docs" / "signals.md").read_text() == page, "out of date, run `make docs`"


def test_every_curve_of_evidence_that_stands_in_names_a_signal_there_is() -> None:
    for name, curve in signals.evidence_curves().items():
        assert name.startswith("foreshock/") and curve.title and curve.meaning
        assert not curve.fills or curve.fills in signals.catalogue(), name


def test_recorded_names_are_in_the_table_of_evidence() -> None:
    """What the recorder's pieces write is known by title; a new curve needs an entry."""
    source = "".join(path.read_text() for path in (ROOT / "src/foreshock/record").glob("*.py"))
    for name in re.findall(r'"(foreshock/[a-z_]+/[a-z_]+)"', source):
        assert signals.evidence_signal(name) is not None, name
