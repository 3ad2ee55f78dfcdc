"""What logs in the wild look like: each thing that other people's logs showed, in a small log of its own.

The numbers follow the list in the README beside those logs; the real log is read too where one is named.
All inputs here are synthetic unless the test takes `shared`.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from foreshock.errors import NotARunError, SeveralRunsError
from foreshock.readers import list_runs, open_run
from foreshock.run import Run


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def kinds(run: Run) -> dict[str, int]:
    """Notes by kind with their counts."""
    return {note.kind: note.count for note in run.notes}


def trl_row(step: int, **more: object) -> dict[str, object]:
    return {
        "loss": 0.001 * step,
        "grad_norm": 0.5,
        "learning_rate": 1e-06,
        "completions/mean_length": 100.0 + step,
        "completions/clipped_ratio": 0.0,
        "reward": 0.01 * step,
        "reward_std": 0.1,
        "kl": 0.0,
        "epoch": 0.01,
        **more,
    }


def bar(done: int, total: int) -> str:
    percent = 100 * done // total
    return (
        f"\r{percent:3d}%|{'#' * (percent // 10):<10}| {done}/{total} [00:{done % 60:02d}<01:00,  1.00it/s]"
    )


def test_1_rows_on_the_line_of_a_progress_bar_are_read_and_get_its_step(tmp_path: Path) -> None:
    text = "Loading checkpoint shards: 100%|####| 2/2 [00:01<00:00,  1.9it/s]\n"
    for step in range(5, 101, 5):
        text += "".join(bar(done, 100) for done in range(step - 4, step + 1))
        # tqdm.write clears the bar, prints the row and draws the bar again
        text += f"\r{' ' * 40}\r{trl_row(step)}\n{bar(step, 100)}"
    run = open_run(write(tmp_path / "train.log", text))
    assert run.steps.tolist() == list(range(5, 101, 5))
    np.testing.assert_allclose(run.series["reward_mean"], 0.01 * run.steps)


def test_1_where_bars_and_rows_are_out_of_order_steps_come_from_rows_over_the_total(tmp_path: Path) -> None:
    bars = "".join(bar(done, 200) for done in range(201))
    rows = "".join(f"{trl_row(step)}\n" for step in range(5, 201, 5))
    run = open_run(write(tmp_path / "train.log", bars + "\n" + rows))
    assert run.steps.tolist() == list(range(5, 201, 5))
    assert "inferred-steps" in kinds(run)


def test_1_the_real_log_whose_bars_stand_apart(shared: Path) -> None:
    run = open_run(next((shared / "data/real/raw/062-grpodyn").iterdir()))
    assert run.steps.tolist() == list(range(5, 201, 5))


def test_2_a_console_without_any_step_is_numbered_and_says_so(tmp_path: Path) -> None:
    text = "".join(f"{trl_row(row, epoch=0.0)}\n" for row in range(1, 31))
    run = open_run(write(tmp_path / "train.log", text))
    assert run.steps.tolist() == list(range(1, 31))
    assert {"inferred-steps", "no-step"} & kinds(run).keys()


def test_3_quoted_numbers_wrapped_numbers_and_keys_with_units(tmp_path: Path) -> None:
    quoted = "".join(
        str({key: str(value) for key, value in trl_row(row, **{"memory(GiB)": 56.74}).items()}) + "\n"
        for row in range(1, 11)
    )
    run = open_run(write(tmp_path / "quoted.log", quoted))
    np.testing.assert_allclose(run.series["reward_mean"], 0.01 * np.arange(1, 11))
    assert (run.series["memory(GiB)"] == 56.74).all()
    verl = "".join(
        f"step:{step} - actor/pg_clipfrac:np.float64({step / 100}) - critic/lr(1e-4):0.1 - "
        f"critic/score/mean:{step / 10} - response_length/mean:20.0\n"
        for step in range(1, 11)
    )
    run = open_run(write(tmp_path / "verl.log", verl))
    np.testing.assert_allclose(run.series["actor/pg_clipfrac"], np.arange(1, 11) / 100)
    assert (run.series["critic/lr(1e-4)"] == 0.1).all()


def test_4_rows_broken_by_the_terminal_inside_a_key_are_joined(tmp_path: Path) -> None:
    text = ""
    for row in range(1, 21):
        line = str(trl_row(row, **({"extra/metric": 1.0} if row % 2 else {})))
        text += "\n".join(line[at : at + 60] for at in range(0, len(line), 60)) + "\n"
    run = open_run(write(tmp_path / "train.log", text))
    np.testing.assert_allclose(run.series["reward_mean"], 0.01 * np.arange(1, 21))
    np.testing.assert_allclose(run.series["completions/mean_length"], 100.0 + np.arange(1, 21))
    assert np.isfinite(run.series["extra/metric"]).sum() == 10


def test_5_colours_actor_prefixes_and_printed_completions_are_no_metrics(tmp_path: Path) -> None:
    text = ""
    for step in range(1, 21):
        text += (
            f"\x1b[36m(TaskRunner pid=422294)\x1b[0m step:{step} - critic/score/mean:{step / 10} - "
            "response_length/mean:20.0 - actor/entropy:0.23\n"
            "\x1b[36m(TaskRunner pid=422294)\x1b[0m [response] the reward: 99 and step: 7, {'reward': 55}\n"
            "(WorkerDict pid=7) #### 42\n"
        )
    run = open_run(write(tmp_path / "verl.log", text))
    assert run.format == "verl_console"
    np.testing.assert_allclose(run.series["reward_mean"], np.arange(1, 21) / 10)


def test_6_several_updates_of_a_step_are_averaged_and_counted(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"step": step, "reward": float(step + part), "entropy": math.nan if part == 0 else 1.0}
        for step in range(10)
        for part in range(4)
    ]
    run = open_run(jsonl(tmp_path / "run.jsonl", rows))
    assert run.steps.tolist() == list(range(10))
    np.testing.assert_allclose(run.series["reward_mean"], np.arange(10) + 1.5)
    assert (run.series["entropy"] == 1.0).all()
    assert run.nan_steps["entropy"].tolist() == list(range(10))
    assert kinds(run)["repeated-steps"] == 30


def test_6_after_a_resume_the_later_attempt_counts(tmp_path: Path) -> None:
    first: list[dict[str, object]] = [{"step": s, "reward": 1.0, "kl": 0.1} for s in range(50)]
    second: list[dict[str, object]] = [{"step": s, "reward": 2.0, "kl": 0.2} for s in range(40, 80)]
    run = open_run(jsonl(tmp_path / "run.jsonl", first + second))
    assert run.steps.tolist() == list(range(80))
    assert run.series["reward_mean"].tolist() == [1.0] * 40 + [2.0] * 40
    assert kinds(run)["resume"] == 10
    assert [(event.step, event.kind) for event in run.events] == [(40, "resumed")]


def test_6_a_step_repeated_once_after_a_resume_keeps_the_later_row(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"step": s, "reward": float(s), "kl": 0.1} for s in range(20)]
    rows.insert(11, {"step": 10, "reward": 99.0, "kl": 0.1})
    run = open_run(jsonl(tmp_path / "run.jsonl", rows))
    assert run.series["reward_mean"][10] == 99.0
    assert kinds(run)["replaced-rows"] == 1


def test_6_a_second_run_appended_to_the_file_is_a_run_of_its_own(tmp_path: Path) -> None:
    short: list[dict[str, object]] = [{"step": s, "reward": 1.0 + s, "kl": 0.1} for s in range(6)]
    long: list[dict[str, object]] = [{"step": s, "reward": 5.0 + s, "kl": 0.1} for s in range(45)]
    path = jsonl(tmp_path / "tinker" / "metrics.jsonl", short + long)
    assert [info.id for info in list_runs(path)] == ["tinker#1", "tinker#2"]
    run = open_run(path)
    assert run.series["reward_mean"].tolist() == [5.0 + s for s in range(45)]
    assert "restarts" in kinds(run)
    assert open_run(path, run="tinker#1").series["reward_mean"].tolist() == [1.0 + s for s in range(6)]
    equal = jsonl(tmp_path / "equal.jsonl", [{**row, "reward": 9.0} for row in long] + long)
    with pytest.raises(SeveralRunsError, match="equal#1 .45 rows., 2: equal#2"):
        open_run(equal)


def test_7_evaluation_rows_and_the_last_summary_stay_out_of_the_curves(tmp_path: Path) -> None:
    history: list[dict[str, object]] = []
    for step in range(1, 101):
        history.append({**trl_row(step), "step": step})
        if step % 25 == 0:
            history.append({"eval_loss": 0.2, "eval_reward": 0.5, "epoch": 0.01, "step": step})
    history.append({"train_runtime": 33.0, "train_loss": 0.05, "total_flos": 0.0, "epoch": 1.0, "step": 100})
    state = {"log_history": history, "max_steps": 100, "global_step": 100, "logging_steps": 1}
    run = open_run(write(tmp_path / "run" / "trainer_state.json", json.dumps(state)))
    assert run.steps.tolist() == list(range(1, 101))
    np.testing.assert_allclose(run.series["reward_mean"], 0.01 * run.steps)
    assert np.flatnonzero(np.isfinite(run.series["eval_reward"])).tolist() == [24, 49, 74, 99]
    assert run.facts["train_runtime"] == 33.0
    assert run.facts["train_loss"] == 0.05
    assert "train_loss" not in run.series
    assert kinds(run)["eval-rows"] == 4
    assert kinds(run)["summary-row"] == 1


def test_7_in_a_console_evaluation_rows_do_not_count_as_steps(tmp_path: Path) -> None:
    text = ""
    for row in range(1, 21):
        text += f"{trl_row(row)}\n"
        if row % 10 == 0:
            text += "{'eval_loss': 0.2, 'eval_reward': 0.5, 'eval_runtime': 1.0, 'epoch': 0.01}\n"
    text += "{'train_runtime': 33.0, 'train_loss': 0.05, 'epoch': 1.0}\n"
    run = open_run(write(tmp_path / "train.log", text))
    assert run.steps.tolist() == list(range(1, 21))
    np.testing.assert_allclose(run.series["reward_mean"], 0.01 * np.arange(1, 21))
    assert run.facts["train_runtime"] == 33.0


def test_8_infinities_and_nan_survive_beside_a_finite_reward(tmp_path: Path) -> None:
    rows = "".join(
        f'{{"step": {s}, "reward": {s / 10}, "kl": {value}, "grad_norm": {norm}}}\n'
        for s, (value, norm) in enumerate(
            [("0.1", "1.0"), ("Infinity", "8e15"), ('"NaN"', "NaN"), ("-Infinity", "null"), ("0.2", '"inf"')]
        )
    )
    run = open_run(write(tmp_path / "run.jsonl", rows))
    np.testing.assert_array_equal(run.series["kl"], [0.1, math.inf, math.nan, -math.inf, 0.2])
    np.testing.assert_array_equal(run.series["grad_norm"], [1.0, 8e15, math.nan, math.nan, math.inf])
    assert run.nan_steps["kl"].tolist() == [2]
    assert run.nan_steps["grad_norm"].tolist() == [2]
    assert np.isfinite(run.series["reward_mean"]).all()


def test_8_the_real_log_with_infinities(shared: Path) -> None:
    run = open_run(next((shared / "data/real/raw/094-wordle-tb").iterdir()))
    assert np.isinf(run.series["train/kl"]).any()
    assert np.isfinite(run.series["reward_mean"]).all()


def checkpoint(folder: Path, last: int, first: int = 1, shift: float = 0.0) -> None:
    history = [{"step": s, "reward": s + shift, "loss": 0.1} for s in range(first, last + 1)]
    state = {"global_step": last, "max_steps": 100, "log_history": history}
    write(folder / f"checkpoint-{last}" / "trainer_state.json", json.dumps(state))


def test_9_checkpoints_of_one_run_are_one_run(tmp_path: Path) -> None:
    out = tmp_path / "my-run"
    for last in (20, 100, 60):
        checkpoint(out, last)
    run = open_run(out)
    assert run.id == "my-run"
    assert run.steps.tolist() == list(range(1, 101))
    assert kinds(run)["merged-checkpoints"] == 3
    assert open_run(out / "checkpoint-60").steps[-1] == 60


def test_9_what_only_an_older_checkpoint_holds_is_taken_from_it(tmp_path: Path) -> None:
    out = tmp_path / "my-run"
    checkpoint(out, 50)
    checkpoint(out, 100, first=51)
    run = open_run(out)
    assert run.steps.tolist() == list(range(1, 101))
    np.testing.assert_array_equal(run.series["reward_mean"], np.arange(1, 101))


def test_9_the_same_series_under_two_names_is_one_run(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"step": s, "reward": math.sin(s), "kl": 0.1} for s in range(30)]
    jsonl(tmp_path / "run.jsonl", rows)
    with (tmp_path / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["step", "reward"], *([row["step"], row["reward"]] for row in rows[:20])])
    run = open_run(tmp_path)
    assert len(run.steps) == 30
    assert kinds(run)["same-run"] == 1


def test_10_forward_filled_values_are_kept_as_they_are(shared: Path) -> None:
    run = open_run(next((shared / "data/real/raw/152-fair").iterdir()))
    assert len(run.steps) == 990
    assert len(np.unique(run.series["reward_mean"])) <= 100


def test_11_a_dead_metric_and_a_length_at_the_cap_are_kept_as_they_are(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"step": s, "reward": 1.0075, "completions/mean_length": 256.0} for s in range(40)
    ]
    run = open_run(jsonl(tmp_path / "run.jsonl", rows))
    assert (run.series["reward_mean"] == 1.0075).all()
    assert (run.series["response_length_mean"] == 256.0).all()


def test_12_of_two_length_keys_the_newer_counts_and_zero_terminated_is_no_length(tmp_path: Path) -> None:
    rows = [
        {
            **trl_row(s),
            "step": s,
            "completion_length": 1.0,
            "completions/mean_terminated_length": 0.0 if s < 5 else 90.0,
        }
        for s in range(1, 11)
    ]
    run = open_run(jsonl(tmp_path / "run.jsonl", rows))
    assert run.columns["response_length_mean"].key == "completions/mean_length"
    terminated = run.series["response_length_terminated_mean"]
    assert np.isnan(terminated[:4]).all()
    assert (terminated[4:] == 90.0).all()
    assert (run.series["completions/mean_terminated_length"][:4] == 0.0).all()


def test_13_negative_rewards_and_the_raw_score_before_the_penalised_one(tmp_path: Path) -> None:
    text = "".join(
        f"step:{s} - critic/score/mean:{-9.5 + s} - critic/rewards/mean:{-20.0 + s} - "
        "response_length/mean:20.0 - actor/entropy:0.2\n"
        for s in range(1, 20)
    )
    run = open_run(write(tmp_path / "verl.log", text))
    assert run.columns["reward_mean"].key == "critic/score/mean"
    np.testing.assert_allclose(run.series["reward_mean"], np.arange(1, 20) - 9.5)


def test_14_a_json_file_cut_inside_a_number_keeps_its_whole_records(tmp_path: Path, shared: Path) -> None:
    rows = [{"step": s, "mean_reward": 0.125 * s, "loss": 0.123456} for s in range(50)]
    text = json.dumps(rows, indent=2)
    run = open_run(write(tmp_path / "stats.json", text[: text.index('"loss"', 2000) + 12]))
    assert kinds(run)["cut-file"] == len(run.steps)
    np.testing.assert_array_equal(run.series["reward_mean"], 0.125 * run.steps)
    real = open_run(shared / "data/real/fixtures/corrupt_midfile_trace_step_stats.json")
    assert kinds(real)["cut-file"] == 686
    assert real.steps.tolist() == list(range(172))


def test_15_a_wandb_run_killed_before_its_first_row_says_so(shared: Path) -> None:
    with pytest.raises(NotARunError, match="no history rows"):
        open_run(shared / "data/real/fixtures/killed_run_no_exit_record.wandb")


def test_15_rows_full_of_profiling_do_not_hide_the_reward(shared: Path) -> None:
    run = open_run(next((shared / "data/real/raw/109-slm-rlvr").iterdir()))
    rewarded = np.isfinite(run.series["reward_mean"])
    assert run.steps[rewarded].tolist() == [10, 20, 30, 40, 50, 60]
    assert np.isfinite(run.series["response_length_mean"][rewarded]).all()


def test_16_a_console_file_with_several_starts_shows_the_one_that_got_far(tmp_path: Path) -> None:
    def line(step: int, reward: float) -> str:
        return (
            f"(TaskRunner pid=1) step:{step} - critic/score/mean:{reward} - response_length/mean:20.0 - "
            "actor/entropy:0.2\n"
        )

    text = "".join(line(step, 0.1) for step in range(1, 4)) + "Traceback (most recent call last):\nOSError\n"
    text += "".join(line(step, 0.2) for step in range(1, 8)) + "Killed\n"
    text += "".join(line(step, step / 10) for step in range(1, 61))
    path = write(tmp_path / "gpu.log", text)
    run = open_run(path)
    assert run.steps.tolist() == list(range(1, 61))
    np.testing.assert_allclose(run.series["reward_mean"], run.steps / 10)
    assert [info.rows for info in list_runs(path)] == [3, 7, 60]
