"""What a training script relies on: all that was logged is read back, and nothing of ours reaches it."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import foreshock
from foreshock.errors import NotARunError, SeveralRunsError
from foreshock.readers import list_runs
from foreshock.record import Change, Evidence, Recorder

SRC = str(Path(foreshock.__file__).resolve().parents[1])


def record(folder: Path, steps: range) -> None:
    with Recorder(folder, strict=True, environment=False) as run:
        for step in steps:
            run.log({"reward": step / 7, "kl": step / 100}, step=step)


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": SRC},
        timeout=60,
    )


def test_what_was_logged_is_read_back_exactly(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    values: dict[str, Any] = {
        "reward": 0.1 + 0.2,
        "tiny": 5e-324,
        "huge": -1.7976931348623157e308,
        "whole": 3,
        "flag": True,
        "numpy": np.float32(0.1),
        "array": np.array(2.5),
        "torch": torch.tensor(1.5),
        "bf16": torch.tensor(0.5, dtype=torch.bfloat16),
        "nan": math.nan,
        "up": math.inf,
        "down": -math.inf,
        "torch_nan": torch.tensor(math.nan),
        "group": {"inner": 7.0},
    }
    with Recorder(tmp_path / "run", strict=True) as run:
        run.log(values, step=10)
        run.log({"reward": 1.0, "absent": None}, step=11)
    read = foreshock.open_run(tmp_path / "run")
    assert read.format == "foreshock"
    assert read.steps.tolist() == [10, 11]
    for name, value in values.items():
        if name == "group":
            name, value = "group/inner", 7.0
        found = read.series.original[name][0]
        assert found == float(value) or (math.isnan(found) and math.isnan(float(value))), name
    assert {name: at.tolist() for name, at in read.nan_steps.items()} == {"nan": [10], "torch_nan": [10]}
    assert "absent" not in read.series.original


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda name: name.strip() and "step" not in name.lower() and "epoch" not in name.lower()
)


@given(rows=st.lists(st.dictionaries(names, st.floats(), min_size=1, max_size=5), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_and_number_comes_back(
    rows: list[dict[str, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("run")
    with Recorder(folder, strict=True, environment=False) as run:
        for step, row in enumerate(rows):
            run.log({"reward": 1.0, **{f"m/{name}": value for name, value in row.items()}}, step=step)
    read = foreshock.open_run(folder)
    for step, row in enumerate(rows):
        for name, value in row.items():
            found = read.series.original[f"m/{name}"][step]
            assert found == value or (math.isnan(value) and math.isnan(found))


def test_a_reader_sees_a_step_at_once(tmp_path: Path) -> None:
    run = Recorder(tmp_path, environment=False)
    for step in range(5):
        run.log({"reward": 1.0 * step}, step=step)
        assert foreshock.open_run(tmp_path).steps.tolist() == list(range(step + 1))
    assert foreshock.open_run(tmp_path).facts["ended"] is False
    run.close()
    assert foreshock.open_run(tmp_path).facts["ended"] is True


KILLED = """
import os, sys, time, foreshock
run = foreshock.Recorder(sys.argv[1], environment=False)
pace = float(sys.argv[2])
for step in range(10**9):
    run.log({"reward": step / 3, "kl": 0.1, "length": 500.0 + step}, step=step)
    os.write(1, b"%d\\n" % step)
    if pace:
        time.sleep(pace)
"""


@pytest.mark.parametrize("pace", [0.0, 0.002])
@pytest.mark.parametrize("part", range(5))
def test_kill_9_loses_no_step_whose_log_returned(tmp_path: Path, pace: float, part: int) -> None:
    """10 kills each, 100 in all, at moments spread over 2 to 60 ms after the first step."""
    for kill in range(10):
        folder = tmp_path / str(kill)
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(folder), str(pace)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": SRC},
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            threading.Timer(0.002 + 0.058 * ((7 * kill + 3 * part) % 10) / 10, child.kill).start()
            acknowledged = [int(line) for line in child.stdout.read().split(b"\n")[:-1] if line]
        assert child.returncode == -signal.SIGKILL
        steps = foreshock.open_run(folder).steps
        assert steps.tolist() == list(range(len(steps)))
        assert not acknowledged or len(steps) > max(acknowledged)


FULL = """
import json, os, resource, signal, sys, foreshock
def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder, full_from = sys.argv[1], int(sys.argv[2])
if full_from == 0:
    limit(3)
