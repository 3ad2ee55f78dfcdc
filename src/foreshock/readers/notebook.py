"""Jupyter notebooks: the log stands in the printed outputs of their code cells.

Each output stream (a string or a list of strings) is read as a console: verl's, TRL's, or `key: value` lines.
The HTML table that the Trainer of Hugging Face shows in notebooks (Step, Training Loss, reward, ...) is
read too, where the cell has no console rows.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foreshock.errors import NotARunError, UnreadableError
from foreshock.readers import kv_console, trl_console, verl_console
from foreshock.readers._console import number, strip_ansi
from foreshock.readers._log import Log
from foreshock.readers._sniff import loads, run_name

NAME = "notebook"
DESCRIPTION = "Jupyter notebook with the log in its outputs"

_LARGEST = 512 << 20
"""Largest notebook that is read, in bytes: JSON has to be parsed as a whole."""
_MARK = re.compile(rb'"(?:cells|nbformat|cell_type|worksheets)"\s*:')
_ROW = re.compile(r"<tr[^>]*>(.*?)</tr>", re.IGNORECASE | re.DOTALL)
_CELL = re.compile(r"<t[hd][^>]*>(.*?)</t[hd]>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


def recognises(path: Path, head: bytes) -> bool:
    """Whether this is a notebook: a JSON object that begins with cells or ends in .ipynb."""
    if path.is_dir() or not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return False
    marked = _MARK.search(head) is not None
    return marked and (path.suffix.lower() == ".ipynb" or b'"cell_type"' in head)


def read(path: Path) -> list[Log]:
    """The runs printed by the notebook: one per code cell that prints metric rows.

    Cannot see: outputs that were cleared, and charts kept as pictures.

    Raises:
        UnreadableError: the file is no complete JSON, or larger than 512 MiB.
        NotARunError: no output holds rows of metrics.
    """
    if path.stat().st_size > _LARGEST:
        raise UnreadableError(f"{path} is larger than 512 MiB; save its printed output as a text file")
    try:
        document = loads(path.read_bytes())
    except ValueError as error:
        raise UnreadableError(
            f"{path} is a notebook whose JSON is broken ({error}); open and save it again, "
            "or save its printed output as a text file"
        ) from None
    logs = []
    for place, cell in enumerate(_code_cells(document)):
        log = _log_of(path, cell)
        if log is not None:
            log.facts["cell"] = place
            logs.append(log)
    if not logs:
        raise NotARunError(f"{path} is a notebook whose outputs hold no rows of metrics; were they cleared?")
    if len(logs) > 1:
        for log in logs:
            log.id = f"{log.id}-cell-{log.facts['cell']}"
    return logs


def _code_cells(document: Any) -> Iterator[list[Any]]:
    """The outputs of each cell, in order; an empty list where it has none."""
    cells = document.get("cells") if isinstance(document, dict) else None
    if cells is None and isinstance(document, dict):  # nbformat 3 keeps them in worksheets
        sheets = document.get("worksheets")
        cells = [c for s in sheets if isinstance(s, dict) for c in s.get("cells") or []] if sheets else []
    for cell in cells if isinstance(cells, list) else []:
        outputs = cell.get("outputs") if isinstance(cell, dict) else None
        yield [o for o in outputs if isinstance(o, dict)] if isinstance(outputs, list) else []


def _text(value: Any) -> str:
    """A multi-line string of the notebook format: one string or a list of them."""
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _log_of(path: Path, outputs: list[Any]) -> Log | None:
    """The rows printed by one cell, or None; the most specific form of console that gives rows."""
    printed = "".join(_text(o.get("text")) for o in outputs if o.get("output_type") in ("stream", "pyout"))
    lines = [strip_ansi(line) for line in printed.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    log = Log(run_name(path), str(path), NAME)
    verl_console.fill(log, lines)
    if not log.rows:
        log = Log(log.id, log.source, NAME)
        trl_console.fill(log, lines)
    if not log.rows:
        log = Log(log.id, log.source, NAME)
        _fill_from_tables(log, outputs)
    if not log.rows:
        log = Log(log.id, log.source, NAME)
        kv_console.fill(log, lambda: lines)
    return log if log.rows else None


def _fill_from_tables(log: Log, outputs: list[Any]) -> None:
    """The table with a Step column that the Trainer's notebook callback shows; the longest one counts."""
    best: list[list[str]] = []
    for output in outputs:
        data = output.get("data")
        page = _text(data.get("text/html")) if isinstance(data, dict) else ""
        if "<td" not in page.lower():
            continue
        table = [[_plain(cell) for cell in _CELL.findall(row)] for row in _ROW.findall(page)]
        table = [row for row in table if row]
        if table and "step" in [key.lower() for key in table[0]] and len(table) > len(best):
            best = table
    if len(best) < 2:
        return
    keys = best[0]
    at = [key.lower() for key in keys].index("step")
    for row in best[1:]:
        values = {key: number(cell) for key, cell in zip(keys, row, strict=False)}
        step = values.pop(keys[at])
        numeric = {key: value for key, value in values.items() if value is not None}
        if step is not None and numeric:
            log.add(numeric, step)


def _plain(cell: str) -> str:
    return html.unescape(_TAG.sub("", cell)).strip()
