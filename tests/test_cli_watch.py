"""`foreshock watch` end to end: what is printed where, exit codes, how it ends, what reaches the terminal."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from _watching import Trial, write
from foreshock.cli import main
from foreshock.demo import RUNS
from foreshock.detect._records import KINDS
from foreshock.record import Recorder
from foreshock.watch._phases import Phases
from foreshock.watch._picture import duration, picture
from foreshock.watch.metrics import Metrics
from foreshock.watch.screen import Screen

BROKEN = next(run.path for run in RUNS if run.name == "layer-pruned")
HEALTHY = next(run.path for run in RUNS if run.name == "clean-64-prompts")
EVIL = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202e\x7f"


@pytest.fixture(autouse=True)
def _state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def called(*arguments: str) -> int:
    """`foreshock ARGUMENTS` in this process; the exit code."""
    try:
        main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_replay_prints_each_message_as_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("watch", str(BROKEN), "--replay", "--json") == 0
    messages = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    first = messages[0]
    assert (first["step"], first["signal"], first["state"]) == (61, "reward_mean", "open")
    assert {message["kind"] for message in messages} <= set(KINDS)
    assert first["onset_interval"][0] <= first["onset"] <= first["onset_interval"][1]
    assert {"sigma", "severity", "evidence", "false_alarm_rate", "text"} <= first.keys()


def test_replay_and_live_print_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    called("watch", str(BROKEN), "--replay", "--json")
    replayed = capsys.readouterr().out
    lines = BROKEN.read_text().splitlines(keepends=True)
    growing = tmp_path / BROKEN.name
    live = ""
    for count in (20, 61, 62, 70, len(lines)):
        growing.write_text("".join(lines[:count]))
        os.utime(growing, (time.time() - 60,) * 2)  # nobody is writing
        called("watch", str(growing), "--once", "--json")
        live += capsys.readouterr().out
    assert live == replayed


def test_fail_on_turns_alarms_into_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("watch", str(BROKEN), "--replay", "--fail-on", "trouble") == 1
    assert called("watch", str(HEALTHY), "--replay", "--fail-on", "watch") == 0
    assert capsys.readouterr().out.startswith("step 61: open, trouble: ")


def test_once_tells_what_is_new_and_then_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("watch", str(BROKEN), "--once", "--fail-on", "trouble") == 1
    assert "step 61: open" in capsys.readouterr().out
    assert called("watch", str(BROKEN), "--once", "--fail-on", "trouble") == 1, "the alarm is still open"
    output = capsys.readouterr()
    assert output.out == output.err == "", "a timer would send this every time"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--once", "--replay"],
        ["--replay", "--notify", "https://example.com"],
        ["--budget", "0"],
        ["--interval", "0"],
        ["--map", "reward"],
    ],
)
def test_what_cannot_be_meant_is_said_in_one_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert called("watch", str(BROKEN), *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("foreshock: ") and len(error.splitlines()) == 1


def test_what_is_not_there_is_an_error_only_where_nothing_is_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called("watch", str(tmp_path / "none.jsonl"), "--once") == 2
    assert called("watch", str(tmp_path / "none.jsonl"), "--replay") == 2
    assert "no such file" in capsys.readouterr().err


def test_control_sequences_in_a_log_reach_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "run.jsonl"
    lines = [
        json.dumps({"step": step, "reward": 1.0 if step < 40 else float("nan"), f"{EVIL}": step, "run": EVIL})
        for step in range(1, 60)
    ]
    log.write_text("\n".join(lines) + "\n")
    signals = f"reward_mean,{EVIL}"
    called("watch", str(log), "--replay", "--json", "--signals", signals)
    called("watch", str(log), "--replay", "--signals", signals)
    output = capsys.readouterr()
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, color_system=None, width=80, height=24)
    trial = Trial(log)
    trial.after(3)
    console.print(picture(trial.watch.state, [], [(f"{EVIL}", "")], (80, 24)))
    for text in (output.out, output.err, screen.getvalue()):
        assert not any(sign in text for sign in "\x1b\x07\x7f\x9b\u202e")
    assert output.out


def drawn(log: Path, width: int, height: int, ascii_only: bool = False) -> list[str]:
    trial = Trial(log)
    trial.after(3)
    assert trial.watch.state.run is not None
    phases = Phases().of(trial.watch.state.run)
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, force_terminal=True, color_system=None)
    messages = [(f"message {number}", "") for number in range(50)]
    console.print(
        picture(trial.watch.state, phases, messages, (width, height), ascii_only=ascii_only), end=""
    )
    return out.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60), (60, 20)])
def test_the_view_fills_the_terminal_and_no_more(width: int, height: int) -> None:
    lines = drawn(BROKEN, width, height)
    assert height - 1 <= len(lines) <= height
    assert max(len(line) for line in lines) <= width
    text = "\n".join(lines)
    assert "Train Reward" in text and "drop 60-61" in text and "Open alarms: 1" in text
    assert ("Response Length" in text.splitlines()[2]) == (width >= 70)
    assert "message 49" in text


def test_the_view_in_ascii(tmp_path: Path) -> None:
    text = "\n".join(drawn(BROKEN, 80, 24, ascii_only=True))
    assert text.isascii() and "*" in text


def test_the_screen_leaves_its_messages_behind(tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, height=24, force_terminal=True, color_system=None)
    trial = Trial(BROKEN, sinks=[Screen(str(BROKEN), console)])
    trial.after(3)
    trial.watch.close()
    left = out.getvalue().rpartition("\x1b[?1049l")[2]
    assert "Train Reward is low since step 61." in left and "Watched to step 76; 1 open alarm." in left


def test_a_still_run_is_not_drawn_all_the_time(tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, height=24, force_terminal=True, color_system=None)
    trial = Trial(BROKEN)
    screen = Screen(str(BROKEN), console, trial.time)
    trial.watch._sinks = (screen,)
    trial.after(0)
    before = len(out.getvalue())
    for _ in range(4):
        trial.after(1)
    assert len(out.getvalue()) == before
    trial.after(5)
    assert len(out.getvalue()) > before
    screen.close()


def test_spans_of_time_in_words() -> None:
    spans = [duration(seconds) for seconds in (0.4, 59, 61, 3600, 35_640, 273_600)]
    assert spans == ["0 s", "59 s", "1 min", "1 h 0 min", "9 h 54 min", "3 d 4 h"]


def started(log: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "foreshock", "watch", str(log), "--interval", "0.05", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_watch_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "run.csv"
    with started(log, "--fail-on", "trouble") as watcher:
        assert watcher.stdout is not None and watcher.stderr is not None
        assert "waiting: no such file" in watcher.stderr.readline()
        log.write_text(BROKEN.read_text())
        assert watcher.stdout.readline().startswith("step 61: open")
        watcher.send_signal(number)
        output = watcher.communicate(timeout=30)
    assert watcher.returncode == 1
    assert "Traceback" not in output[1]


def test_a_watch_ends_with_the_training_where_asked(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    for step in range(1, 31):
        write(log, [step], [1.0], **{"global_step/max_steps": f"{step}/30"})
    os.utime(log, (time.time() - 60,) * 2)
    with started(log, "--exit-when-done") as watcher:
        assert watcher.wait(timeout=30) == 0


def test_prometheus_gets_where_the_watch_stands(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "run.jsonl"
    for step in range(1, 31):
        write(log, [step], [1.0], **{"global_step/max_steps": f"{step}/30"})
    trial = Trial(log, sinks=[Metrics(f"127.0.0.1:{port}")])
    trial.after(3)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    trial.watch.close()
    assert 'signal="reward_mean"} 1.0' in text


def test_a_planned_curriculum_raises_no_alarm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(2)
    for kind, alarms in (("note", 1), ("curriculum", 0)):
        recorder = Recorder(tmp_path / kind, environment=False, strict=True)
        for step in range(1, 121):
            if step == 80:
                recorder.event(kind, "Harder problems from here on.", step=step)
            reward = (1.8 if step < 80 else 1.4) + 0.02 * rng.standard_normal()
            recorder.log({"reward": reward}, step=step)
        recorder.close()
        assert called("watch", str(tmp_path / kind), "--replay", "--json") == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert len([line for line in lines if line["state"] == "open" and line["step"] >= 80]) == alarms


def test_guaranteed_alarms_need_the_range_of_the_reward(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(3)
    log = tmp_path / "run.jsonl"
    y = np.append(np.full(80, 0.9), np.full(80, 0.2)) + 0.02 * rng.standard_normal(160)
    log.write_text(
        "".join(json.dumps({"step": step, "reward": value}) + "\n" for step, value in enumerate(y.tolist()))
    )
    assert called("watch", str(log), "--replay", "--guaranteed") == 2
    assert "--reward-range LOW:HIGH" in capsys.readouterr().err
    assert called("watch", str(log), "--replay", "--reward-range", "1:0", "--guaranteed") == 2
    assert "write for example --reward-range 0:2" in capsys.readouterr().err
    assert called("watch", str(log), "--replay", "--json", "--guaranteed", "--reward-range", "0:1") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["state"] for line in lines][:1] == ["open"]
    assert "proven" in lines[0]["evidence"][0]
