"""A folder is opened when it is beyond doubt what in it is meant."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from foreshock.errors import NotARunError, SeveralRunsError
from foreshock.readers import list_runs, open_run


def log(path: Path, shift: float = 0.0, key: str = "reward") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"step": s, key: math.sin(s + shift), "loss": 0.1} for s in range(20)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def state(path: Path, last: int, shift: float = 0.0) -> None:
    path.mkdir(parents=True)
    history = [{"step": s, "reward": s + shift, "loss": 0.1} for s in range(1, last + 1)]
    (path / "trainer_state.json").write_text(json.dumps({"log_history": history, "max_steps": 100}))


def test_the_only_log_among_other_files(tmp_path: Path) -> None:
    log(tmp_path / "logs" / "train" / "metrics.jsonl")
    (tmp_path / "README.md").write_text("# A model\n\nreward: 0.5, loss: 0.1\n" * 5)
    (tmp_path / "config.json").write_text('{"hidden_size": 64, "layers": [1, 2, 3]}')
    (tmp_path / "vocab.json").write_text('{"a": 0, "b": 1}')
    run = open_run(tmp_path)
    assert run.id == "train"
    assert run.source == str(tmp_path / "logs" / "train" / "metrics.jsonl")


def test_a_log_without_a_reward_is_not_in_the_way(tmp_path: Path) -> None:
    log(tmp_path / "train.jsonl")
    log(tmp_path / "sft.jsonl", key="accuracy_of_sft")
    run = open_run(tmp_path)
    assert run.source.endswith("train.jsonl")
    assert "other-runs" in {note.kind for note in run.notes}


def test_one_run_folder_inside_an_output_folder(tmp_path: Path) -> None:
    state(tmp_path / "v0-2025" / "checkpoint-10", 10)
    state(tmp_path / "v0-2025" / "checkpoint-20", 20)
    run = open_run(tmp_path)
    assert (run.id, run.format, len(run.steps)) == ("v0-2025", "trainer_state", 20)
    state(tmp_path / "v1-2025" / "checkpoint-30", 30, shift=0.5)
    with pytest.raises(SeveralRunsError) as caught:
        open_run(tmp_path)
    assert caught.value.runs == ("v0-2025", "v1-2025")
    assert len(open_run(tmp_path, run="v1").steps) == 30


def test_checkpoints_that_disagree_are_told(tmp_path: Path) -> None:
    state(tmp_path / "checkpoint-10", 10, shift=0.25)
    state(tmp_path / "checkpoint-20", 20)
    run = open_run(tmp_path)
    assert run.series["reward_mean"][0] == 1.0
    assert "differing-checkpoints" in {note.kind for note in run.notes}


def test_a_checkpoint_cut_while_saving_leaves_the_others(tmp_path: Path) -> None:
    state(tmp_path / "checkpoint-10", 10)
    state(tmp_path / "checkpoint-20", 20)
    path = tmp_path / "checkpoint-20" / "trainer_state.json"
    path.write_text(path.read_text()[:20])
    run = open_run(tmp_path)
    assert len(run.steps) == 10
    assert "unread-checkpoints" in {note.kind for note in run.notes}


def test_logs_are_listed_in_the_order_of_their_names(tmp_path: Path) -> None:
    for number, name in enumerate(("b/run.jsonl", "a/run.jsonl", "c.jsonl")):
        log(tmp_path / name, shift=number)
    assert [info.id for info in list_runs(tmp_path)] == ["c.jsonl", "a/run.jsonl", "b/run.jsonl"]
    assert [info.format for info in list_runs(tmp_path)] == ["jsonl"] * 3


def test_an_empty_folder_holds_no_run(tmp_path: Path) -> None:
    with pytest.raises(NotARunError, match="holds no log"):
        open_run(tmp_path)
