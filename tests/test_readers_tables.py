"""Tables, JSON documents and JSON lines in the forms that people export them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from foreshock.errors import MetricError, MissingExtraError, SeveralRunsError, UnreadableError
from foreshock.readers import list_runs, open_run
from foreshock.readers._facts import from_config


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_any_usual_delimiter(tmp_path: Path, sign: str) -> None:
    rows = ["step,reward,kl", "1,0.5,", "2,0.75,inf", "3,nan,0.1"]
    run = open_run(write(tmp_path / "run.txt", "\n".join(rows).replace(",", sign) + "\n"))
    np.testing.assert_array_equal(run.series["reward_mean"], [0.5, 0.75, math.nan])
    np.testing.assert_array_equal(run.series["kl"], [math.nan, math.inf, 0.1])
    assert run.nan_steps["reward"].tolist() == [3]
    assert "kl" not in run.nan_steps


def test_comments_ragged_rows_quotes_and_decimal_commas(tmp_path: Path) -> None:
    text = '# exported\nstep;reward;text\n1;0,5;"a; b\nc"\n2;0,75\n# note\n3;1,25;x;extra\n'
    run = open_run(write(tmp_path / "run.csv", text))
    assert run.series["reward_mean"].tolist() == [0.5, 0.75, 1.25]
    kinds = {note.kind: note.count for note in run.notes}
    assert kinds["decimal-commas"] == 3
    assert kinds["ragged-rows"] == 2


def test_a_table_cut_inside_its_last_number_leaves_that_number_out(tmp_path: Path) -> None:
    run = open_run(write(tmp_path / "run.csv", "step,loss,reward\n1,0.1,0.5\n2,0.1,0.6\n3,0.1,0.7"))
    np.testing.assert_array_equal(run.series["reward_mean"], [0.5, 0.6, math.nan])
    assert "torn-line" in {note.kind for note in run.notes}


def test_a_header_behind_a_comment_sign_and_a_bom(tmp_path: Path) -> None:
    run = open_run(write(tmp_path / "run.csv", "\ufeff# step,reward\n1,0.5\n2,0.6\n"))
    assert run.series["reward_mean"].tolist() == [0.5, 0.6]


def test_a_powershell_redirect_in_utf_16(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_bytes("step,reward\r\n1,0.5\r\n2,0.6\r\n".encode("utf-16"))
    assert open_run(path).series["reward_mean"].tolist() == [0.5, 0.6]


def test_a_wandb_export_of_one_run_and_of_two(tmp_path: Path) -> None:
    header = '"Step","lr-1e-6 - train/reward","lr-1e-6 - train/reward__MIN","lr-1e-6 - train/reward__MAX"'
    one = write(tmp_path / "one.csv", header + '\n"1","0.5","0.5","0.5"\n"2","0.6","0.6","0.6"\n')
    run = open_run(one)
    assert run.columns["reward_mean"].key == "train/reward"
    assert run.steps.tolist() == [1, 2]
    two = write(
        tmp_path / "two.csv",
        '"Step","a - b - reward","c - reward"\n"1","0.5","7"\n"2","","8"\n"3","0.6",""\n',
    )
    assert [info.id for info in list_runs(two)] == ["a - b", "c"]
    assert open_run(two, run="a").steps.tolist() == [1, 3]
    assert open_run(two, run="c").series["reward_mean"].tolist() == [7, 8]


def test_a_tensorboard_export_and_one_row_per_value(tmp_path: Path) -> None:
    path = tmp_path / "run-.-tag-train_reward.csv"
    run = open_run(write(path, "Wall time,Step,Value\n1700000000.5,10,0.5\n1700000001.5,20,0.6\n"))
    assert run.steps.tolist() == [10, 20]
    assert run.series["train_reward"].tolist() == [0.5, 0.6]
    path = write(tmp_path / "long.csv", "step,metric,value\n1,reward,0.5\n1,kl,0.1\n2,reward,0.6\n2,kl,0.2\n")
    run = open_run(path)
    assert run.series["reward_mean"].tolist() == [0.5, 0.6]
    assert run.series["kl"].tolist() == [0.1, 0.2]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_column_with_run_names_tells_runs_apart(tmp_path: Path, suffix: str) -> None:
    rows = [(name, s, s + offset) for name, offset in (("base", 0.5), ("tuned", 9.5)) for s in range(6)]
    if suffix == "csv":
        text = "run,step,reward\n" + "".join(f"{name},{s},{r}\n" for name, s, r in rows)
    else:
        text = "".join(json.dumps({"run": name, "step": s, "reward": r}) + "\n" for name, s, r in rows)
    path = write(tmp_path / f"both.{suffix}", text)
    with pytest.raises(SeveralRunsError) as caught:
        open_run(path)
    assert caught.value.runs == ("base", "tuned")
    assert open_run(path, run="tuned").series["reward_mean"].tolist() == [s + 9.5 for s in range(6)]


def test_a_text_that_differs_in_every_row_names_no_run(tmp_path: Path) -> None:
    rows = [json.dumps({"run_id": f"rollout-{s}", "step": s, "reward": s / 2}) for s in range(9)]
    assert len(open_run(write(tmp_path / "x.jsonl", "\n".join(rows) + "\n")).steps) == 9


def test_json_documents_in_their_usual_forms(tmp_path: Path) -> None:
    rows = [{"step": s, "reward": s / 2, "info": {"kl": 0.1}} for s in range(5)]
    columns = {"step": [r["step"] for r in rows], "reward": [r["reward"] for r in rows], "name": "x"}
    for number, document in enumerate(
        (
            rows,
            {"history": rows},
            {"config": {"lr": 1}, "result": {"metrics": rows}},
            columns,
            {"data": columns},
        )
    ):
        run = open_run(write(tmp_path / f"{number}.json", json.dumps(document)))
        assert run.series["reward_mean"].tolist() == [0, 0.5, 1, 1.5, 2], number
    assert open_run(tmp_path / "0.json").series["info/kl"].tolist() == [0.1] * 5


def test_lists_for_training_and_evaluation_are_one_run(tmp_path: Path) -> None:
    train = [{"step": s, "reward": s / 2} for s in range(5)]
    document = {"train": train, "eval": [{"step": 4, "reward": 9.0}]}
    run = open_run(write(tmp_path / "log.json", json.dumps(document)))
    assert run.series["reward_mean"].tolist() == [0, 0.5, 1, 1.5, 2]
    assert run.series["eval_reward"][4] == 9.0


def test_two_lists_of_the_same_kind_are_two_runs(tmp_path: Path) -> None:
    document = {name: [{"step": s, "reward": s * k} for s in range(5)] for k, name in ((1, "a"), (2, "b"))}
    path = write(tmp_path / "runs.json", json.dumps(document))
    assert [info.id for info in list_runs(path)] == ["a", "b"]


def test_verls_file_logger_and_its_nulls(tmp_path: Path) -> None:
    rows = [
        {"step": s, "data": {"critic/score/mean": s / 2, "actor/grad_norm": None if s == 3 else 1.0}}
        for s in range(1, 6)
    ]
    run = open_run(write(tmp_path / "verl.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))
    assert run.steps.tolist() == [1, 2, 3, 4, 5]
    assert np.isnan(run.series["actor/grad_norm"]).tolist() == [False, False, True, False, False]
    assert "may have been NaN" in next(note.text for note in run.notes if note.kind == "null-values")


def test_prime_rls_trainer_and_orchestrator_rows_share_their_step(tmp_path: Path) -> None:
    """The orchestrator runs ahead, so that its rows and the trainer's overtake each other."""
    lines = []
    for step in range(20):
        lines.append(
            {"step": step + 1, "time": 2.0 * step, "reward/all/mean": step / 2, "seq_len/all/mean": 9}
        )
        lines.append({"step": step, "time": 2.0 * step + 1, "loss/mean": 0.1, "entropy/all/mean": 1.0})
    run = open_run(
        write(tmp_path / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in lines)),
        mapping={"reward": "reward/all/mean"},
    )
    assert run.steps.tolist() == list(range(21))
    np.testing.assert_array_equal(run.series["reward_mean"][1:], np.arange(20) / 2)
    assert np.isfinite(run.series["loss/mean"][:-1]).all()
    assert not run.events


