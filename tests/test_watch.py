"""The live loop: what is told, to whom, once; whatever happens to the log, the clock and the watcher."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from _watching import Trial, alarm, write
from foreshock.detect._records import Alarm
from foreshock.watch._context import RunContext
from foreshock.watch.ledger import Ledger, default_file

LOW = [1.0] * 5 + [0.1] * 12 + [1.0] * 3
TOLD = [("drop", "open", 6), ("drop", "update", 16), ("drop", "closed", 18)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_a_replayed_log_and_a_growing_one_give_the_same_messages(log: Path) -> None:
    live = Trial(log)
    for step, reward in enumerate(LOW, 1):
        write(log, [step], [reward])
        live.after(1)
    live.after(3)
    replayed = Trial(log, final=True)
    replayed.watch.read()
    assert live.told.alarms == replayed.told.alarms
    assert replayed.told.short == TOLD


def test_a_second_watcher_repeats_nothing_and_forgets_nothing(log: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "state" / "ledger.jsonl"
    for until in range(1, len(LOW) + 1):
        write(log, [until], LOW[until - 1 : until])
        trial = Trial(log, ledger)  # a new process after every step
        trial.after(3)
        trial.watch.close()
    lines = [json.loads(line) for line in ledger.read_text().splitlines() if line]
    told = [
        (line["told"]["kind"], line["told"]["state"], line["told"]["step"])
        for line in lines
        if "told" in line
    ]
    assert told == TOLD


def test_a_resume_closes_what_was_seen_after_it_and_may_find_it_again(log: Path, tmp_path: Path) -> None:
    trial = Trial(log, tmp_path / "ledger")
    write(log, range(1, 11), [1.0] * 5 + [0.1] * 5)
    assert trial.after(3) == [("drop", "open", 6)]
    write(log, [4, 5], [1.1, 1.1])
    assert trial.after(3) == [("drop", "closed", 4)]
    assert any("step 4" in sentence for sentence in trial.told.said)
    write(log, [6, 7], [0.2, 0.2])
    assert trial.after(3) == [("drop", "open", 6)], "the same fault came again and nobody was told"
    again = Trial(log, tmp_path / "ledger")
    assert again.after(3) == []


def test_a_resume_before_an_alarm_leaves_it_open_and_silent(log: Path) -> None:
    trial = Trial(log)
    write(log, range(1, 11), [1.0] * 5 + [0.1] * 5)
    trial.after(3)
    write(log, [9, 10, 11], [0.1, 0.1, 0.1])
    assert trial.after(3) == []
    assert [one.onset for one in trial.watch.state.open] == [6]


def test_after_a_resume_the_monitor_has_seen_only_what_holds(log: Path) -> None:
    trial = Trial(log)
    for start in range(1, 401, 10):
        write(log, range(start, start + 10), np.linspace(1, 2, 10).tolist())
        trial.after(3)
    write(log, range(150, 160), [3.0] * 10)
    trial.after(3)
    monitor = trial.watch._monitor.monitor
    assert monitor.seen == list(range(1, 160))  # type: ignore[attr-defined]
    assert len(trial.monitors) == 2, "the monitor was fed from the first row again, in spite of its copies"


def test_a_run_that_restarts_under_the_same_path_is_a_new_run(log: Path) -> None:
    trial = Trial(log)
    write(log, range(1, 11), [1.0] * 5 + [0.1] * 5)
    trial.after(3)
    write(log, range(1, 4), [0.9, 0.8, 0.7], mode="w")
    assert trial.after(3) == [("drop", "closed", 10)]
    assert any("took the place" in sentence for sentence in trial.told.said)
    write(log, range(4, 9), [0.9, 0.9, 0.1, 0.1, 0.1])
    assert trial.after(3) == [("drop", "open", 6)], "the alarm of the new run passed for that of the old one"


def test_a_rotated_log_goes_on(log: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    trial = Trial(log, ledger)
    write(log, range(1, 11), [1.0] * 5 + [0.1] * 5)
    trial.after(3)
    log.rename(log.with_suffix(".1"))
    trial.after(3)
    write(log, range(11, 13), [0.1, 0.1])
    assert trial.after(3) == []
    write(log, [13, 14], [1.0, 1.0])
    assert trial.after(3) == [("drop", "closed", 13)]
    trial.watch.close()
    assert Ledger(ledger).open == ()


def test_what_was_open_when_the_watcher_died_is_closed_by_the_next(log: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    write(log, range(1, 11), [1.0] * 5 + [0.1] * 5)
    Trial(log, ledger).after(3)
    write(log, range(3, 15), [1.0] * 12)  # resumed while nobody watched
    assert Trial(log, ledger).after(3) == [("drop", "closed", 14)]
    assert Trial(log, ledger).after(3) == []


def test_a_log_that_is_still_being_copied_closes_nothing(log: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    write(log, range(1, 11), [1.0] * 5 + [0.1] * 5)
    Trial(log, ledger).after(3)
    whole = log.read_text()
    log.write_text(whole[: len(whole) // 3])
    trial = Trial(log, ledger)
    assert trial.after(3) == []
    log.write_text(whole)
    assert trial.after(3) == []


def test_a_stall_is_told_once_and_ends_with_the_next_step(log: Path) -> None:
    trial = Trial(log)
    for step in range(1, 8):
        write(log, [step], [1.0])
        trial.after(10)
    assert trial.after(35) == [("stall", "open", 7)]
    assert trial.after(25) == []
    write(log, [8], [1.0])
    assert trial.after(3) == [("stall", "closed", 8)]


@pytest.mark.parametrize("jump", [-36_000.0, 36_000.0])
def test_a_clock_that_jumps_by_hours_stalls_nothing(log: Path, jump: float) -> None:
    trial = Trial(log)
    for step in range(1, 8):
        write(log, [step], [1.0])
        trial.after(30)
    trial.wall.now += jump
    trial.time.now += jump
    assert trial.after(1) == []
    assert trial.after(10) == []


def test_a_training_that_has_ended_does_not_stall(log: Path) -> None:
    trial = Trial(log)
    for step in range(1, 8):
        write(log, [step], [1.0], **{"global_step/max_steps": f"{step}/7"})
        trial.after(10)
    assert trial.watch.state.done
    assert trial.after(500) == []


def test_a_watcher_that_starts_again_knows_how_fast_the_run_was(log: Path, tmp_path: Path) -> None:
    first = Trial(log, tmp_path / "ledger")
    for step in range(1, 8):
        write(log, [step], [1.0])
        first.after(10)
    first.watch.close()
    second = Trial(log, tmp_path / "ledger")
    second.wall.now = log.stat().st_mtime + 100
    second.follower._wall = second.wall
    assert second.after(1) == [("stall", "open", 7)]


def test_pace_and_time_left(log: Path) -> None:
    trial = Trial(log)
    for step in range(1, 11):
        write(log, [step], [1.0], **{"global_step/max_steps": f"{step}/100"})
        trial.after(10)
    state = trial.watch.state
    assert state.steps_per_hour == pytest.approx(360)
    assert state.seconds_left == pytest.approx(900)
    assert state.step == 10 and state.values["reward_mean"] == 1.0


def test_a_missing_reward_is_said_and_not_fatal(log: Path) -> None:
    trial = Trial(log)
    log.write_text("".join(json.dumps({"step": i, "my_score": 1.0 + i}) + "\n" for i in range(1, 6)))
    trial.after(3)
    assert any("--map reward=KEY" in sentence for sentence in trial.told.said)


def test_a_signal_that_was_asked_for_and_is_not_there_is_said(log: Path) -> None:
    trial = Trial(log, signals=["entropy"])
    write(log, range(1, 11), [1.0] * 10)
    trial.after(3)
    assert "The run has no signal entropy." in trial.told.said


def test_what_was_told_but_not_sent_is_sent_by_the_next_watcher(log: Path, tmp_path: Path) -> None:
    class Channel:
        def __init__(self) -> None:
            self.told: list[Alarm] = []

        def tell(self, alarm: Alarm, run: RunContext) -> None:
            self.told.append(alarm)

    ledger = tmp_path / "ledger"
    write(log, range(1, 11), [1.0] * 5 + [0.1] * 5)
    dead, alive, after = Channel(), Channel(), Channel()
    Trial(log, ledger, notifier=dead).after(3)  # killed before anything was sent
    trial = Trial(log, ledger, notifier=alive)
    assert trial.after(3) == []
    assert alive.told == dead.told and len(alive.told) == 1
    trial.watch._ledger.sent(alive.told)
    Trial(log, ledger, notifier=after).after(3)
    assert after.told == []


def test_a_message_knows_the_run_up_to_its_step(log: Path) -> None:
    trial = Trial(log)
    write(log, range(1, 11), [1.0] * 5 + [0.1] * 5, completion_length=30.0)
    trial.after(3)
    (run,) = trial.told.runs
    assert run.steps.tolist() == [1, 2, 3, 4, 5, 6]
    assert run.reward[-1] == 0.1 and run.length.shape == (6,)


def test_a_ledger_that_was_cut_or_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    file = tmp_path / "ledger"
    ledger = Ledger(file)
    ledger.turn_to("run", 1)
    for step in (3, 4):
        ledger.noting(alarm(step))()
    ledger.close()
    file.write_bytes(file.read_bytes()[:-40] + b"\n[1]\n{}\n\xff\n")
    again = Ledger(file)
    again.turn_to("run", 1)
    assert not again.is_new(alarm(3)) and again.is_new(alarm(4))
    again.noting(alarm(5))()
    last = Ledger(file)
    last.turn_to("run", 1)
    assert not last.is_new(alarm(5))
    warnings: list[str] = []
    (tmp_path / "file").touch()
    nowhere = Ledger(tmp_path / "file" / "ledger", warnings.append)
    nowhere.turn_to("run", 1)
    nowhere.noting(alarm(3))()
    nowhere.noting(alarm(4))()
    assert len(warnings) == 1 and not nowhere.is_new(alarm(4))


def test_the_ledger_lies_in_the_state_folder_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    one, two = default_file(tmp_path / "a"), default_file(tmp_path / "b")
    assert one.parent == tmp_path / "foreshock" / "watch" and one != two
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert default_file(tmp_path / "link") == one


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from _watching import LowReward
from foreshock.watch import session
session._monitor = lambda options, facts: LowReward(facts)
from foreshock.cli import main
main(["watch", {log!r}, "--json", "--state", {state!r}, "--interval", "0.01", "--exit-when-done"])
"""


def test_killed_at_any_moment_no_message_is_lost_or_repeated(log: Path, tmp_path: Path) -> None:
    code = KILLED.format(tests=str(Path(__file__).parent), log=str(log), state=str(tmp_path / "ledger"))
    rewards = ([1.0] * 3 + [0.1] * 3) * 200
    for step, reward in enumerate(rewards, 1):
        write(log, [step], [reward], **{"global_step/max_steps": f"{step}/{len(rewards)}"})
    whole = Trial(log, final=True)
    whole.watch.read()
    random = np.random.default_rng()
    told: list[tuple[str, str, int]] = []
    for kill in [*[True] * 6, False]:
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as watcher:
            assert watcher.stdout is not None
            first = watcher.stdout.readline()
            if kill:
                time.sleep(float(random.uniform(0, 0.02)))
                watcher.kill()
            lines = [json.loads(line) for line in [first, *watcher.stdout.read().splitlines()] if line]
        messages = [(line["kind"], line["state"], line["step"]) for line in lines]
        # Between telling a message and noting it lie microseconds; killed there, it is told once more.
        told += messages[1:] if told and messages and messages[0] == told[-1] else messages
    assert told == whole.told.short