run = foreshock.Recorder(folder, environment=False)
for step in range(full_from):
    run.log({"reward": step / 3}, step=step)
if full_from:
    limit(os.path.getsize(folder + "/journal-0.jsonl") + 30)
for step in range(full_from, full_from + 10):
    run.log({"reward": step / 3}, step=step)
middle = run.lost
limit(resource.RLIM_INFINITY)
for step in range(full_from + 10, full_from + 20):
    run.log({"reward": step / 3}, step=step)
run.close()
print(json.dumps([middle, run.lost]))
"""


@pytest.mark.parametrize("full_from", [0, 50])
def test_a_full_disk_costs_the_rows_of_that_time_and_says_how_many(tmp_path: Path, full_from: int) -> None:
    """A limit on the size of files stands for the full disk: writes are cut in the middle, then refused."""
    done = python(FULL, str(tmp_path / "run"), str(full_from))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [10, 10]
    assert done.stderr.count("could not be recorded") == 1
    read = foreshock.open_run(tmp_path / "run")
    assert read.steps.tolist() == [*range(full_from), *range(full_from + 10, full_from + 20)]
    (lost,) = [note for note in read.notes if note.kind == "lost-rows"]
    assert lost.count == 10


def test_a_folder_that_cannot_be_made_never_stops_the_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    with Recorder(tmp_path / "file" / "run", environment=False) as run:
        for step in range(5):
            run.log({"reward": 1.0}, step=step)
        run.event("checkpoint_saved")
    assert run.lost == 5
    assert len([r for r in caplog.records if "could not be recorded" in r.message]) == 1
    assert "5 of 5 rows" in caplog.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into read-only folders")
def test_a_read_only_folder_never_stops_the_training(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with Recorder(tmp_path / "run", environment=False) as run:
        run.log({"reward": 1.0})
    assert run.lost == 1


def test_a_removed_folder_is_made_anew_and_the_loss_is_known(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foreshock.record.recorder._LOOK_EVERY", 0.0)
    folder = tmp_path / "run"
    run = Recorder(folder, environment=False)
    for step in range(10):
        run.log({"reward": 1.0}, step=step)
    (folder / "journal-0.jsonl").unlink()
    folder.rmdir()
    for step in range(10, 15):
        run.log({"reward": 1.0}, step=step)
    run.close()
    assert run.lost == 10
    assert len([r for r in caplog.records if "was removed" in r.message]) == 1
    read = foreshock.open_run(folder)
    assert read.steps.tolist() == list(range(10, 15))
    assert [note.count for note in read.notes if note.kind == "lost-rows"] == [10]


def test_a_folder_removed_just_before_the_end_is_known_too(tmp_path: Path) -> None:
    run = Recorder(tmp_path / "run", environment=False)
    run.log({"reward": 1.0}, step=0)
    shutil.rmtree(tmp_path / "run")
    run.log({"reward": 1.0}, step=1)
    run.close()
    assert run.lost == 2


def test_nothing_raises_into_the_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = Recorder(tmp_path, environment=False)
    run.log({"reward": 1.0, "picture": object(), "many": np.zeros(3)}, step=0)
    run.log({"reward": 2.0}, step="later")  # type: ignore[arg-type]
    run.log(None)  # type: ignore[arg-type]
    run.event("odd", odd=object())
    with run.quietly("a hook"):
        raise RuntimeError("boom")
    run.close()
    run.log({"reward": 3.0}, step=9)
    assert "'picture' is no number" in caplog.text and "'many' is no number" in caplog.text
    assert "boom" in caplog.text
    assert foreshock.open_run(tmp_path).steps.tolist() == [0]


def test_strict_raises(tmp_path: Path) -> None:
    run = Recorder(tmp_path, environment=False, strict=True)
    with pytest.raises(TypeError, match="picture"):
        run.log({"reward": 1.0, "picture": object()})
    with pytest.raises(RuntimeError), run.quietly("a hook"):
        raise RuntimeError
    run.close()
    with pytest.raises(ValueError, match="closed"):
        run.log({"reward": 1.0})


def test_warnings_go_to_the_logger_and_never_become_errors(tmp_path: Path) -> None:
    code = """
