"""CSV and TSV tables with a header: commas, semicolons, tabs or bars; comments, ragged rows.

W&B's exports ("run name - train/reward" columns), TensorBoard's ("Wall time,Step,Value") and tables with one
row per value (`step,metric,value`) are understood too.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from foreshock.errors import NotARunError, UnreadableError
from foreshock.readers._log import Log
from foreshock.readers._records import number_in
from foreshock.readers._sniff import HEAD, MAX_LINE, head_of, run_name
from foreshock.readers._tables import table_logs

NAME = "csv_table"
DESCRIPTION = "CSV and TSV tables: one row per step, one row per value, or a W&B or TensorBoard export"

_DELIMITERS = (",", "\t", ";", "|")
_SUFFIXES = (".csv", ".tsv")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")


def recognises(path: Path, head: bytes) -> bool:
    """By its name, or a header of names over rows with as many cells, some of them numbers."""
    text = head.decode("utf-8", errors="replace")
    if path.suffix.lower() in _SUFFIXES:
        return "\0" not in text
    whole = text if text.endswith("\n") or len(head) < HEAD else text.rpartition("\n")[0]
    lines = [line for line in whole.splitlines() if line.strip() and not line.startswith("#")][:20]
    if len(lines) < 2:
        return False
    delimiter = _delimiter(lines)
    if delimiter is None or not _is_header(_cells(lines[0], delimiter)):
        return False
    width = len(_cells(lines[0], delimiter))
    rows = [_cells(line, delimiter) for line in lines[1:]]
    fitting = [row for row in rows if len(row) == width and any(number_in(c) is not None for c in row)]
    return 2 * len(fitting) > len(rows)


def read(path: Path) -> list[Log]:
    """The runs in the table.

    Cells that are empty or no number are not logged; `nan` and `inf` are. Where the file does not end with a
    line end, its last cell may be the beginning of a longer number and is left out.

    Raises:
        UnreadableError: the header holds numbers, or only one column.
        NotARunError: no number below the header.
    """
    head = head_of(path)
    lines = [line for line in head.decode("utf-8", errors="replace").splitlines() if line.strip()]
    marked = [line for line in lines if not line.startswith("#")]
    if not marked:
        raise NotARunError(f"{path} holds no table")
    delimiter = _delimiter(marked[:20]) or max(_DELIMITERS, key=lambda sign: len(_cells(marked[0], sign)))
    header, skipped = _header(path, lines, marked, delimiter)
    rows = _Rows(path, len(header), delimiter, skipped, torn=not _ends_with_newline(path))
    logs = table_logs(_unique(header), rows, run_name(path), path, NAME)
    if not logs:
        raise NotARunError(f"{path} is a table without a number below its header ({', '.join(header[:8])})")
    rows.tell(logs[0])
    return logs


def _delimiter(lines: list[str]) -> str | None:
    """The sign that splits the first line, and most others equally often."""
    best, score = None, 0
    for sign in _DELIMITERS:
        counts = [len(_cells(line, sign)) for line in lines]
        agreeing = sum(count == counts[0] for count in counts) if counts[0] > 1 else 0
        if agreeing * counts[0] > score and 2 * agreeing >= len(counts):
            best, score = sign, agreeing * counts[0]
    return best


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _is_header(cells: list[str]) -> bool:
    """Names: at least two columns, of which at most half (run numbers as column names) are numbers."""
    names = [cell for cell in cells if cell.strip() and number_in(cell) is None]
    return len(cells) > 1 and 2 * len(names) >= len(cells)


def _header(path: Path, lines: list[str], marked: list[str], delimiter: str) -> tuple[list[str], int]:
    """(column names, rows to skip); a commented first line serves where the table itself has no header."""
    cells = _cells(marked[0], delimiter)
    if _is_header(cells):
        return [cell.strip() for cell in cells], 1
    commented = _cells(lines[0].lstrip("# "), delimiter) if lines[0].startswith("#") else []
    if len(commented) == len(cells) and _is_header(commented):
        return [cell.strip() for cell in commented], 0
    shown = ", ".join(cells[:6])[:80]
    if len(cells) < 2:
        raise UnreadableError(f"{path} is no table: its first line has one column only ({shown})")
    raise UnreadableError(
        f"{path} has no header: its first line holds values ({shown}), not column names; add a line with the "
        "names, for example step,reward,response_length"
    )


def _unique(header: list[str]) -> list[str]:
    """Column names, the second of a name as "name.2"."""
    seen: dict[str, int] = {}
    result = []
    for name in header:
        seen[name] = seen.get(name, 0) + 1
        result.append(f"{name}.{seen[name]}" if name and seen[name] > 1 else name)
    return result


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) in b"\r\n"


@dataclass
class _Rows:
    """The rows below the header as texts; counts what does not fit."""

    path: Path
    width: int
    delimiter: str
    skipped: int
    torn: bool
    long: int = 0
    short: int = 0
    bad: int = 0
    commas: int = 0

    def __iter__(self) -> Iterator[list[str]]:
        csv.field_size_limit(MAX_LINE)
        waiting: list[str] | None = None
        with self.path.open(encoding="utf-8", errors="replace", newline="") as file:
            reader = csv.reader((line.replace("\0", "") for line in file), delimiter=self.delimiter)
            skip = self.skipped
            while True:
                try:
                    row = next(reader)
                except StopIteration:
                    break
                except csv.Error:
                    self.bad += 1
                    continue
                if not row or row[0].startswith("#"):
                    continue
                if skip:
                    skip -= 1
                    continue
                if waiting is not None:
                    yield self._checked(waiting)
                waiting = row
        if waiting is not None:
            yield self._checked(waiting[:-1] if self.torn else waiting)

    def _checked(self, row: list[str]) -> list[str]:
        self.long += len(row) > self.width
        self.short += len(row) < self.width
        if self.delimiter == ";":
            for place, cell in enumerate(row):
                if _DECIMAL_COMMA.fullmatch(cell):
                    row[place] = cell.replace(",", ".")
                    self.commas += 1
        return row[: self.width]

    def tell(self, log: Log) -> None:
        """Note what was repaired."""
        if self.torn:
            log.note(
                "torn-line",
                "The file does not end with a line end: its last cell may be cut and was left out.",
            )
        short = self.short - self.torn
        if self.long or short > 0:
            count = self.long + max(short, 0)
            text = f"{count:,} row(s) have more or fewer cells than the header; extra cells were left out."
            log.note("ragged-rows", text, count)
        if self.bad:
            log.note("bad-lines", f"{self.bad:,} row(s) could not be split into cells.", self.bad)
        if self.commas:
            log.note("decimal-commas", f"{self.commas:,} numbers have a decimal comma.", self.commas)
