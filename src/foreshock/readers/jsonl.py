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
    records = [record for line in lines if (record := record_of(line)) is not None]
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
    lines = Lines(path)
    taken = Records(path, apart)
    for line in lines:
        taken.add(line)
    return taken.logs(torn=lines.torn, overlong=lines.overlong)


class Records:
    """Sorts lines into the logs of runs, one after the other.

    Args:
        path: the file they come from.
        apart: whether a column with names of runs tells them apart.
    """

    def __init__(self, path: Path, apart: bool) -> None:
        self._path, self._apart = path, apart
        self._logs: dict[str, Log] = {}
        self._bad = self._nulls = 0
        self._last_bad = False

    def add(self, line: bytes) -> None:
        """Take one line, without its end."""
        record = record_of(line)
        if record is None and not line.strip():
            return
        self._last_bad = record is None
        if record is None:
            self._bad += 1
            return
        step, values = _metrics(record)
        if b"null" in line and "data" in record:
            self._nulls += sum(value is None for value in values.values())
        run = by_run(record) if self._apart else ""
        if run not in self._logs:
            self._logs[run] = Log(run, str(self._path), NAME)
        log = self._logs[run]
        flat = flatten(values)
        if _PROGRESS in values:
            step = _swift_progress(values, log, step)
        if flat:
            log.add(flat, step)

    def logs(self, *, torn: bool, overlong: int = 0, half: int = 0) -> list[Log]:
        """The runs that have rows.

        Args:
            torn: whether the last line has no end.
            overlong: lines that were left out.
            half: 1 where the last line was left out, too, because it is no record yet.
        """
        held = [log.copy() for log in self._logs.values() if log.rows]
        if held:
            torn = torn and (self._last_bad or half > 0)
            _tell(held[0], self._bad + half, torn, overlong, self._nulls)
        if len(held) == 1:
            held[0].id = run_name(self._path)
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


def record_of(line: bytes) -> dict[str, Any] | None:
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


def _tell(log: Log, bad: int, torn: bool, overlong: int, nulls: int) -> None:
    if bad and torn:
        log.note("torn-line", "The last line was cut (still being written?) and left out.")
        bad -= 1
    if bad:
        log.note("bad-lines", f"{bad:,} line(s) that are no JSON record were left out.", bad)
    if overlong:
        log.note("overlong-lines", f"{overlong:,} line(s) of extreme length were left out.", overlong)
    if nulls:
        text = (
            f"{nulls:,} value(s) are null; verl's file logger writes null for NaN, so they may have been NaN."
        )
        log.note("null-values", text, nulls)