import sys, foreshock
run = foreshock.Recorder(sys.argv[1], environment=False)
run.log({"reward": object()})
print(run.lost)
"""
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path / "file" / "run")],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": SRC},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_steps_count_on_by_themselves_also_after_a_resume(tmp_path: Path) -> None:
    with Recorder(tmp_path, environment=False) as run:
        run.log({"reward": 1.0})
        run.log({"reward": 1.0})
    with Recorder(tmp_path, environment=False) as run:
        run.log({"reward": 1.0})
    assert foreshock.open_run(tmp_path).steps.tolist() == [0, 1, 2]


def test_a_resume_replaces_what_it_repeats_and_says_so(tmp_path: Path) -> None:
    record(tmp_path, range(60))
    with Recorder(tmp_path, environment=False, strict=True) as run:
        assert run.attempt == 2
        for step in range(50, 80):
            run.log({"reward": -1.0, "kl": 0.0}, step=step)
    read = foreshock.open_run(tmp_path)
    assert read.steps.tolist() == list(range(80))
    assert read.series["reward_mean"][49:51].tolist() == [7.0, -1.0]
    assert [(event.step, event.kind, event.payload["replaced"]) for event in read.events] == [
        (50, "resumed", 10)
    ]
    assert [(note.kind, note.count) for note in read.notes] == [("resume", 10)]


def test_what_changed_between_attempts_is_dated_at_the_step_of_the_resume(tmp_path: Path) -> None:
    for lr, steps in ((1e-3, range(70)), (1e-4, range(60, 80))):
        with Recorder(tmp_path, environment=False, strict=True, config={"lr": lr}) as run:
            for step in steps:
                run.log({"reward": 1.0}, step=step)
    events = {event.kind: event.step for event in foreshock.open_run(tmp_path).events}
    assert events == {"config_changed": 60, "resumed": 60}


def test_evidence_and_metrics_of_a_step_are_one_row(tmp_path: Path) -> None:
    with Recorder(tmp_path, environment=False) as run:
        for step in range(5):
            run.evidence(Evidence("batch", {}, {"foreshock/batch/prompts": 8.0}), step)
            run.log({"reward": 1.0}, step=step)
    assert [one.rows for one in list_runs(tmp_path)] == [5]


def test_a_recording_without_metrics_says_so(tmp_path: Path) -> None:
    with Recorder(tmp_path, environment=False, config={"lr": 1e-3}) as run:
        run.event("note", "waiting for a machine")
    for path in (tmp_path, tmp_path / "journal-0.jsonl"):
        with pytest.raises(NotARunError, match="no metrics were logged yet"):
            foreshock.open_run(path)


def test_a_run_in_a_folder_of_our_name_is_named_after_the_one_above(tmp_path: Path) -> None:
    record(tmp_path / "qwen-7b" / "foreshock", range(3))
    assert foreshock.open_run(tmp_path / "qwen-7b" / "foreshock").id == "qwen-7b"


def test_a_run_that_was_started_over_is_told_apart(tmp_path: Path) -> None:
    record(tmp_path / "run", range(30))
    record(tmp_path / "run", range(5))
    read = foreshock.open_run(tmp_path / "run")
    assert read.steps.tolist() == list(range(5))
    assert [note.kind for note in read.notes] == ["restarts"]
    assert [(one.id, one.rows) for one in list_runs(tmp_path / "run")] == [("run#2", 5), ("run#1", 30)]
    assert len(foreshock.open_run(tmp_path / "run", run="run#1").steps) == 30


def test_processes_have_a_file_each_and_are_merged(tmp_path: Path) -> None:
    runs = [Recorder(tmp_path, process=rank, environment=False) for rank in range(3)]
    for step in range(4):
        for rank, run in enumerate(runs):
            run.log({"reward": float(rank), f"gpu{rank}/memory": 10.0 * rank + step}, step=step)
    for run in runs:
        run.close()
    read = foreshock.open_run(tmp_path)
    assert read.series["reward_mean"].tolist() == [0.0] * 4
    assert read.series["gpu2/memory"].tolist() == [20.0, 21.0, 22.0, 23.0]
    assert read.facts["processes"] == 3
    assert [(note.kind, note.count) for note in read.notes] == [("other-processes", 8)]


def test_two_living_processes_never_share_a_file(tmp_path: Path) -> None:
    first = Recorder(tmp_path, environment=False)
    first.log({"reward": 1.0}, step=0)
    done = python(
        "import sys, foreshock\n"
        "with foreshock.Recorder(sys.argv[1], environment=False) as run: run.log({'other': 2.0}, step=0)",
        str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    first.log({"reward": 1.0}, step=1)
    first.close()
    assert len(list(tmp_path.glob("journal-0*.jsonl"))) == 2
    read = foreshock.open_run(tmp_path)
    assert (read.steps.tolist(), read.events) == ([0, 1], ())  # one run of two processes, no restart
    assert read.series["other"].tolist()[0] == 2.0
    for path in tmp_path.glob("*.jsonl"):
        assert all(json.loads(line) for line in path.read_text().splitlines())


def test_the_rank_of_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    with Recorder(tmp_path, environment=False) as run:
        run.log({"reward": 1.0})
    assert [path.name for path in tmp_path.iterdir()] == ["journal-3.jsonl"]


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    run = Recorder(tmp_path, environment=False)

    def work(name: str) -> None:
        for step in range(200):
            run.log({f"{name}/value": step * 1.0, "reward": 1.0}, step=step)

    threads = [threading.Thread(target=work, args=(f"t{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.close()
    lines = (tmp_path / "journal-0.jsonl").read_text().splitlines()
    assert len([json.loads(line) for line in lines]) == 2 + 4 * 200


def test_evidence_becomes_metrics_records_and_events_and_is_known_after_a_resume(tmp_path: Path) -> None:
    change = Change("source_mix_changed", "Half of the prompts are new.", {"share": 0.5})
    with Recorder(tmp_path, environment=False, strict=True) as run:
        run.log({"reward": 1.0}, step=3)
        run.evidence(Evidence("batch", {"sources": {"math": 4}, "kept": 1}, {"foreshock/batch/prompts": 4.0}))
        run.evidence(Evidence("batch", {"sources": {"code": 4}}, changes=(change,)), step=4)
    read = foreshock.open_run(tmp_path)
    assert read.series["foreshock/batch/prompts"].tolist() == [4.0]
    assert [(one.step, one.kind, dict(one.payload)) for one in read.evidence] == [
        (3, "batch", {"sources": {"math": 4}, "kept": 1}),
        (4, "batch", {"sources": {"code": 4}}),
    ]
    (event,) = read.events
    assert (event.step, event.kind, event.payload["share"]) == (4, "source_mix_changed", 0.5)
    with Recorder(tmp_path, environment=False) as again:
        assert again.last("batch") == {"sources": {"code": 4}, "kept": 1}
        assert again.last("reward") is None


def test_facts_are_kept_and_late_ones_added(tmp_path: Path) -> None:
    with Recorder(tmp_path, environment=False, total_steps=500, units={"reward": "points"}) as run:
        run.log({"reward": 1.0})
        run.describe(group_size=8)
    facts = foreshock.open_run(tmp_path).facts
    assert (facts["total_steps"], facts["group_size"], facts["units"]) == (500, 8, {"reward": "points"})


def test_an_error_that_ends_the_training_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Recorder(tmp_path, environment=False) as run:
        run.log({"reward": 1.0})
        raise ZeroDivisionError("division by zero")
    assert foreshock.open_run(tmp_path).facts["error"] == "ZeroDivisionError: division by zero"


def test_an_error_that_nobody_catches_is_kept_too(tmp_path: Path) -> None:
    done = python(
        "import sys, foreshock\n"
        "run = foreshock.Recorder(sys.argv[1], environment=False)\n"
        "run.log({'reward': 1.0})\n"
        "raise MemoryError('no room for key=sk-ant-REDACTED')",
        str(tmp_path),
    )
    assert done.returncode == 1
    error = foreshock.open_run(tmp_path).facts["error"]
    assert error.startswith("MemoryError: no room") and "abcdefgh" not in error


def test_a_torn_last_line_is_left_out_and_a_resume_starts_a_new_one(tmp_path: Path) -> None:
    record(tmp_path, range(10))
    path = tmp_path / "journal-0.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1])[:-20])  # in the middle of the last row
    assert [note.kind for note in foreshock.open_run(tmp_path).notes] == ["torn-line"]
    record(tmp_path, range(9, 12))
    read = foreshock.open_run(tmp_path)
    assert read.steps.tolist() == list(range(12))
    assert "bad-lines" in [note.kind for note in read.notes]


def test_files_get_the_umask_of_the_user(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        record(tmp_path / "run", range(2))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "run" / "journal-0.jsonl").stat().st_mode) == 0o640


def test_the_recorder_imports_neither_numpy_nor_torch() -> None:
    done = python(
        "import sys, foreshock\nforeshock.Recorder\n"
        "print([name for name in ('numpy', 'torch', 'matplotlib', 'rich', 'typer') if name in sys.modules])"
    )
    assert done.stdout == "[]\n", done.stderr


def test_a_folder_of_run_folders_lists_each_once(tmp_path: Path) -> None:
    record(tmp_path / "a", range(3))
    record(tmp_path / "b", range(5, 9))
    record(tmp_path / "b", range(2))
    assert [(one.id, one.rows) for one in list_runs(tmp_path)] == [("a", 3), ("b#2", 2), ("b#1", 4)]
    with pytest.raises(SeveralRunsError, match="1: a .3 rows., 2: b#2"):
        foreshock.open_run(tmp_path)


def test_fsync_writes_the_same(tmp_path: Path) -> None:
    with Recorder(tmp_path, environment=False, fsync=True, strict=True) as run:
        run.log({"reward": 1.0})
    assert foreshock.open_run(tmp_path).steps.tolist() == [0]


def test_a_forked_worker_that_ends_does_not_end_the_run(tmp_path: Path) -> None:
    code = """
