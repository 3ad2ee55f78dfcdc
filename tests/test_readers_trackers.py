"""Files written by the trackers' own SDKs are read back exactly, without those SDKs."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from foreshock.errors import NotARunError
from foreshock.readers import mlflow_files, mlflow_sqlite, tensorboard, trackio, wandb_offline
from foreshock.readers._log import Log
from foreshock.readers._registry import Reader

Rows = list[tuple[int, dict[str, float]]]
Write = Callable[..., Path]

ROWS: Rows = [
    (
        step,
        {
            "train/reward": 0.1 * step - 0.05,
            "train/completions/mean_length": 200.0 + step,
            "kl": 1e-5 / (step + 1),
        },
    )
    for step in range(30)
] + [
    (30, {"train/reward": math.nan, "train/completions/mean_length": 1.0, "kl": math.inf}),
    (31, {"train/reward": -math.inf, "kl": 5e-324}),
    (40, {"train/reward": 0.30000000000000004, "kl": 1.7e308, "eval/reward": -(2.0**53) + 1}),
]
"""NaN, infinities, a denormal, a gap in the steps and metrics that come and go."""
FLOAT32_ROWS: Rows = [
    (step, {key: value for key, value in row.items() if abs(value) != 1.7e308}) for step, row in ROWS
]
"""Without the number that float32 cannot hold."""


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Write rows with a tracker's SDK, each combination once per session; gives the folder."""
    made: dict[str, Path] = {}

    def written(tracker: str, rows: Rows = ROWS, name: str | None = None) -> Path:
        package = {"tensorboard_tensors": "tensorboard", "mlflow_files": "mlflow"}.get(tracker, tracker)
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the {package} SDK is not installed")
        name = name or tracker
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true", "HOME": str(folder)}
            done = subprocess.run(
                [sys.executable, str(Path(__file__).with_name("write_trackers.py")), tracker, str(folder)],
                input=json.dumps(rows),
                text=True,
                capture_output=True,
                env=environment,
                cwd=folder,
                timeout=240,
            )
            assert done.returncode == 0, done.stderr[-2000:]
            made[name] = folder
        return made[name]

    return written


def rows_of(log: Log) -> list[tuple[float | None, dict[str, float]]]:
    """The rows of a log as (step, values), a logged NaN told from a missing value."""
    columns = {key: log.column(key) for key in log.keys}
    rows = []
    for i in range(log.rows):
        row = {
            key: float(values[i])
            for key, values in columns.items()
            if not math.isnan(values[i]) or i in log.nan_rows.get(key, ())
        }
        rows.append((log.steps[i] if log.steps else None, row))
    return rows


def same(found: dict[str, float], expected: dict[str, float]) -> bool:
    """Equal to the last bit, NaN equal to NaN."""
    return found.keys() == expected.keys() and all(
        struct.pack("<d", found[key]) == struct.pack("<d", expected[key])
        or (math.isnan(found[key]) and math.isnan(expected[key]))
        or found[key] == expected[key]
        for key in expected
    )


def check(log: Log, expected: Rows, ignored: tuple[str, ...] = ()) -> None:
    found = [(step, {k: v for k, v in row.items() if k not in ignored}) for step, row in rows_of(log)]
    assert [step for step, _ in found] == [step for step, _ in expected]
    for (step, row), (_, truth) in zip(found, expected, strict=True):
        assert same(row, truth), (step, row, truth)


def head(path: Path) -> bytes:
    return b"" if path.is_dir() else path.read_bytes()[: 1 << 16]


def recognised_by(path: Path) -> list[str]:
    readers: tuple[Reader, ...] = (tensorboard, wandb_offline, mlflow_sqlite, mlflow_files, trackio)
    return [reader.NAME for reader in readers if reader.recognises(path, head(path))]


def as_float32(rows: Rows) -> Rows:
    return [(step, {key: float(np.float32(value)) for key, value in row.items()}) for step, row in rows]


# TensorBoard


def test_tensorboard_scalars_are_read_as_the_float32_in_the_file(write: Write) -> None:
    folder = write("tensorboard", FLOAT32_ROWS)
    assert recognised_by(folder / "old") == ["tensorboard"]
    (log,) = tensorboard.read(folder / "old")
    check(log, as_float32(FLOAT32_ROWS))
    assert log.id == "old"


