"""Columns that tell the runs of one table or file apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RUN_KEYS = (
    "run",
    "run_id",
    "run_name",
    "Run",
    "run name",
    "Name",
    "experiment",
    "experiment_name",
    "exp_name",
)

_KEYS = frozenset(RUN_KEYS)


def by_run(record: Mapping[str, Any]) -> str:
    """The run that a record says it belongs to, "" where it says nothing. Only texts name a run."""
    if _KEYS.isdisjoint(record):  # almost always
        return ""
    for key in RUN_KEYS:
        value = record.get(key)
        if type(value) is str and value:
            return value
    return ""


def plausible(runs: int, rows: int) -> bool:
    """Whether a column with so many values names runs, not rows."""
    return runs == 1 or 3 * runs <= rows
