"""Numbers out of the JSON that W&B and Trackio keep."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_DEEPEST = 8
_LONGEST_FACT = 500
_SECRET = re.compile(r"token$|secret|passw|api_?key|credential", re.IGNORECASE)


def number(value: Any) -> float | None:
    """The value as a number; None for text, lists and the like.

    Booleans count as 0 and 1. The words NaN, Infinity and -Infinity are what Trackio writes for them.
    """
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            return None
    return _NON_FINITE.get(value) if isinstance(value, str) else None


def flat(values: dict[str, Any], prefix: str = "", depth: int = _DEEPEST) -> Iterator[tuple[str, Any]]:
    """Leaves of nested dictionaries under keys joined with ".", as W&B names them.

    A dictionary with a `_type` is a chart, an image or a table: it is one leaf.
    """
    for key, value in values.items():
        if isinstance(value, dict) and "_type" not in value and depth:
            yield from flat(value, f"{prefix}{key}.", depth - 1)
        else:
            yield f"{prefix}{key}", value


def settings(values: dict[str, Any]) -> dict[str, Any]:
    """A run's configuration for its facts: flat, without the tracker's own entries and without secrets."""
    return {
        key: value
        for key, value in flat({k: v for k, v in values.items() if not str(k).startswith("_")})
        if isinstance(value, (int, float, str))
        and len(str(value)) <= _LONGEST_FACT
        and not _SECRET.search(key)
    }
