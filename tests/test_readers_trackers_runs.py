"""Which files and rows of a tracker make a run, and databases that are in use."""

from __future__ import annotations

import json
import math
import sqlite3
import struct
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreshock.readers import mlflow_files, mlflow_sqlite, tensorboard, trackio, wandb_offline
from foreshock.readers._log import Log
from foreshock.readers._points import Points
from tracker_files import (
    event_file,
    field,
    leveldb,
    mlflow_store,
    points_of,
    steady_rows,
    tfrecord,
    trackio_project,
    truth_of,
    varint,
    wandb_file,
)

ROWS = steady_rows(40)

# Which files make a run


def test_a_later_file_of_a_folder_that_goes_on_is_the_same_run_resumed(tmp_path: Path) -> None:
    event_file(tmp_path / "events.out.tfevents.1.h", steady_rows(30), wall=1.0)
    event_file(tmp_path / "events.out.tfevents.2.h", steady_rows(20, first=21), wall=2.0)
    (log,) = tensorboard.read(tmp_path)
    assert log.steps == [*range(1, 31), *range(21, 41)]
    assert [(each.step, each.kind) for each in log.events] == [(21, "resumed")]


def test_files_of_a_folder_that_start_over_are_separate_runs_in_the_order_of_time(tmp_path: Path) -> None:
    for number in (3, 1, 2):
        event_file(tmp_path / f"events.out.tfevents.{number}.h", steady_rows(5 * number), wall=float(number))
    event_file(tmp_path / "events.out.tfevents.4.h", steady_rows(5, first=11), wall=4.0)
    logs = tensorboard.read(tmp_path)
    assert [log.rows for log in logs] == [5, 10, 20]  # the file that begins at 11 continues the last run
    assert len({log.id for log in logs}) == 3


def test_an_evaluation_writer_in_the_same_folder_adds_its_metrics_at_their_steps(tmp_path: Path) -> None:
    event_file(tmp_path / "events.out.tfevents.1.h", steady_rows(20), wall=1.0)
    event_file(
        tmp_path / "events.out.tfevents.2.h",
        [(10, {"eval/reward": 1.5}), (25, {"eval/reward": 2.5})],
        wall=2.0,
    )
    (log,) = tensorboard.read(tmp_path)
    assert log.steps == [*range(1, 21), 25]
    assert log.column("eval/reward")[9] == 1.5
    assert not log.events


def test_other_tfrecords_are_not_taken_for_event_files(tmp_path: Path) -> None:
    path = tmp_path / "train.tfrecord"
    path.write_bytes(tfrecord(field(1, b"an example")))
    assert not tensorboard.recognises(path, path.read_bytes())


def test_a_wandb_run_resumed_in_a_new_folder_is_one_run(tmp_path: Path) -> None:
    wandb_file(tmp_path / "wandb" / "run-20250101_000000-abc" / "run-abc.wandb", steady_rows(10))
    wandb_file(tmp_path / "wandb" / "run-20250102_000000-abc" / "run-abc.wandb", steady_rows(5, first=11))
    wandb_file(tmp_path / "wandb" / "run-20250103_000000-xyz" / "run-xyz.wandb", steady_rows(3), run="xyz")
    wandb_file(tmp_path / "wandb" / "run-20250104_000000-new" / "run-new.wandb", [], run="new")
    first, second = wandb_offline.read(tmp_path / "wandb")
    assert (first.rows, second.rows) == (15, 3)
    assert [(each.step, each.kind) for each in first.events] == [(11, "resumed")]
    assert first.id != second.id
    assert "runs-without-rows" in {note.kind for note in second.notes}


def test_a_wandb_run_that_starts_over_under_its_old_id_is_another_run(tmp_path: Path) -> None:
    wandb_file(tmp_path / "run-20250101_000000-abc" / "run-abc.wandb", steady_rows(10))
    wandb_file(tmp_path / "run-20250102_000000-abc" / "run-abc.wandb", steady_rows(12))
    assert [log.rows for log in wandb_offline.read(tmp_path)] == [10, 12]


