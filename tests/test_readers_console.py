"""Console logs and notebooks: what was printed comes back as the same numbers, and prose as none."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreshock.errors import NotARunError, UnreadableError
from foreshock.readers import kv_console, notebook, trl_console, verl_console
from foreshock.readers._console import LONGEST, Lines, number, strip_ray
from foreshock.readers._log import Log
from foreshock.readers._pairs import pairs

HEAD = 64 * 1024
READERS = (notebook, verl_console, trl_console, kv_console)


def written(folder: Path, text: str, name: str = "train.log") -> Path:
    path = folder / name
    path.write_bytes(text.encode("utf-8"))
    return path


def recognised(path: Path) -> list[str]:
    head = path.read_bytes()[:HEAD]
    return [reader.NAME for reader in READERS if reader.recognises(path, head)]


def only(reader: ModuleType, path: Path) -> Log:
    assert reader.recognises(path, path.read_bytes()[:HEAD])
    (log,) = reader.read(path)
    assert isinstance(log, Log)
    return log


def kinds(log: Log) -> dict[str, int]:
    return {note.kind: note.count for note in log.notes}


def bar(step: int, total: int, width: int = 10) -> str:
    filled = "█" * (width * step // total)
    return f"{100 * step // total:3d}%|{filled:<{width}}| {step}/{total} [{step:02d}:00<10:00, 60.00s/it]"


# --- numbers and lines -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", 1.5),
        ("'-0.7'", -0.7),
        ('"2.386e-06"', 2.386e-06),
        ("np.float64(0.25)", 0.25),
        ("np.int64(3)", 3.0),
        ("tensor(0.5, device='cuda:0')", 0.5),
        ("tensor([0.5])", 0.5),
        ("7,473", 7473.0),
        ("12.5%", 12.5),
        ("-inf", -math.inf),
        (".5", 0.5),
        ("+1.20", 1.2),
    ],
)
def test_a_number_is_read_in_every_form_that_consoles_print(text: str, value: float) -> None:
    assert number(text) == value


def test_nan_is_a_number_that_was_logged() -> None:
    assert all(math.isnan(number(text) or 0.0) for text in ("nan", "NaN", "np.float64(nan)", "'nan'"))


@pytest.mark.parametrize("text", ["", "None", "5 apples", "7/30", "1.2.3", "12:30", "1e", "__import__('os')"])
def test_what_is_not_exactly_one_number_is_none(text: str) -> None:
    assert number(text) is None


def test_carriage_returns_colours_and_byte_order_marks_do_not_reach_the_readers(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeff10%\r20%\r\n\x1b[36mred\x1b[0m\x1b]8;;http://x\x07link\nend")
    lines = Lines(path)
    assert list(lines) == ["10%", "20%", "redlink", "end"]
    assert lines.unterminated


def test_utf16_of_a_powershell_redirect_is_read(tmp_path: Path) -> None:
    path = tmp_path / "out.log"
    path.write_bytes("{'loss': 0.5, 'reward': 1.0, 'epoch': 0.1}\r\n".encode("utf-16"))
    assert only(trl_console, path).column("reward").tolist() == [1.0]


def test_a_line_longer_than_the_limit_is_left_out_whole_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "a\n" + "x" * (2 * LONGEST + 5) + "\nb\n")
    lines = Lines(path)
    assert list(lines) == ["a", "b"]
    assert lines.skipped == 1
    path = written(tmp_path, OLD.format(1, 1) + "\n" + "{'a': " * LONGEST + "\n" + OLD.format(1, 2) + "\n")
    log = only(trl_console, path)
    assert log.column("reward").tolist() == [1, 2]
    assert kinds(log)["long-lines"] == 1


@pytest.mark.parametrize(
    "prefix",
    ["(TaskRunner pid=12) ", "(main_task pid=1, ip=10.0.0.1) ", "[36m(TaskRunner pid=12)[0m ", "(pid=7) "],
)
def test_the_prefix_of_a_ray_actor_is_taken_off(prefix: str) -> None:
    assert strip_ray(prefix + "step:1 - a:2") == "step:1 - a:2"


# --- TRL ---------------------------------------------------------------------------------------------------

OLD = "{{'loss': 0.{0}, 'grad_norm': 1.5, 'learning_rate': 9e-05, 'reward': {1}, 'epoch': 0.0}}"


def test_dicts_out_of_order_with_their_bars_get_the_steps_of_the_redraws(tmp_path: Path) -> None:
    stderr = ["\r" + bar(0, 20)]
    for step in range(1, 21):
        stderr.append("\r" + bar(step, 20))
        if step % 5 == 0:  # tqdm clears the bar, the dict goes to stdout, the bar is drawn again
            stderr.append("\r" + " " * 60 + "\r\r" + bar(step, 20))
    text = "".join(stderr) + "\n" + "\n".join(OLD.format(1, r) for r in (0.1, 0.2, 0.3, 0.4)) + "\n"
    log = only(trl_console, written(tmp_path, text))
    assert log.steps == [5, 10, 15, 20]
    assert log.column("reward").tolist() == [0.1, 0.2, 0.3, 0.4]
    assert kinds(log) == {"inferred-steps": 4}
    assert log.facts["total_steps"] == 20


def test_without_redraws_the_step_is_row_times_total_over_rows(tmp_path: Path) -> None:
    bars = "".join("\r" + bar(step, 20) for step in range(21))
    text = bars + "\n" + "\n".join(OLD.format(1, r) for r in (0.1, 0.2, 0.3, 0.4)) + "\n"
    log = only(trl_console, written(tmp_path, text))
    assert log.steps == [5, 10, 15, 20]
    assert "constant interval" in log.notes[0].text


def test_a_killed_run_counts_to_where_its_bar_stopped(tmp_path: Path) -> None:
    bars = "".join("\r" + bar(step, 100) for step in range(13))
    text = bars + "\n" + "\n".join(OLD.format(1, r) for r in (0.1, 0.2)) + "\n"
    log = only(trl_console, written(tmp_path, text))
    assert log.steps == [6, 12]


def test_bars_in_order_with_the_dicts_number_them_even_when_the_copy_lost_the_bar_itself(
    tmp_path: Path,
) -> None:
    # A copied Colab output: the redraw of a bar overwrote it, so each dict is followed by its own step.
    lines = ["  0% 0/300 [00:00<?, ?it/s]Some warning about generation_config"]
    for step in range(1, 31):
        lines.append(f"{{'loss': '0', 'reward': '{step / 10}', 'epoch': '{step / 675:.4g}'}}")
        lines.append(
            f"  {step // 3}% {step}/300 [03:04<15:20:38, 184.75s/it]Both `max_new_tokens` seem to be set."
        )
    log = only(trl_console, written(tmp_path, "\n".join(lines) + "\n"))
    assert log.steps == list(range(1, 31))
    assert kinds(log) == {"inferred-steps": 30, "quoted-numbers": 30}


def test_a_dict_on_the_same_line_as_its_bar_is_read(tmp_path: Path) -> None:
    text = "".join(f" 15%|#4| {s}/200 [00:10<01:00, 1.0it/s{OLD.format(1, s / 8)}\n" for s in (30, 31, 32))
    log = only(trl_console, written(tmp_path, text))
    assert log.column("reward").tolist() == [3.75, 3.875, 4.0]
    assert log.steps == [30, 31, 32]


def test_dicts_without_any_bar_are_left_in_row_order(tmp_path: Path) -> None:
    log = only(trl_console, written(tmp_path, "\n".join(OLD.format(1, r) for r in (1, 2, 3))))
    assert log.steps is None
    assert log.column("reward").tolist() == [1, 2, 3]


def test_a_dict_broken_inside_a_key_is_joined_and_a_bar_drawn_in_between_is_cut_out(tmp_path: Path) -> None:
    text = (
        "{'loss': 0.5, 'completions/max_len\ngth': 384.0, 'reward': 0.25,"
        " 'reward\ns/f/mean': -2.2\n5, 'epoch': 0.1}\n"
        f"{{'loss': 0.5, 'completions/max_len\n\r{bar(3, 9)}\r\ngth': 385.0, 'reward': 0.5,"
        " 'rewards/f/mean': 1,\n 'epoch': 0.2}\n"
    )
    log = only(trl_console, written(tmp_path, text))
    assert log.keys == ("loss", "completions/max_length", "reward", "rewards/f/mean", "epoch")
    assert log.column("completions/max_length").tolist() == [384, 385]
    assert log.column("rewards/f/mean").tolist() == [-2.25, 1]
    assert kinds(log)["wrapped-lines"] == 2


def test_ms_swift_rows_state_their_step_and_total(tmp_path: Path) -> None:
    rows = [
        f"{{'loss': 0.1, 'reward': 0.34375, 'kl': 0.0, 'epoch': 0.0{k}, 'global_step/max_steps': '{k}/3766', "
        "'percentage': '0.13%', 'elapsed_time': '1m 29s', 'memory(GiB)': 56.74, 'train_speed(iter/s)': 0.05}"
        for k in (5, 10)
    ]
    text = "Train:   0%|          | 5/3766 [01:29<18:41:07, 17.9s/it]\r" + "\n".join(rows) + "\n"
    log = only(trl_console, written(tmp_path, text))
    assert log.steps == [5, 10]
    assert log.facts["total_steps"] == 3766
    assert log.column("memory(GiB)").tolist() == [56.74, 56.74]
    assert log.column("percentage").tolist() == [0.13, 0.13]
    assert "elapsed_time" not in log.keys


def test_a_step_named_before_the_dict_is_its_step(tmp_path: Path) -> None:
    text = "".join(
        f"2025-05-01 10:00:0{k} INFO ✨ Global step {k}: {{'policy_loss': 0.1, 'reward': 0.{k}, 'kl': nan}}\n"
        for k in (1, 2, 3)
    )
    log = only(trl_console, written(tmp_path, text))
    assert log.steps == [1, 2, 3]
    assert log.nan_rows == {"kl": [0, 1, 2]}


def test_evaluation_and_closing_rows_take_the_step_they_were_printed_at(tmp_path: Path) -> None:
    lines = ["\r" + bar(0, 4)]
    for step in range(1, 5):
        lines.append("\r" + bar(step, 4) + "\r" + " " * 50 + "\r\r" + bar(step, 4))
        if step == 2:
            lines.append("\r" + " " * 50 + "\r\r" + bar(step, 4))
    lines.append("\r" + " " * 50 + "\r\r" + bar(4, 4) + "\n")
    rows = [OLD.format(1, 0.1), OLD.format(1, 0.2), "{'eval_loss': 0.3, 'eval_reward': 0.25, 'epoch': 0.5}"]
    rows += [
        OLD.format(1, 0.3),
        OLD.format(1, 0.4),
        "{'train_runtime': 9.5, 'train_loss': 0.1, 'epoch': 1.0}",
    ]
    log = only(trl_console, written(tmp_path, "".join(lines) + "\n".join(rows) + "\n"))
    assert log.steps == [1, 2, 2, 3, 4, 4]
    assert np.nanmax(log.column("train_runtime")) == 9.5


def test_a_second_training_in_one_file_starts_its_steps_again(tmp_path: Path) -> None:
    once = "".join(
        "\r" + bar(s, 3) + "\r" + " " * 50 + "\r\r" + bar(s, 3) + "\n" + OLD.format(1, s) + "\n"
        for s in (1, 2, 3)
    )
    log = only(trl_console, written(tmp_path, "\r" + bar(0, 3) + once + "\r" + bar(0, 3) + once))
    assert log.steps == [1, 2, 3, 1, 2, 3]


def test_dicts_in_settings_and_completions_are_no_rows(tmp_path: Path) -> None:
    text = (
        "Updated tokens: {'eos_token_id': 248046, 'pad_token_id': 248044}.\n"
        "{'actor': {'clip_ratio': 0.2, 'epoch': 1, 'loss': 3}, 'x': 1}\n"
        + "".join(
            OLD.format(1, r) + "\nCompletion: {'reward': 9.0, 'epoch': 1} is a dict, {'unclosed': \n"
            for r in (1, 2, 3)
        )
    )
    log = only(trl_console, written(tmp_path, text))
    assert log.column("reward").tolist() == [1, 2, 3]
    assert kinds(log)["foreign-rows"] == 4


def test_a_dict_cut_by_the_end_of_the_file_is_no_row(tmp_path: Path) -> None:
    text = OLD.format(1, 1) + "\n" + OLD.format(1, 2) + "\n" + OLD.format(1, 3)[:-12]
    log = only(trl_console, written(tmp_path, text))
    assert log.column("reward").tolist() == [1, 2]
    assert kinds(log)["torn-line"] == 1


def test_a_log_whose_first_dict_comes_late_is_recognised(tmp_path: Path) -> None:
    text = "downloading a shard of the model\n" * 5000 + OLD.format(1, 1) + "\n"
    assert len(text) > HEAD
    assert recognised(written(tmp_path, text)) == ["trl_console"]


KEYS = st.text("abcdefghij_/()-", min_size=1, max_size=30).map(lambda key: "m" + key)
FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)
ANY = st.floats(allow_nan=True, allow_infinity=True, width=64)


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, float]]:
    """Rows of metrics with one set of keys, as a trainer logs them."""
    keys = draw(st.lists(KEYS, min_size=1, max_size=8, unique=True))
    rows = draw(st.lists(st.lists(ANY, min_size=len(keys), max_size=len(keys)), min_size=1, max_size=12))
    return [
        {"loss": 0.5, **dict(zip(keys, row, strict=True)), "reward": float(k), "epoch": 0.1}
        for k, row in enumerate(rows)
    ]


def same(log: Log, rows: list[dict[str, float]]) -> None:
    assert log.rows == len(rows)
    for key in rows[0]:
        np.testing.assert_array_equal(log.column(key), [row[key] for row in rows], err_msg=key)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=tables(), quoted=st.booleans(), bars=st.booleans(), width=st.sampled_from([0, 40, 80, 180]))
def test_any_table_printed_as_dicts_comes_back_exactly(
    tmp_path: Path, rows: list[dict[str, float]], quoted: bool, bars: bool, width: int
) -> None:
    text = ""
    for step, row in enumerate(rows, 1):
        line = str({key: repr(value) if quoted else value for key, value in row.items()})
        if width:
            line = "\n".join(line[at : at + width] for at in range(0, len(line), width))
        text += ("\r" + bar(step, 99) + "\r" + " " * 60 + "\r" if bars else "") + line + "\n"
        text += "\r" + bar(step, 99) if bars else ""
    (log,) = trl_console.read(written(tmp_path, text + "\n"))
    same(log, rows)
    if bars:
        assert log.steps == list(range(1, len(rows) + 1))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=tables(), cut=st.floats(0, 1))
def test_a_dict_log_cut_anywhere_gives_only_whole_true_rows(
    tmp_path: Path, rows: list[dict[str, float]], cut: float
) -> None:
    text = "".join(str(row) + "\n" for row in rows)
    path = written(tmp_path, text[: int(cut * len(text))])
    try:
        (log,) = trl_console.read(path)
    except NotARunError:
        return
    same(log, rows[: log.rows])


# --- verl --------------------------------------------------------------------------------------------------


def test_the_lines_of_verl_of_2025_are_read_through_colours_and_numpy_numbers(tmp_path: Path) -> None:
    actor = "\x1b[36m(TaskRunner pid=46086)\x1b[0m "
    text = (
        actor
        + "{'actor': {'clip_ratio': 0.2,\n"
        + actor
        + "step:1 - actor/entropy:0.25 - actor/pg_clipfrac:np.float64(0.5) - "
        "critic/score/mean:-0.44 - training/global_step:1 - val-core/x/reward/mean@1:nan\n"
        + actor
        + "\rTraining Progress:   0%|          | 1/700 [00:10<1:00:00, 9.0s/it]\n"
        + "(WorkerDict pid=9) the reward: 5 - value:7 {'reward': 9, 'epoch': 1}\n"
        + actor
        + "step:2 - actor/entropy:-inf - actor/pg_clipfrac:np.float64(1e-05) - "
        "critic/score/mean:1.5\n"
    )
    log = only(verl_console, written(tmp_path, text))
    assert log.steps == [1, 2]
    assert log.column("actor/pg_clipfrac").tolist() == [0.5, 1e-05]
    assert log.column("actor/entropy").tolist() == [0.25, -math.inf]
    assert log.column("critic/score/mean").tolist() == [-0.44, 1.5]
    assert log.nan_rows == {"val-core/x/reward/mean@1": [0]}
    assert log.facts["total_steps"] == 700


def test_the_lines_of_early_verl_keep_keys_with_parentheses(tmp_path: Path) -> None:
    text = "(main_task pid=54569) step:50 - timing/gen:18.725 - critic/lr(1e-4):0.100 - critic/kl:-0.000\n"
    log = only(verl_console, written(tmp_path, text))
    assert log.steps == [50]
    assert log.keys == ("timing/gen", "critic/lr(1e-4)", "critic/kl")
    assert log.column("critic/lr(1e-4)").tolist() == [0.1]


def test_verl_lines_quoted_in_markdown_are_read(tmp_path: Path) -> None:
    lines = ["# logs", "", "```bash", "(main_task pid=1) epoch 0, step 7"]
    lines += [f"(main_task pid=1) step:{step} - critic/score/mean:0.5" for step in (7, 8, 9)]
    text = "\n".join([*lines, "```", ""])
    log = only(verl_console, written(tmp_path, text, "notes.md"))
    assert log.steps == [7, 8, 9]


def test_a_verl_line_wrapped_by_the_terminal_is_joined(tmp_path: Path) -> None:
    line = (
        "step:3 - critic/score/mean:0.123456 - response_length/mean:245.5 - actor/entropy:0.75 - perf/x:12.25"
    )
    wrapped = "\n".join(line[at : at + 30] for at in range(0, len(line), 30))
    log = only(verl_console, written(tmp_path, wrapped + "\nstep:4 - critic/score/mean:0.5\n"))
    assert log.steps == [3, 4]
    assert {key: float(log.column(key)[0]) for key in log.keys} == {
        "critic/score/mean": 0.123456,
        "response_length/mean": 245.5,
        "actor/entropy": 0.75,
        "perf/x": 12.25,
    }


def test_the_last_value_of_a_verl_log_without_a_line_end_is_not_trusted(tmp_path: Path) -> None:
    log = only(verl_console, written(tmp_path, "step:1 - a/b:0.5 - c/d:0.25\nstep:2 - a/b:0.75 - c/d:0.2"))
    assert log.column("a/b").tolist() == [0.5, 0.75]
    np.testing.assert_array_equal(log.column("c/d"), [0.25, np.nan])
    assert kinds(log) == {"torn-line": 1}


def test_a_verl_restart_stays_in_the_order_printed(tmp_path: Path) -> None:
    text = "".join(f"step:{s} - critic/score/mean:0.{k}\n" for k, s in enumerate((1, 2, 3, 2, 3, 4), 1))
    log = only(verl_console, written(tmp_path, text))
    assert log.steps == [1, 2, 3, 2, 3, 4]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=tables(),
    form=st.sampled_from(["{!r}", "np.float64({!r})"]),
    prefix=st.sampled_from(["", "(main_task pid=3) ", "\x1b[36m(TaskRunner pid=12)\x1b[0m "]),
    cut=st.floats(0, 1),
)
def test_any_table_printed_by_verl_comes_back_exactly_as_far_as_it_goes(
    tmp_path: Path, rows: list[dict[str, float]], form: str, prefix: str, cut: float
) -> None:
    text = ""
    for step, row in enumerate(rows):
        items = " - ".join(f"{key}:{form.format(value)}" for key, value in row.items())
        text += f"{prefix}step:{step} - {items}\nsome completion: 5 - 3\n"
    same(verl_console.read(written(tmp_path, text))[0], rows)
    try:
        (log,) = verl_console.read(written(tmp_path, text[: int(cut * len(text))]))
    except NotARunError:
        return
    for key in log.keys:
        logged = [rows[row][key] for row in range(log.rows)]
        column = log.column(key)
        known = ~np.isnan(column)
        np.testing.assert_array_equal(column[known], np.array(logged)[known])


# --- key: value --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "Epoch:[1/2](3/9751), Reward: -1.7233, KL_ref: 0.0002, Adv Std: 0.92, Learning Rate: 0.00000030",
            {
                "Epoch": 1,
                "step": 3,
                "Reward": -1.7233,
                "KL_ref": 2e-4,
                "Adv Std": 0.92,
                "Learning Rate": 3e-7,
            },
        ),
        ("step 12 | reward 0.5 | len 300", {"step": 12, "reward": 0.5, "len": 300}),
        ("step=12 reward=+0.5 len=300 kl=nan", {"step": 12, "reward": 0.5, "len": 300, "kl": math.nan}),
        ("step: 12 loss: 0.3 reward: 0.5", {"step": 12, "loss": 0.3, "reward": 0.5}),
        ("[step 12/500] loss 0.3, mean reward 0.5", {"step": 12, "loss": 0.3, "mean reward": 0.5}),
        ("Step 12: loss=0.3, reward=1e-3", {"Step": 12, "loss": 0.3, "reward": 1e-3}),
        ("[12/500] reward=0.5 tag=none", {"step": 12, "reward": 0.5}),
        ("[2025-06-29 15:46:46,175][INFO] - Step 10 - reward: 0.5", {"Step": 10, "reward": 0.5}),
        ("INFO:trainer:iter 3; acc: 45.5%; time: 3.2s", {"iter": 3, "acc": 45.5, "time": 3.2}),
        (
            "Iteration 1/1, Step 2/500, GRPO iter 1/1, loss: 0.0",
            {"Iteration": 1, "Step": 2, "GRPO iter": 1, "loss": 0},
        ),
        ("tokens: 1,234,567, reward: np.float64(0.5)", {"tokens": 1234567, "reward": 0.5}),
        (
            "Update    10 | mean_reward    0.5000 | policy_loss   -0.0123",
            {"Update": 10, "mean_reward": 0.5, "policy_loss": -0.0123},
        ),
        ("🚀 Step 3: reward = 0.5 ± 0.05, length = 200.0", {"Step": 3, "reward": 0.5, "length": 200}),
        (
            "[Step    3] loss=0.25 reward=0.5 tok/s=1,234",
            {"Step": 3, "loss": 0.25, "reward": 0.5, "tok/s": 1234},
        ),
        ("Correct: 7/30, version: 1.2.3, at: 12:30", {}),
        ("The answer is 42 because I have 3 apples", {}),
    ],
)
def test_pairs_are_read_in_the_ways_that_people_print_them(line: str, expected: dict[str, float]) -> None:
    found = {pair.key: pair.value for pair in pairs(line)}
    assert found.keys() == expected.keys()
    np.testing.assert_equal(found, {key: float(value) for key, value in expected.items()})


def test_minimind_steps_go_on_over_epochs(tmp_path: Path) -> None:
    lines = [
        f"Epoch:[{e}/2]({s}/3), Reward: 0.{e}{s}, Avg Len: 12{s}, LR: 0.00000100"
        for e in (1, 2)
        for s in (1, 2, 3)
    ]
    log = only(
        kv_console,
        written(tmp_path, "nohup: ignoring input\nModel Params: 30.03M\n" + "\n".join(lines) + "\n"),
    )
    assert log.steps == [1, 2, 3, 4, 5, 6]
    assert log.column("Reward").tolist() == [0.11, 0.12, 0.13, 0.21, 0.22, 0.23]
    assert log.facts["total_steps"] == 6


def test_lines_that_come_once_for_each_row_join_it(tmp_path: Path) -> None:
    rows = "".join(
        "Input batch size: 7, Device: cuda:0\n"
        f"Average Reward: {k}.5\nIteration 1/1, Step {k}/9, loss: 0.0{k}\n"
        for k in range(1, 6)
    )
    log = only(kv_console, written(tmp_path, rows))
    assert log.steps == [1, 2, 3, 4, 5]
    assert log.column("Average Reward").tolist() == [1.5, 2.5, 3.5, 4.5, 5.5]
    assert log.column("loss").tolist() == [0.01, 0.02, 0.03, 0.04, 0.05]


def test_a_block_under_each_step_is_one_row(tmp_path: Path) -> None:
    rows = "".join(f"=== Step {k} ===\n  mean reward: 0.{k}\n  response len: 10{k}\n\n" for k in range(1, 5))
    log = only(kv_console, written(tmp_path, rows))
    assert log.steps == [1, 2, 3, 4]
    assert log.column("mean reward").tolist() == [0.1, 0.2, 0.3, 0.4]
    assert log.column("response len").tolist() == [101, 102, 103, 104]


def test_completions_between_the_rows_give_no_rows(tmp_path: Path) -> None:
    text = ""
    for k in range(1, 30):
        text += f"2025-06-29 15:46:46,175 INFO Step {k} | Loss: 0.5 | Mean Reward: {k}.25\n"
        text += f"Let me think. Step 1: x = {k}\nStep 2: y = {2 * k}, so the total reward: {k * 7}\n"
        text += f"The score: {k} is high.\nTherefore the answer = {k}.\n{{'reward': {k}}}\n"
    log = only(kv_console, written(tmp_path, text))
    assert log.steps == list(range(1, 30))
    assert log.column("Mean Reward").tolist() == [k + 0.25 for k in range(1, 30)]
    assert log.keys == ("Loss", "Mean Reward")


def test_the_last_value_without_a_line_end_counts_only_if_it_has_the_usual_digits(tmp_path: Path) -> None:
    rows = "".join(f"Step {k} | Loss: 0.5000 | Mean Reward: 1.007{k}\n" for k in range(1, 5))
    whole = only(kv_console, written(tmp_path, rows[:-1]))
    assert whole.column("Mean Reward").tolist() == [1.0071, 1.0072, 1.0073, 1.0074]
    cut = only(kv_console, written(tmp_path, rows[:-3]))
    np.testing.assert_array_equal(cut.column("Mean Reward"), [1.0071, 1.0072, 1.0073, np.nan])
    assert kinds(cut) == {"torn-line": 1}
    counter = only(kv_console, written(tmp_path, rows + "Step 1"))
    assert counter.steps == [1, 2, 3, 4]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.tuples(FINITE, FINITE), min_size=3, max_size=20),
    form=st.sampled_from(
        [
            "step {}, reward: {!r}, len: {!r}",
            "step={} reward={!r} len={!r}",
            "Step {} | reward {!r} | len {!r}",
        ]
    ),
    cut=st.floats(0, 1),
)
def test_any_rows_printed_as_pairs_come_back_exactly_as_far_as_they_go(
    tmp_path: Path, values: list[tuple[float, float]], form: str, cut: float
) -> None:
    text = "".join(form.format(k, *row) + "\n" for k, row in enumerate(values, 1))
    (log,) = kv_console.read(written(tmp_path, text))
    assert log.steps == list(range(1, len(values) + 1))
    assert list(zip(log.column("reward"), log.column("len"), strict=True)) == values
    try:
        (log,) = kv_console.read(written(tmp_path, text[: int(cut * len(text))]))
    except NotARunError:
        return
    for row, step in enumerate(log.steps or ()):
        assert step == row + 1
        for place, key in enumerate(("reward", "len")):
            value = log.column(key)[row] if key in log.keys else np.nan
            assert np.isnan(value) or value == values[row][place]


# --- notebooks ---------------------------------------------------------------------------------------------


def cell(*outputs: dict[str, object]) -> dict[str, object]:
    return {"cell_type": "code", "source": ["train()"], "metadata": {}, "outputs": list(outputs)}


def stream(text: str, name: str = "stdout") -> dict[str, object]:
    return {"output_type": "stream", "name": name, "text": text.splitlines(keepends=True)}


def saved(folder: Path, *cells: dict[str, object]) -> Path:
    return written(
        folder, json.dumps({"cells": list(cells), "metadata": {}, "nbformat": 4}, indent=1), "a.ipynb"
    )


def test_a_notebook_gives_the_rows_its_cells_printed(tmp_path: Path) -> None:
    printed = "".join(f"Average Reward: {k}.5\nStep {k}/9, loss: 0.0{k}\n" for k in range(1, 6))
    path = saved(
        tmp_path,
        {"cell_type": "markdown", "source": []},
        cell(stream("hello\n")),
        cell(stream(printed[:70]), stream(printed[70:])),
    )
    assert recognised(path) == ["notebook"]
    log = only(notebook, path)
    assert log.steps == [1, 2, 3, 4, 5]
    assert log.column("Average Reward").tolist() == [1.5, 2.5, 3.5, 4.5, 5.5]


def test_two_cells_that_trained_are_two_runs(tmp_path: Path) -> None:
    trl = "".join(OLD.format(1, r) + "\n" for r in (1, 2, 3))
    verl = (
        "(main_task pid=1) step:1 - critic/score/mean:0.5\n(main_task pid=1) step:2 - critic/score/mean:0.6\n"
    )
    logs = notebook.read(saved(tmp_path, cell(stream(trl)), cell(stream(verl))))
    assert [log.rows for log in logs] == [3, 2]
    assert len({log.id for log in logs}) == 2


def test_the_table_of_the_trainer_in_a_notebook_is_read(tmp_path: Path) -> None:
    page = (
        "<table><thead><tr><th>Step</th><th>Training Loss</th><th>reward</th></tr></thead><tbody>"
        + "".join(
            f"<tr>\n<td>{k}</td>\n<td>0.{k}00000</td>\n<td>{'No log' if k == 2 else k / 4}</td></tr>"
            for k in (1, 2, 3)
        )
    )
    output: dict[str, object] = {
        "output_type": "display_data",
        "data": {"text/html": [page], "text/plain": ["<x>"]},
    }
    log = only(notebook, saved(tmp_path, cell(output)))
    assert log.steps == [1, 2, 3]
    np.testing.assert_array_equal(log.column("reward"), [0.25, np.nan, 0.75])
    assert log.column("Training Loss").tolist() == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"cells": [{"cell_type": "code", "outputs": [{"text": ["a', UnreadableError),
        ('{"cells": [{"cell_type": "code", "outputs": []}], "nbformat": 4}', NotARunError),
        ('{"cells": {"cell_type": 3}, "nbformat": 4}', NotARunError),
        (
            '{"cells": [3, {"outputs": [4, {"text": 5, "data": 6, "output_type": "stream"}]}]}',
            NotARunError,
        ),
    ],
)
def test_a_broken_or_empty_notebook_is_one_clear_error(
    tmp_path: Path, text: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match="notebook"):
        notebook.read(written(tmp_path, text, "a.ipynb"))


# --- what is not theirs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "step,reward\n1,0.5\n2,0.6\n3,0.7\n"),
        ("a.txt", "step,reward\n1,0.5\n2,0.6\n3,0.7\n"),
        ("a.txt", '{"step": 1, "reward": 0.5, "epoch": 1}\n{"step": 2, "reward": 0.5, "epoch": 1}\n'),
        ("a.txt", '[{"step": 1, "reward": 0.5, "epoch": 1}, {"step": 2, "reward": 0.5, "epoch": 1}]'),
        (
            "README.md",
            "# Results\n\nThe reward: 0.5 at step 10. We log `{'loss': 0.1, 'reward': 1.0, 'epoch': 0.1}`.\n",
        ),
        (
            "train.py",
            "for step in range(3):\n    print({'loss': 0.1, 'epoch': 1})\nreward = 0.5\nreward = 0.6\n",
        ),
        ("x.log", "def f():\n    logs = {'loss': loss, 'epoch': epoch}\n    reward = 0.5\n"),
        ("x.log", "2025-01-01 10:00:00 INFO Loading model\n" * 50),
        ("x.log", ""),
        ("x.bin", "\x00\x01\x02step:1 - a:1\x00\x00" * 100),
        ("x.log", "Step 1: add 5 and 3 = 8\nStep 2: divide by 2 = 4\n" * 30),
    ],
)
def test_tables_json_prose_and_source_code_are_not_claimed(tmp_path: Path, name: str, text: str) -> None:
    assert recognised(written(tmp_path, text, name)) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=3000), text=st.text("{}[]'\":,- \n\r0123456789.%|/stepoch=\x1b", max_size=3000)
)
def test_arbitrary_bytes_and_near_misses_give_an_error_or_rows_and_never_a_crash(
    tmp_path: Path, data: bytes, text: str
) -> None:
    path = tmp_path / "x.log"
    for content in (data, text.encode()):
        path.write_bytes(content)
        for reader in READERS:
            reader.recognises(path, content[:HEAD])
            try:
                reader.read(path)
            except (NotARunError, UnreadableError):
                pass


# --- real logs ---------------------------------------------------------------------------------------------

FORMATS = {
    "trl_stdout": trl_console,
    "verl_console": verl_console,
    "notebook_output": notebook,
    "custom_console": kv_console,
}
# Steps where ours are right and the other parser's are not:
# - 165: it takes the bar drawn before each dict (0, 1, ...), but the copied console keeps the drawing after
#   it. The epochs are 0.001481, 0.002963, ... = step / 675 for steps 1, 2, ..., and the last row stands
#   before the bar 300/300: steps are 1 to 300.
# - 167: it numbers the rows 1 to 94. The bar is redrawn at 20, 40, ..., 1860 of 1875 and the closing row,
#   which holds the metrics of the last 15 steps, stands at 1875; the epochs agree (0.01 at step 20).
STEPS = {
    "165-panacea": [float(step) for step in range(1, 301)],
    "167-hotpot": [*(float(step) for step in range(20, 1861, 20)), 1875.0],
}
# Names that the other parser gave to columns, and those that the log prints.
PRINTED = {
    "kl": ["kl", "kl_ref"],
    "avg_response_len": ["avg_len"],
    "avg_reward": ["average_reward"],
    "reward": ["reward", "mean_reward", "average_reward"],
    "response_length": ["avg_len"],
}


def plain(key: str) -> str:
    return key.lower().replace(" ", "_")


def test_real_consoles_equal_what_an_independent_parser_read(shared: Path) -> None:
    folder = shared / "data" / "real"
    entries = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    entries = [entry for entry in entries if entry["format"] in FORMATS]
    assert len(entries) == 28
    for entry in entries:
        (path,) = (folder / entry["raw"]).iterdir()
        log = only(FORMATS[entry["format"]], path)
        with (folder / entry["csv"]).open() as file:
            table = list(csv.DictReader(file))
        _compare(entry, log, table)


def _compare(entry: dict[str, str], log: Log, table: list[dict[str, str]]) -> None:
    name = entry["id"]
    assert log.steps is not None
    if "train_runtime" in log.keys and name != "167-hotpot":  # its closing row is none of the table's
        assert log.rows == len(table) + 1
        log.steps = log.steps[:-1]
    assert log.steps == STEPS.get(name) or log.steps == [float(row["step"]) for row in table], name
    columns = {plain(key): log.column(key)[: len(table)] for key in log.keys}
    chosen = {"reward": entry["reward_col"], "response_length": entry["length_col"]}
    for key in table[0].keys() - {"step", "_row"}:
        theirs = np.array([float(row[key] or "nan") for row in table])
        names = [plain(chosen.get(key) or key), *PRINTED.get(key, [])]
        ours = next((columns[name] for name in names if name in columns), None)
        if ours is None:  # an empty column of the table: the log prints no length
            assert key == "response_length" and np.isnan(theirs).all(), (entry["id"], key)
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, err_msg=f"{entry['id']} {key}")


def test_broken_and_odd_real_consoles_are_read(shared: Path) -> None:
    fixtures = shared / "data" / "real" / "fixtures"
    colours = only(verl_console, fixtures / "verl_agent_2steps_ansi.log")
    assert colours.steps == [1, 2]
    assert colours.column("critic/score/mean").tolist() == [0.6530305743217468, 0.6419896483421326]
    markdown = only(verl_console, fixtures / "verl_lines_in_markdown.md")
    assert markdown.steps == list(range(383, 400))
    assert markdown.column("critic/score/mean")[:3].tolist() == [0.156, 0.184, 0.128]
