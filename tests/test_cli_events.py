"""`foreshock events`: what happened to a run and when, for recorded runs and for any other log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from foreshock import Recorder
from foreshock.cli import command_line


def events(*args: str | Path) -> Result:
    return CliRunner().invoke(command_line(), ["events", *map(str, args)])


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    with Recorder(folder, environment=False) as recorder:
        for step in range(80):
            recorder.log({"reward": step / 80}, step=step)
            if step in (20, 60):
                recorder.event("checkpoint_saved", f"Checkpoint saved to checkpoint-{step}.")
            if step == 60:
                recorder.event("reward_code_changed", "Reward code of accuracy changed", function="accuracy")
    return folder


def test_events_are_listed_by_step_one_to_a_line(recorded: Path) -> None:
    assert events(recorded).stdout.splitlines() == [
        "20  checkpoint_saved     Checkpoint saved to checkpoint-20.",
        "60  checkpoint_saved     Checkpoint saved to checkpoint-60.",
        "60  reward_code_changed  Reward code of accuracy changed.",
    ]


def test_kind_and_since_choose(recorded: Path) -> None:
    assert len(events(recorded, "--since", "60").stdout.splitlines()) == 2
    assert events(recorded, "--since", "61").stdout == ""
    (line,) = events(recorded, "--kind", "reward-code-changed").stdout.splitlines()
    assert "accuracy" in line
    both = events(recorded, "--kind", "reward_code_changed", "--kind", "checkpoint_saved")
    assert len(both.stdout.splitlines()) == 3


def test_json_has_the_particulars(recorded: Path) -> None:
    (event,) = json.loads(events(recorded, "--kind", "reward_code_changed", "--json").stdout)
    assert event["step"] == 60 and event["kind"] == "reward_code_changed"
    assert event["payload"]["function"] == "accuracy"
    assert json.loads(events(recorded, "--kind", "nothing", "--json").stdout) == []


def test_no_event_of_a_kind_is_no_error_and_names_the_kinds_there_are(recorded: Path) -> None:
    result = events(recorded, "--kind", "nothing")
    assert result.exit_code == 0 and result.stdout == ""
    assert "checkpoint_saved, reward_code_changed" in result.stderr


def test_what_several_processes_recorded_alike_is_told_once(tmp_path: Path) -> None:
    for process in range(4):
        with Recorder(tmp_path / "run", process=process, environment=False) as recorder:
            recorder.log({"reward": 0.5, f"own/{process}": 1.0}, step=3)
            recorder.event("tokenizer_changed", "The tokenizer changed.")
    assert events(tmp_path / "run").stdout == "3  tokenizer_changed  The tokenizer changed. (4 processes)\n"
    assert len(json.loads(events(tmp_path / "run", "--json").stdout)) == 4


def test_other_logs_have_the_events_that_their_reader_found(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    rows = [*range(40), *range(30, 60)]
    path.write_text("".join(json.dumps({"step": step, "loss": step / 7}) + "\n" for step in rows))
    (line,) = events(path).stdout.splitlines()
    assert line.startswith("30  resumed  The run was resumed from step 30")


def test_control_characters_of_an_event_are_not_printed(tmp_path: Path) -> None:
    with Recorder(tmp_path / "run", environment=False) as recorder:
        recorder.log({"reward": 0.5}, step=0)
        recorder.event("note\x1b[31m", "one\x1b]0;owned\x07\ntwo\u202e")
    text = events(tmp_path / "run").stdout
    assert len(text.splitlines()) == 1
    assert not any(ord(c) < 32 and c != "\n" for c in text) and "\u202e" not in text
