"""Numbers as logs write them, and records flattened to metric -> number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_WRAPPED = re.compile(r"(?:np|numpy|torch)?\.?(?:float|int|bfloat|uint|tensor)\d*\(([^(),]+)(?:,[^()]*)?\)")
_MAX_DEPTH = 20
_WHOLE = 2**53


def number(value: object) -> float | None:
    """The number that a logged value stands for, or None where it is none.

    Takes numbers, booleans (1 and 0), and texts of them: `"0.5"` (newer TRL quotes every number), `"NaN"`,
    `"-Infinity"`, `"np.float64(0.5)"`, `"tensor(0.5)"`.
    """
    if isinstance(value, (float, int)):
        try:
            return float(value)
        except OverflowError:
            return None
    if isinstance(value, str):
        return number_in(value)
    return None


def number_in(text: str) -> float | None:
    """The number that the whole of `text` spells, or None."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        wrapped = _WRAPPED.fullmatch(text.strip())
        return number_in(wrapped[1]) if wrapped else None


def flatten(record: Mapping[str, Any]) -> dict[str, float]:
    """Metrics of one record: nested mappings joined with "/", everything that is no number left out."""
    flat: dict[str, float] = {}
    for key, value in record.items():
        if type(value) is float or (type(value) is int and -_WHOLE < value < _WHOLE):  # almost always
            flat[key] = value
        elif isinstance(value, dict):
            _descend(key, value, flat, _MAX_DEPTH)
        else:
            found = number(value)
            if found is not None:
                flat[str(key)] = found
    return flat


def _descend(prefix: str, record: Mapping[str, Any], flat: dict[str, float], depth: int) -> None:
    for key, value in record.items():
        if isinstance(value, dict):
            if depth:
                _descend(f"{prefix}/{key}", value, flat, depth - 1)
        else:
            found = number(value)
            if found is not None:
                flat[f"{prefix}/{key}"] = found