import os, sys, foreshock
run = foreshock.Recorder(sys.argv[1], environment=False)
run.log({"reward": 1.0}, step=0)
if os.fork() == 0:
    sys.exit(0)
os.wait()
run.log({"reward": 1.0}, step=1)
"""
    done = python(code, str(tmp_path))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "journal-0.jsonl").read_text().splitlines()]
    assert [next(iter(line)) for line in lines] == ["start", "step", "step", "end"]


def test_evidence_fills_signals_that_the_trainer_does_not_log_and_is_never_taken_for_others(
    tmp_path: Path,
) -> None:
    curves = {
        "foreshock/reward/accuracy/mean": 0.5,
        "foreshock/reward/accuracy/unscored": 0.1,
        "foreshock/reward/format/mean": 0.9,
        "foreshock/batch/prompt_length_mean": 80.0,
    }
    with Recorder(tmp_path / "a", environment=False, strict=True) as run:
        for step in range(4):
            run.log({"reward": 1.4, "rewards/accuracy/mean": 0.6}, step=step)
            run.evidence(Evidence("all", {}, curves), step=step)
    read = foreshock.open_run(tmp_path / "a")
    assert read.columns["reward_mean"].key == "reward"
    assert read.columns["reward_component_mean/accuracy"].key == "rewards/accuracy/mean"
    assert read.columns["reward_component_mean/format"].key == "foreshock/reward/format/mean"
    assert read.columns["prompt_length_mean"].unit == "tokens or words"
    assert read.unrecognised == ()
    with Recorder(tmp_path / "b", environment=False, strict=True) as run:
        run.evidence(Evidence("reward", {}, {"foreshock/reward/only/mean": 0.5}), step=1)
    assert foreshock.open_run(tmp_path / "b").series["reward_mean"].tolist() == [0.5]


def test_a_script_may_change_its_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    run = Recorder("run", environment=False)
    run.log({"reward": 1.0}, step=0)
    shutil.rmtree("run")
    monkeypatch.chdir("elsewhere")
    run.log({"reward": 1.0}, step=1)
    run.close()
    assert (tmp_path / "run" / "journal-0.jsonl").exists() and not any((tmp_path / "elsewhere").iterdir())
