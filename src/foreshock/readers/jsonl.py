"""JSON lines: one record per line, as custom loggers, verl's file logger, prime-rl and Tinker write them.

verl wraps the metrics (`{"step": 3, "data": {...}}`); nested records are flattened with "/". Bare `NaN` and
`Infinity` and their quoted forms are numbers; `null` means that nothing was logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreshock.errors import NotARunError
from foreshock.readers._groups import by_run, plausible
from foreshock.readers._log import Log
from foreshock.readers._records import flatten, number
from foreshock.readers._sniff import HEAD, MAX_LINE, Lines, loads, run_name

NAME = "jsonl"
DESCRIPTION = (
    "JSON lines: custom loggers, verl's file logger, prime-rl, Tinker, ROLL, ms-swift `logging.jsonl`"
)

_LOOKED_AT = 20
_PROGRESS = "global_step/max_steps"  # ms-swift writes "5/3766"


def recognises(path: Path, head: bytes) -> bool:
    """Whether most of the first lines are JSON objects, and some hold a number."""
    lines = [line for line in head.split(b"\n") if line.strip()]
    if len(lines) == 1 and len(head) == HEAD and head.lstrip().startswith(b"{") and path.is_file():
        with path.open("rb") as file:  # a first line longer than the head
            lines = [file.readline(MAX_LINE)]
    elif len(lines) > 1 and not head.endswith(b"\n"):
        lines.pop()
    lines = lines[:_LOOKED_AT]
    records = [record for line in lines if (record := _record(line)) is not None]
    if len(lines) == 1 and any(_holds_list(record) for record in records):
        return False  # one document on one line
    return 2 * len(records) >= len(lines) and any(flatten(record) for record in records)


def read(path: Path) -> list[Log]:
    """All records, in the order of lines.

    A line that is no JSON object is left out and counted; the last line of a file that is still being
    written is often such a line.

    Raises:
        NotARunError: no line holds a number.
    """
    logs = _read(path, apart=True)
    if not plausible(len(logs), sum(log.rows for log in logs)):
        logs = _read(path, apart=False)
    if not logs:
        raise NotARunError(f"{path} holds JSON lines, but no number in them")
    return logs


def _read(path: Path, apart: bool) -> list[Log]:
    """All runs; `apart` whether a column with names of runs tells them apart."""
    logs: dict[str, Log] = {}
    lines = Lines(path)
    bad = nulls = 0
    last_bad = False
    for line in lines:
        record = _record(line)
        if record is None and not line.strip():
            continue
        last_bad = record is None
        if record is None:
            bad += 1
            continue
        step, values = _metrics(record)
        if b"null" in line and "data" in record:
            nulls += sum(value is None for value in values.values())
        run = by_run(record) if apart else ""
        if run not in logs:
            logs[run] = Log(run, str(path), NAME)
        log = logs[run]
        flat = flatten(values)
        if _PROGRESS in values:
            step = _swift_progress(values, log, step)
        if flat:
            log.add(flat, step)
    held = [log for log in logs.values() if log.rows]
    if held:
        _tell(held[0], lines, bad, last_bad, nulls)
    if len(held) == 1:
        held[0].id = run_name(path)
    for log in held:
        log.id = log.id or "(unnamed)"
    return held


def _holds_list(record: Mapping[str, Any]) -> bool:
    """Whether a list of objects or numbers lies in the record, at most three levels down."""
    below: list[Any] = list(record.values())
    for _ in range(3):
        lists = [value for value in below if isinstance(value, list)]
        if any(len(values) > 1 and isinstance(values[0], (dict, int, float)) for values in lists):
            return True
        below = [inner for value in below if isinstance(value, dict) for inner in value.values()]
    return False


def _record(line: bytes) -> dict[str, Any] | None:
    """The JSON object on a line; None where it holds none."""
    if line[:1] != b"{" and not line.lstrip().startswith(b"{"):
        return None
    try:
        value = loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _metrics(record: Mapping[str, Any]) -> tuple[float | None, Mapping[str, Any]]:
    """(step, metrics); the step only where verl's file logger states it outside the metrics."""
    data = record.get("data")
    if isinstance(data, dict) and "step" in record and len(record) <= 3:
        return number(record["step"]), data
    return None, record


def _swift_progress(values: Mapping[str, Any], log: Log, step: float | None) -> float | None:
    done, _, total = str(values[_PROGRESS]).partition("/")
    if total.isdecimal():
        log.facts["total_steps"] = int(total)
    return float(done) if done.isdecimal() else step


def _tell(log: Log, lines: Lines, bad: int, last_bad: bool, nulls: int) -> None:
    if bad and last_bad and lines.torn:
        log.note("torn-line", "The last line was cut (still being written?) and left out.")
        bad -= 1
    if bad:
        log.note("bad-lines", f"{bad:,} line(s) that are no JSON record were left out.", bad)
    if lines.overlong:
        log.note(
            "overlong-lines", f"{lines.overlong:,} line(s) of extreme length were left out.", lines.overlong
        )
    if nulls:
        text = (
            f"{nulls:,} value(s) are null; verl's file logger writes null for NaN, so they may have been NaN."
        )
        log.note("null-values", text, nulls)