def test_prime_rl_resumed_replaces_both_kinds_of_rows(tmp_path: Path) -> None:
    def rows(steps: range, mark: float) -> list[dict[str, float]]:
        found = []
        for step in steps:
            found.append({"step": step + 1, "reward/mean": mark, "length/mean": mark})
            found.append({"step": step, "loss/mean": mark, "entropy/mean": mark})
        return found

    lines = rows(range(30), 1.0) + rows(range(20, 40), 2.0)
    run = open_run(write(tmp_path / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in lines)))
    reward, loss = run.series["reward/mean"], run.series["loss/mean"]
    at = {step: place for place, step in enumerate(run.steps.tolist())}
    assert [reward[at[s]] for s in (1, 20, 21, 40)] == [1.0, 1.0, 2.0, 2.0]
    assert [loss[at[s]] for s in (0, 19, 20, 39)] == [1.0, 1.0, 2.0, 2.0]
    assert [event.kind for event in run.events] == ["resumed"]


def test_a_counter_within_epochs_goes_on(tmp_path: Path) -> None:
    lines = [{"epoch": e, "step": s, "reward": 10 * e + s} for e in range(3) for s in range(10)]
    run = open_run(write(tmp_path / "run.jsonl", "".join(json.dumps(row) + "\n" for row in lines)))
    assert run.steps.tolist() == list(range(30))
    assert run.series["reward_mean"].tolist() == list(range(30))
    assert "steps-per-epoch" in {note.kind for note in run.notes}