def test_tensorboard_tensor_scalars_keep_all_digits(write: Write) -> None:
    (log,) = tensorboard.read(write("tensorboard", FLOAT32_ROWS) / "new")
    check(log, FLOAT32_ROWS)


def test_tensorboard_events_with_several_values_and_text_keep_the_numbers(write: Write) -> None:
    (log,) = tensorboard.read(write("tensorboard", FLOAT32_ROWS) / "joint")
    check(log, as_float32(FLOAT32_ROWS))
    assert [(note.kind, note.count) for note in log.notes] == [("not-numbers", len(FLOAT32_ROWS))]


@pytest.mark.parametrize("form", ["list", "content"])
@pytest.mark.parametrize(
    "dtype",
    ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "uint32", "uint64", "bool"],
)
def test_tensorboard_tensors_of_every_number_type_are_read(write: Write, dtype: str, form: str) -> None:
    values = {"uint64": 2.0**63, "uint32": 2.0**31, "uint8": 200.0, "bool": 1.0}
    negative = {dtype: -3.0 for dtype in ("int64", "int32", "int16", "int8", "float16", "float32", "float64")}
    types = {**values, **negative}
    rows: Rows = [(1, {f"{name}/{how}": types[name] for name in types for how in ("list", "content")})]
    rows.append((2, {key: 0.0 for key in rows[0][1]}))
    (log,) = tensorboard.read(write("tensorboard_tensors", rows))
    assert log.column(f"{dtype}/{form}").tolist() == [types[dtype], 0.0]


def test_tensorboard_folder_of_three_runs_gives_three_logs(write: Write) -> None:
    logs = tensorboard.read(write("tensorboard", FLOAT32_ROWS))
    assert [log.id for log in logs] == ["joint", "new", "old"]


# W&B


def test_wandb_run_is_read_exactly(write: Write) -> None:
    folder = write("wandb")
    (file,) = folder.glob("wandb/offline-run-*-aaaa/*.wandb")
    assert recognised_by(file) == ["wandb_offline"]
    (log,) = wandb_offline.read(file)
    check(log, ROWS, ignored=("_step", "_runtime", "_timestamp"))
    assert log.id == "first"
    assert log.facts["config"] == {"learning_rate": 1e-6, "model.name": "tiny", "model.layers": 2}
    assert log.facts["exit_code"] == 0
    assert log.steps == log.column("_step").tolist()


def test_wandb_nested_values_are_joined_and_media_and_text_left_out(write: Write) -> None:
    (file,) = write("wandb").glob("wandb/offline-run-*-bbbb/*.wandb")
    (log,) = wandb_offline.read(file)
    truth = {"train/reward": 0.5, "nested.a": 1.0, "nested.b.c": 2.5, "dotted.key": 3.0, "flag": 1.0}
    check(log, [(0, truth)], ignored=("_step", "_runtime", "_timestamp"))
    assert [note.kind for note in log.notes] == ["not-numbers"]


@pytest.mark.parametrize("place", ["", "wandb"])
def test_wandb_folder_lists_each_run_once_though_latest_run_links_to_one(write: Write, place: str) -> None:
    folder = write("wandb") / place
    assert (write("wandb") / "wandb" / "latest-run").is_symlink()
    assert recognised_by(folder) == ["wandb_offline"]
    assert [log.id for log in wandb_offline.read(folder)] == ["first", "second"]
    assert [log.id for log in wandb_offline.read(write("wandb") / "wandb" / "latest-run")] == ["second"]


# MLflow


def test_mlflow_database_is_read_exactly_without_deleted_runs(write: Write) -> None:
    folder = write("mlflow")
    for path in (folder, folder / "mlflow.db"):
        assert recognised_by(path) == ["mlflow_sqlite"]
        kept, stepless = mlflow_sqlite.read(path)
        check(kept, ROWS)
        assert kept.id == "kept"
        assert kept.facts["config"] == {"learning_rate": "1e-06"}
        assert {note.kind for note in kept.notes} == {"deleted-runs", "hardware"}
        assert stepless.steps is None
        assert stepless.column("train/reward").tolist() == [0.1, 0.2, 0.3]