def test_typed_values_of_newer_wandb_records_are_read(tmp_path: Path) -> None:
    items = {
        "integer": field(5, 7 << 1 | 1),  # zigzag: -8
        "number": varint(6 << 3 | 1) + struct.pack("<d", 0.1),
        "boolean": field(4, 1),
        "json": field(8, b'{"a": 1.5, "b": "text"}'),
    }
    record = field(2, b"".join(field(1, field(1, key.encode()) + value) for key, value in items.items()))
    path = tmp_path / "run-a.wandb"
    path.write_bytes(leveldb([record]))
    (log,) = wandb_offline.read(path)
    found = {key: log.column(key)[0] for key in log.keys}
    assert found == {"integer": -8.0, "number": 0.1, "boolean": 1.0, "json.a": 1.5}


# Any name, any number

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200).filter(
    lambda name: name != "_step" and not name.endswith("._type")
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row=st.dictionaries(NAMES, st.floats(width=32), min_size=1, max_size=5), step=st.integers(-(2**40), 2**40)
)
def test_any_metric_name_and_number_comes_back(row: dict[str, float], step: int, tmp_path: Path) -> None:
    files = {
        tensorboard: event_file(tmp_path / "events.out.tfevents.1.h", [(step, row), (step + 1, row)]),
        wandb_offline: wandb_file(tmp_path / "run-abc.wandb", [(step, row), (step + 1, row)]),
    }
    for reader, file in files.items():
        (log,) = reader.read(file)
        assert log.steps == [step, step + 1]
        assert set(log.keys) - {"_step"} == row.keys()
        for key, value in row.items():
            if math.isnan(value):
                assert log.nan_rows[key] == [0, 1]
            else:
                assert log.column(key).tolist() == [value, value]


# Databases in use


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_trackio_database_is_read_while_it_is_written_and_nothing_changes_beside_it(tmp_path: Path) -> None:
    path = trackio_project(tmp_path / "p.db", ROWS[:20])
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    for step, row in ROWS[20:]:
        values = ("id1", "my run", step, json.dumps(row))
        writer.execute("INSERT INTO metrics (run_id, run_name, step, metrics) VALUES (?, ?, ?, ?)", values)
        writer.commit()
    before = listing(tmp_path)
    assert len(before["p.db-wal"]) > 0
    assert trackio.recognises(path, path.read_bytes()[:65536])
    (log,) = trackio.read(path)
    assert points_of(log) == truth_of(ROWS)
    assert listing(tmp_path) == before
    writer.close()


def test_a_trackio_database_at_rest_is_read_without_a_trace(tmp_path: Path) -> None:
    path = trackio_project(tmp_path / "p.db", ROWS)
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.close()
    before = listing(tmp_path)
    (log,) = trackio.read(path)
    assert points_of(log) == truth_of(ROWS)
    assert listing(tmp_path) == before


def test_a_change_that_a_killed_writer_left_half_done_is_not_seen(tmp_path: Path) -> None:
    path = mlflow_store(tmp_path / "mlflow.db", ROWS)
    start = path.read_bytes()
    writer = sqlite3.connect(path, isolation_level=None)
    writer.executescript(
        "PRAGMA cache_size = 1; BEGIN; UPDATE metrics SET value = 999, key = key || hex(randomblob(99))"
    )
    killed = tmp_path / "killed"
    killed.mkdir()
    for file in ("mlflow.db", "mlflow.db-journal"):
        (killed / file).write_bytes((tmp_path / file).read_bytes())
    writer.close()
    assert (killed / "mlflow.db").read_bytes() != start
    before = listing(killed)
    (log,) = mlflow_sqlite.read(killed / "mlflow.db")
    assert points_of(log) == truth_of(ROWS)
    assert listing(killed) == before


def test_a_trackio_database_from_before_run_ids_is_read(tmp_path: Path) -> None:
    (log,) = trackio.read(trackio_project(tmp_path / "old.db", ROWS, ids=False))
    assert points_of(log) == truth_of(ROWS)