def test_an_epoch_is_never_the_step(tmp_path: Path) -> None:
    lines = [{"epoch": e, "reward": e / 2} for e in range(5, 15)]
    run = open_run(write(tmp_path / "run.jsonl", "".join(json.dumps(row) + "\n" for row in lines)))
    assert run.steps.tolist() == list(range(1, 11))
    assert run.notes[0].kind == "no-step"


def test_the_user_chooses_the_step_column(tmp_path: Path) -> None:
    lines = [{"step": s, "tokens": 1000 * s, "reward": s / 2} for s in range(5)]
    path = write(tmp_path / "run.jsonl", "".join(json.dumps(row) + "\n" for row in lines))
    assert open_run(path, step_key="tokens").steps.tolist() == [0, 1000, 2000, 3000, 4000]
    with pytest.raises(MetricError, match="fractions"):
        open_run(path, step_key="reward")


def test_rows_without_a_step_and_settings_before_the_first(tmp_path: Path) -> None:
    text = '{"lr": 1e-6, "batch": 8}\n{"step": 1, "reward": 0.5}\n{"kl": 0.1}\n{"step": 2, "reward": 0.6}\n'
    run = open_run(write(tmp_path / "run.jsonl", text))
    assert run.facts["lr"] == 1e-6
    assert run.steps.tolist() == [1, 2]
    assert run.series["kl"][0] == 0.1
    assert next(note.count for note in run.notes if note.kind == "rows-without-step") == 2


def test_lines_that_are_no_json_are_counted(tmp_path: Path) -> None:
    lines = [json.dumps({"step": s, "reward": s / 2}) for s in range(10)]
    text = "\n".join([*lines[:5], "WARNING: slow disk", *lines[5:], '{"step": 10, "rew'])
    run = open_run(write(tmp_path / "run.jsonl", text))
    assert run.series["reward_mean"].tolist() == [s / 2 for s in range(10)]
    assert {note.kind: note.count for note in run.notes} == {"torn-line": 1, "bad-lines": 1}


def test_parquet_keeps_nan_apart_from_null(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    table = pa.table(
        {
            "step": [1, 2, 3, 4],
            "reward": [0.5, math.nan, None, math.inf],
            "ok": [True, False, True, None],
            "text": list("abcd"),
            "nested": [[1], [2], [3], [4]],
        }
    )
    path = tmp_path / "run.parquet"
    pq.write_table(table, path)
    run = open_run(path)
    np.testing.assert_array_equal(run.series["reward_mean"], [0.5, math.nan, math.nan, math.inf])
    assert run.nan_steps["reward"].tolist() == [2]
    assert run.series["ok"].tolist()[:3] == [1, 0, 1]
    assert set(run.series.original) == {"reward", "ok"}
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnreadableError, match="cut or damaged"):
        open_run(path)


def test_parquet_without_its_extra_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    path = tmp_path / "run.parquet"
    path.write_bytes(b"PAR1" + b"\0" * 100)
    with pytest.raises(MissingExtraError, match=r"foreshock\[parquet\]"):
        open_run(path)


def test_a_hundred_thousand_rows_keep_every_number(tmp_path: Path) -> None:
    count = 100_000
    reward = np.random.default_rng(0).normal(size=count)
    with (tmp_path / "run.jsonl").open("w") as file:
        file.writelines(f'{{"step": {s}, "reward": {r!r}}}\n' for s, r in enumerate(reward.tolist()))
    run = open_run(tmp_path / "run.jsonl")
    np.testing.assert_array_equal(run.series["reward_mean"], reward)
    np.testing.assert_array_equal(run.steps, np.arange(count))


def test_a_stored_configuration_gives_the_facts_that_the_analysis_uses() -> None:
    trl = {"num_generations": 8, "generation_batch_size": "64", "max_steps": -1, "model": "Qwen/Qwen3-0.6B"}
    assert from_config(trl) == {"group_size": 8, "prompts_per_step": 8, "model": "Qwen/Qwen3-0.6B"}
    verl = {
        "data.train_batch_size": 256,
        "actor_rollout_ref.rollout.n": 5,
        "trainer.total_training_steps": 435,
    }
    assert from_config(verl) == {"group_size": 5, "prompts_per_step": 256, "total_steps": 435}
    assert from_config({"num_generations": "many", "max_steps": None}) == {}
