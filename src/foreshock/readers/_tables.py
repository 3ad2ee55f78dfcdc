"""Tables as people export them: one row per step, one row per value, or one column per run and metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from foreshock.readers._groups import RUN_KEYS, plausible
from foreshock.readers._log import Log
from foreshock.readers._records import number

Cell = float | str | None

_STEPS = ("step", "global_step", "Step", "_step", "train/global_step", "trainer/global_step")
_METRIC = ("metric", "tag", "key", "name", "variable", "signal", "Metric", "Tag", "metric_name")
_VALUE = ("value", "Value", "val", "metric_value")
_WIDE = " - "
_RANGES = ("__MIN", "__MAX")


def table_logs(
    header: Sequence[str], rows: Iterable[Sequence[Cell]], name: str, path: Path, format: str
) -> list[Log]:
    """The runs in a table.

    Args:
        header: column names; a cell beyond them, and one under an empty name, is left out.
        rows: cells as numbers, texts of numbers, other texts, or None. May be read only once.
        name: id of the run where the table names none.
        path: where it was read from.
        format: name of the reader.
    """
    builder = _Builder(name, path, format)
    lower = [column.strip() for column in header]
    metric = next((lower.index(k) for k in _METRIC if k in lower), None)
    value = next((lower.index(k) for k in _VALUE if k in lower), None)
    if metric is not None and value is not None:
        _long(lower, rows, metric, value, builder)
    elif _is_wide(lower):
        _wide(lower, rows, builder)
    elif lower == ["Wall time", "Step", "Value"]:
        tag = path.stem.rpartition("tag-")[2]
        _tidy(["wall_time", "step", tag], rows, builder)
    else:
        _tidy(lower, rows, builder)
    return builder.logs()


class _Builder:
    """Collects rows per run."""

    def __init__(self, name: str, path: Path, format: str) -> None:
        self.name, self.path, self.format = name, path, format
        self.runs: dict[str, Log] = {}

    def add(self, run: str, values: dict[str, float]) -> None:
        if not values:
            return
        log = self.runs.get(run)
        if log is None:
            log = self.runs[run] = Log(run, str(self.path), self.format)
        log.add(values)

    def logs(self) -> list[Log]:
        found = list(self.runs.values())
        if len(found) == 1:
            found[0].id = self.name
        for log in found:
            log.id = log.id or "(unnamed)"
        return found


def _tidy(header: Sequence[str], rows: Iterable[Sequence[Cell]], builder: _Builder) -> None:
    """One row per step; a text column named like a run tells runs apart."""
    at = [place for place, column in enumerate(header) if column]
    run = next((header.index(key) for key in RUN_KEYS if key in header), None)
    kept: list[tuple[str, dict[str, float]]] | None = [] if run is not None else None
    for row in rows:
        values = {}
        for place in at:
            if place < len(row):
                cell = row[place]
                found = cell if type(cell) is float else number(cell)
                if found is not None:
                    values[header[place]] = found
        if kept is None or run is None:
            builder.add("", values)
        else:
            label = row[run] if run < len(row) else None
            kept.append((label if isinstance(label, str) and number(label) is None else "", values))
    if kept:
        apart = plausible(len({label for label, _ in kept}), len(kept))
        for label, values in kept:
            builder.add(label if apart else "", values)


def _long(
    header: Sequence[str], rows: Iterable[Sequence[Cell]], metric: int, value: int, builder: _Builder
) -> None:
    """One row per value: rows of the same run and step that follow each other make one."""
    step = next((header.index(key) for key in _STEPS if key in header), None)
    run = next((header.index(key) for key in RUN_KEYS if key in header), None)
    open_rows: dict[str, dict[str, float]] = {}
    for row in rows:
        if len(row) <= max(metric, value) or number(row[value]) is None:
            continue
        label = str(row[run]) if run is not None and run < len(row) else ""
        name = str(row[metric])
        at = number(row[step]) if step is not None and step < len(row) else None
        current = open_rows.setdefault(label, {})
        if name in current or (at is not None and current.get("step", at) != at):
            builder.add(label, current)
            current = open_rows[label] = {}
        if at is not None:
            current["step"] = at
        current[name] = number(row[value]) or 0.0
    for label, current in open_rows.items():
        builder.add(label, current)


def _is_wide(header: Sequence[str]) -> bool:
    """W&B's export of a chart: every column but the step is `RUN - METRIC`, with its range beside it."""
    others = [column for column in header if column and column not in _STEPS]
    return bool(others) and all(_WIDE in column for column in others)


def _wide(header: Sequence[str], rows: Iterable[Sequence[Cell]], builder: _Builder) -> None:
    step = next((place for place, column in enumerate(header) if column in _STEPS), None)
    columns = []
    for place, column in enumerate(header):
        if place != step and column and not column.endswith(_RANGES):
            run, _, metric = column.rpartition(_WIDE)
            columns.append((place, run, metric))
    for row in rows:
        found: dict[str, dict[str, float]] = {}
        for place, run, metric in columns:
            value = number(row[place]) if place < len(row) else None
            if value is not None:
                found.setdefault(run, {})[metric] = value
        at = number(row[step]) if step is not None and step < len(row) else None
        for run, values in found.items():
            builder.add(run, values if at is None else {"step": at, **values})
