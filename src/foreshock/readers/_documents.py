"""JSON documents that hold a list of records, read as far as they are whole."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from foreshock.errors import UnreadableError
from foreshock.readers._sniff import MAX_DOCUMENT, loads

_SPACE = re.compile(r"[\s,]*")


def load_document(path: Path) -> tuple[Any, str]:
    """A JSON file: (document, ""), or (None, its text) where it is not valid as a whole.

    Raises:
        UnreadableError: larger than a document can be read at once.
    """
    size = path.stat().st_size
    if size > MAX_DOCUMENT:
        raise UnreadableError(
            f"{path} is one JSON document of {size >> 20} MiB; up to {MAX_DOCUMENT >> 20} MiB are read at "
            "once, write JSON lines (one record per line) instead"
        )
    data = path.read_bytes()
    try:
        return loads(data), ""
    except ValueError:
        return None, data.decode("utf-8", errors="replace")


def leading_records(text: str, start: int) -> list[dict[str, Any]]:
    """The complete records at the beginning of the list whose `[` is at `start` in a damaged text."""
    decoder = json.JSONDecoder()
    records: list[dict[str, Any]] = []
    place = start + 1
    while True:
        match = _SPACE.match(text, place)
        place = match.end() if match else place
        try:
            record, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return records
        if not isinstance(record, dict):
            return records
        records.append(record)