def test_other_sqlite_files_are_nobodys(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE metrics (name TEXT)")
    other.commit()
    other.close()
    for reader in (mlflow_sqlite, trackio):
        assert not reader.recognises(path, path.read_bytes())
        assert not reader.recognises(tmp_path, b"")


def test_infinities_that_mlflow_clamps_come_back_as_infinities(tmp_path: Path) -> None:
    top = 1.7976931348623157e308
    (log,) = mlflow_sqlite.read(mlflow_store(tmp_path / "m.db", [(1, {"a": top, "b": -top, "c": 1.7e308})]))
    assert [log.column(key)[0] for key in "abc"] == [math.inf, -math.inf, 1.7e308]


def test_torn_and_odd_lines_of_an_mlflow_file_are_counted(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics" / "train"
    metrics.mkdir(parents=True)
    (tmp_path / "meta.yaml").write_text("run_id: r1\nrun_name: 'my run'\n")
    (metrics / "reward").write_bytes(b"1 0.5 1\n2 nan 2\n3 -inf 3\nrubbish\n4 0.7 4 data digest\n5 0.75 51")
    (log,) = mlflow_files.read(tmp_path)
    assert log.id == "my run"
    assert log.steps == [1, 2, 3, 4]
    assert log.column("train/reward")[[0, 2, 3]].tolist() == [0.5, -math.inf, 0.7]
    assert log.nan_rows == {"train/reward": [1]}
    assert [(note.kind, note.count) for note in log.notes] == [("torn-line", 2)]


# Values into rows


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(-3, 6), st.floats(allow_nan=False, width=32)),
        max_size=40,
    )
)
def test_rows_hold_every_value_once_at_its_own_step(values: list[tuple[str, int, float]]) -> None:
    points = Points()
    for tag, step, value in values:
        points.add(points.index(tag), step, value)
    log = Log("id", "source", "format")
    points.fill(log)
    if log.steps is None:
        assert len({step for _, step, _ in values}) <= 1
        found = [(key, v) for key in log.keys for v in log.column(key).tolist() if not math.isnan(v)]
        assert sorted(found) == sorted((tag, value) for tag, _, value in values)
        return
    columns = {key: log.column(key).tolist() for key in log.keys}
    cells = [(k, log.steps[i], v) for k, c in columns.items() for i, v in enumerate(c) if not math.isnan(v)]
    assert sorted(cells) == sorted((tag, float(step), value) for tag, step, value in values)
    for tag in columns:  # a metric's own values stay in the order logged where its steps repeat
        for step in {s for t, s, _ in values if t == tag}:
            assert [v for k, s, v in cells if (k, s) == (tag, step)] == [
                v for t, s, v in values if (t, s) == (tag, step)
            ]


def test_metrics_logged_one_after_the_other_are_joined_by_step() -> None:
    points = Points()
    for tag in ("reward", "length"):
        for step in (1, 2, 3):
            points.add(points.index(tag), step, float(step))
    log = Log("id", "source", "format")
    points.fill(log)
    assert log.steps == [1, 2, 3]
    assert not log.events


def test_a_restart_within_one_file_makes_new_rows_after_the_old(tmp_path: Path) -> None:
    (log,) = tensorboard.read(
        event_file(tmp_path / "events.out.tfevents.1.h", steady_rows(10) + steady_rows(4, 6))
    )
    assert log.steps == [*range(1, 11), 6, 7, 8, 9]
    assert [(each.step, each.kind) for each in log.events] == [(6, "resumed")]


def test_bfloat16_tensors_are_read(tmp_path: Path) -> None:
    three = struct.pack("<f", 3.0)[2:]
    tensors = {"content": field(4, three), "list": field(13, int.from_bytes(three, "little"))}
    values = [field(1, tag.encode()) + field(8, field(1, 14) + tensor) for tag, tensor in tensors.items()]
    path = tmp_path / "events.out.tfevents.1.h"
    path.write_bytes(
        tfrecord(b"\x09" + bytes(8) + field(2, 5) + field(5, b"".join(field(1, v) for v in values)))
    )
    (log,) = tensorboard.read(path)
    assert points_of(log) == {(5, "content", 3.0), (5, "list", 3.0)}