def test_mlflow_file_store_is_read_exactly_without_deleted_runs(write: Write) -> None:
    folder = write("mlflow_files") / "mlruns"
    (experiment,) = (
        path.parent.parent.parent
        for path in folder.glob("*/*/tags/mlflow.runName")
        if path.read_text() == "kept"
    )
    for path in (folder.parent, folder, experiment):
        assert recognised_by(path) == ["mlflow_files"]
        kept, stepless = mlflow_files.read(path)
        check(kept, ROWS)
        assert (kept.id, kept.facts["experiment"]) == ("kept", "grpo")
        assert kept.facts["config"] == {"learning_rate": "1e-06"}
        assert {note.kind for note in kept.notes} == {"deleted-runs", "hardware"}
        assert stepless.column("train/reward").tolist() == [0.1, 0.2, 0.3]
    run = next(
        path.parent.parent for path in experiment.glob("*/tags/mlflow.runName") if path.read_text() == "kept"
    )
    (log,) = mlflow_files.read(run)
    check(log, ROWS)


# Trackio


def test_trackio_project_is_read_exactly(write: Write) -> None:
    folder = write("trackio")
    for path in (folder, folder / "words.db"):
        assert recognised_by(path) == ["trackio"]
        first, second = trackio.read(path)
        check(first, ROWS)
        assert first.facts["config"] == {"learning_rate": 1e-6, "model.name": "tiny"}
        check(second, [(0, {"train/reward": 0.5, "nested.a": 1.0, "flag": 1.0})])
        assert [(note.kind, note.count) for note in second.notes] == [("not-numbers", 1)]


# All of them


def test_no_sdk_is_imported_to_read_its_files(write: Write) -> None:
    folders = {
        "tensorboard": write("tensorboard", FLOAT32_ROWS) / "new",
        "wandb_offline": write("wandb"),
        "mlflow_sqlite": write("mlflow"),
        "mlflow_files": write("mlflow_files"),
        "trackio": write("trackio"),
    }
    program = """
import importlib, json, sys
from pathlib import Path

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1].split(","):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
found = {}
for name, folder in json.loads(sys.argv[2]).items():
    logs = importlib.import_module(f"foreshock.readers.{name}").read(Path(folder))
    found[name] = [log.rows for log in logs]
print(json.dumps(found))
"""
    blocked = "wandb,tensorboard,tensorboardX,tensorflow,mlflow,trackio,google,sqlalchemy,yaml,torch,pandas"
    places = json.dumps({name: str(folder) for name, folder in folders.items()})
    done = subprocess.run(
        [sys.executable, "-c", program, blocked, places], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    rows_read = json.loads(done.stdout)
    assert rows_read == {
        "tensorboard": [33],
        "wandb_offline": [33, 1],
        "mlflow_sqlite": [33, 3],
        "mlflow_files": [33, 3],
        "trackio": [33, 1],
    }


# Logs of other people


@pytest.mark.parametrize(
    "name", ["093-wordle-tb", "094-wordle-tb", "107-wordle-tb", "166-tz-trl", "109-slm-rlvr"]
)
def test_published_logs_equal_the_numbers_of_an_independent_parser(shared: Path, name: str) -> None:
    real = shared / "data" / "real"
    (file,) = (real / "raw" / name).iterdir()
    reader: Reader = wandb_offline if name.startswith("109") else tensorboard
    (log,) = reader.read(file)
    steps = log.column("train/global_step").tolist() if name.startswith("109") else log.steps
    assert steps is not None
    rewarded = np.isfinite(log.column("train/reward"))
    with (real / "csv" / f"{name}.csv").open() as table:
        truth = list(csv.DictReader(table))
    named = {"step", "reward", "response_length"}
    assert set(truth[0]) - named == set(log.keys)
    compared = 0
    for row in truth:
        at = [i for i, step in enumerate(steps) if step == float(row["step"])]
        if name.startswith("109"):  # other rows share the step with the one that has the reward
            at = [i for i in at if rewarded[i]]
        for key in row.keys() - named:
            found = [value for value in log.column(key)[at].tolist() if not math.isnan(value)]
            if row[key] in ("", "nan"):
                assert not found
            else:
                assert found[-1] == pytest.approx(float(row[key]), rel=1e-6, abs=0)
                compared += 1
    assert compared > 100


def test_a_wandb_run_killed_before_it_logged_is_refused_with_the_reason(shared: Path) -> None:
    file = shared / "data" / "real" / "fixtures" / "killed_run_no_exit_record.wandb"
    with pytest.raises(NotARunError, match="no history rows: the run was killed before it logged"):
        wandb_offline.read(file)
