"""Trackio databases (one SQLite file per project), read without the trackio package.

Table `metrics` has one row per call of `log`: run, step and a JSON object. NaN and infinities are the
words "NaN", "Infinity" and "-Infinity" in it. Versions differ: runs were told apart by `run_name` before
there was a `run_id`. Hardware is in a table of its own and is not read.

Unless a script passes `step=`, Trackio numbers the calls of `log`, as W&B does, and some trainers (HF
Trainer) log the training step beside it as `train/global_step`: the cleaner prefers such a column.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreshock.errors import NotARunError
from foreshock.readers._folders import distinguish
from foreshock.readers._log import Log
from foreshock.readers._sniff import loads
from foreshock.readers._sqlite import databases, holds, opened, tables_of
from foreshock.readers._values import flat, number, settings

NAME = "trackio"
DESCRIPTION = "Trackio project databases (`<project>.db`) and folders of them"

_NEEDED = {"metrics": {"run_name", "step", "metrics"}}


@dataclass
class _Found:
    """One run while its rows are drawn."""

    log: Log
    others: int = 0
    malformed: int = 0


def recognises(path: Path, head: bytes) -> bool:
    """By the columns of its `metrics` table; a folder by such files directly in it."""
    try:
        if path.is_dir():
            return bool(_projects(path))
        return holds(path, head, _NEEDED)
    except OSError:
        return False


def _projects(folder: Path) -> list[Path]:
    return [file for file in databases(folder) if _is_project(file)]


def _is_project(file: Path) -> bool:
    with file.open("rb") as stream:
        return holds(file, stream.read(1 << 16), _NEEDED)


def read(path: Path) -> list[Log]:
    """Every run of the project, or of all projects in a folder, in the order first logged.

    It cannot see rows that Trackio still holds in memory (it writes twice a second).

    Raises:
        UnreadableError: the database is damaged, see `_sqlite.opened`.
        NotARunError: nothing was logged in it.
    """
    found: list[tuple[Log, str]] = []
    for file in _projects(path) if path.is_dir() else [path]:
        with opened(file) as connection:
            found.extend((log, file.stem) for log in _read_project(connection, file, path))
    if not found:
        raise NotARunError(f"{path}: a Trackio database in which nothing has been logged yet.")
    return distinguish(found)


def _read_project(connection: sqlite3.Connection, file: Path, source: Path) -> list[Log]:
    tables = tables_of(connection, file, _NEEDED)
    # With ids, two runs may share a name; without, the name is the run.
    run = "COALESCE(run_id, run_name)" if "run_id" in tables["metrics"] else "run_name"
    order = "id" if "id" in tables["metrics"] else "rowid"
    runs: dict[Any, _Found] = {}
    for key, name, step, metrics in connection.execute(
        f"SELECT {run}, run_name, step, metrics FROM metrics ORDER BY {order}"
    ):
        here = runs.get(key)
        if here is None:
            here = runs[key] = _Found(Log(str(name or key), str(source), NAME))
            here.log.steps_count_calls = True
            here.log.facts.update(project=file.stem, name=str(name), run_id=str(key))
        _row(here, step, metrics)
    for key, config in _configs(connection, tables, run).items():
        if key in runs:
            runs[key].log.facts["config"] = config
    for here in runs.values():
        if here.malformed:
            words = f"{here.malformed:,} rows whose metrics are not a JSON object were left out."
            here.log.note("damaged-records", words, here.malformed)
        if here.others:
            words = f"Values that are text, lists or media were left out: {here.others:,}."
            here.log.note("not-numbers", words, here.others)
    return [here.log for here in runs.values() if here.log.rows]


def _row(run: _Found, step: Any, metrics: Any) -> None:
    try:
        content = loads(metrics) if isinstance(metrics, (bytes, str)) else None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        run.malformed += 1
        return
    values: dict[str, float] = {}
    for key, leaf in flat(content):
        value = number(leaf)
        if value is not None:
            values[key] = value
        elif leaf is not None:
            run.others += 1
    run.log.add(values, float(step) if isinstance(step, (int, float)) else None)


def _configs(
    connection: sqlite3.Connection, tables: dict[str, set[str]], run: str
) -> dict[Any, dict[str, Any]]:
    """Settings by run, as flat dictionaries."""
    if not {"run_name", "config"} | ({"run_id"} if "run_id" in run else set()) <= tables.get(
        "configs", set()
    ):
        return {}
    found: dict[Any, dict[str, Any]] = {}
    for key, text in connection.execute(f"SELECT {run}, config FROM configs"):
        try:
            config = loads(text) if isinstance(text, (bytes, str)) else None
        except ValueError:
            continue
        if isinstance(config, dict):
            found[key] = settings(config)
    return found
