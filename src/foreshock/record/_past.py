"""What earlier attempts left in the folder of a run: how many there were, their last step and evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson


@dataclass
class Past:
    """What a resumed process must know of the attempts before it."""

    attempts: int = 0
    last_step: int | None = None
    evidence: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def past_of(folder: Path, process: str) -> Past:
    """Read the journals that `process` left in `folder`.

    Raises:
        OSError: one of them cannot be read.
    """
    past = Past()
    if folder.is_dir():
        paths = [folder / f"journal-{process}.jsonl", *sorted(folder.glob(f"journal-{process}-*.jsonl"))]
        for path in paths:
            if path.is_file():
                _read(path, past)
    return past


def _read(path: Path, past: Past) -> None:
    row = b""
    with path.open("rb") as lines:
        for line in lines:
            # Most lines are rows; only the last one of them is worth decoding.
            if line.startswith(b'{"step":'):
                row = line if line.endswith(b"\n") else row
            elif line.startswith((b'{"start":', b'{"evidence":')):
                _take(line, past)
    record = _loads(row)
    if isinstance(record.get("step"), int):
        past.last_step = max(record["step"], past.last_step or 0)


def _take(line: bytes, past: Past) -> None:
    record = _loads(line)
    start = record.get("start")
    if isinstance(start, dict) and isinstance(start.get("attempt"), int):
        past.attempts = max(past.attempts, start["attempt"])
        if isinstance(start.get("last_step"), int):  # the rest was sealed
            past.last_step = start["last_step"]
    data = record.get("data")
    if isinstance(record.get("evidence"), str) and isinstance(data, dict):
        # A line leaves out what had not changed since the line before it.
        past.evidence[record["evidence"]] = {**past.evidence.get(record["evidence"], {}), **data}


def _loads(line: bytes) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
