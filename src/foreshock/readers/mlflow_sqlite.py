"""MLflow runs in a SQLite database (`mlflow.db`), read without the mlflow package.

Table `metrics` has one row per value: key, value, timestamp, step, is_nan. NaN is stored as 0 with
`is_nan`, an infinity as the largest double of its sign, because SQL has no word for either; both come
back as what was logged. Runs and experiments that were deleted in MLflow are left out.
"""

from __future__ import annotations

import math
import re
import sqlite3
import sys
from pathlib import Path
from typing import Any

from foreshock.errors import NotARunError
from foreshock.readers._folders import distinguish
from foreshock.readers._log import Log
from foreshock.readers._points import Points
from foreshock.readers._sqlite import databases, holds, opened, tables_of
from foreshock.readers._values import settings

NAME = "mlflow_sqlite"
DESCRIPTION = "MLflow databases (`mlflow.db`, SQLite) and folders that hold one"

_HARDWARE, _NOWHERE = -1, -2
_NEEDED = {"metrics": {"key", "value", "timestamp", "run_uuid"}, "runs": {"run_uuid"}}
HARDWARE = re.compile(r"system/(cpu_|system_memory_|disk_|network_|gpu_\d+_)")
"""MLflow's own hardware metrics: their steps count samples of the hardware, not training steps."""


def recognises(path: Path, head: bytes) -> bool:
    """By the tables in a SQLite file; a folder by such files directly in it."""
    try:
        if path.is_dir():
            return bool(_stores(path))
        return holds(path, head, _NEEDED)
    except OSError:
        return False


def _stores(folder: Path) -> list[Path]:
    return [file for file in databases(folder) if _is_store(file)]


def _is_store(file: Path) -> bool:
    with file.open("rb") as stream:
        return holds(file, stream.read(1 << 16), _NEEDED)


def read(path: Path) -> list[Log]:
    """Every run with metrics, in the order started.

    Raises:
        UnreadableError: the database is damaged, see `_sqlite.opened`.
        NotARunError: it holds no run with metrics (that is not deleted).
    """
    found: list[tuple[Log, str]] = []
    for file in _stores(path) if path.is_dir() else [path]:
        with opened(file) as connection:
            found.extend(_read_store(connection, file, path))
    if not found:
        raise NotARunError(
            f"{path}: an MLflow database in which no run has metrics. Deleted runs are left out; "
            "`mlflow runs restore --run-id ID` brings one back."
        )
    return distinguish(found)


def _read_store(connection: sqlite3.Connection, file: Path, source: Path) -> list[tuple[Log, str]]:
    tables = tables_of(connection, file, _NEEDED)
    runs, deleted = _runs(connection, tables)
    points, nonsense, hardware = _points(connection, tables, runs)
    found: list[tuple[Log, str]] = []
    for run, facts in runs.items():
        if not points[run]:
            continue
        log = Log(str(facts.get("name") or run), str(source), NAME)
        log.facts.update(facts)
        points[run].fill(log)
        if deleted:
            log.note("deleted-runs", f"Runs deleted in MLflow were left out: {deleted:,}.", deleted)
        if nonsense:
            log.note("not-numbers", f"{nonsense:,} metric rows without a number were left out.", nonsense)
        if hardware:
            log.note("hardware", hardware_note(hardware), hardware)
        found.append((log, run[:8]))
    return found


def _runs(
    connection: sqlite3.Connection, tables: dict[str, set[str]]
) -> tuple[dict[str, dict[str, Any]], int]:
    """Facts by run id, in the order started, and how many runs are deleted."""
    order = "start_time, rowid" if "start_time" in tables["runs"] else "rowid"
    experiments: dict[Any, dict[str, Any]] = {}
    if "experiment_id" in tables.get("experiments", ()):
        experiments = {row["experiment_id"]: row for row in _rows(connection, "SELECT * FROM experiments")}
    runs: dict[str, dict[str, Any]] = {}
    deleted = 0
    for row in _rows(connection, f"SELECT * FROM runs ORDER BY {order}"):
        experiment = experiments.get(row.get("experiment_id"), {})
        if "deleted" in (row.get("lifecycle_stage"), experiment.get("lifecycle_stage")):
            deleted += 1
            continue
        facts = {"run_id": row["run_uuid"], "name": row.get("name"), "status": row.get("status")}
        facts["experiment"] = experiment.get("name")
        runs[str(row["run_uuid"])] = {
            key: value for key, value in facts.items() if isinstance(value, str) and value
        }
    if {"run_uuid", "key", "value"} <= tables.get("params", set()):
        for row in _rows(connection, "SELECT run_uuid, key, value FROM params"):
            config = runs.get(str(row["run_uuid"]), {}).setdefault("config", {})
            config.update(settings({str(row["key"]): row["value"]}))
    if {"run_uuid", "key", "value"} <= tables.get("tags", set()):  # where older versions keep the name
        for row in _rows(connection, "SELECT run_uuid, value FROM tags WHERE key = 'mlflow.runName'"):
            runs.get(str(row["run_uuid"]), {}).setdefault("name", row["value"])
    return runs, deleted


def _rows(connection: sqlite3.Connection, query: str) -> list[dict[str, Any]]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _points(
    connection: sqlite3.Connection, tables: dict[str, set[str]], runs: dict[str, dict[str, Any]]
) -> tuple[dict[str, Points], int, int]:
    """Values by run id in the order logged; how many rows hold no number, how many hardware samples."""
    step = "step" if "step" in tables["metrics"] else "0"
    nan = "is_nan" if "is_nan" in tables["metrics"] else "0"
    query = f"SELECT run_uuid, key, {step}, value, {nan} FROM metrics ORDER BY timestamp, {step}, rowid"
    points = {run: Points() for run in runs}
    targets: dict[tuple[Any, Any], int] = {}  # number of a run's metric; worked out once, not per value
    nonsense = hardware = 0
    for run, key, at, value, is_nan in connection.execute(query):
        index = targets.get((run, key))
        if index is None:
            index = _HARDWARE if HARDWARE.match(str(key)) else _NOWHERE
            if run in points and isinstance(key, str) and index != _HARDWARE:
                index = points[run].index(key)
            targets[run, key] = index
        if index >= 0 and isinstance(at, int) and isinstance(value, (int, float)):
            points[run].add(index, at, math.nan if is_nan else _unclamped(float(value)))
        elif run in points:
            hardware += index == _HARDWARE
            nonsense += index != _HARDWARE
    return points, nonsense, hardware


def _unclamped(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value


def hardware_note(count: int) -> str:
    """What the report says of hardware samples left out."""
    return f"{count:,} hardware samples (system/...) count their own steps and were left out."
