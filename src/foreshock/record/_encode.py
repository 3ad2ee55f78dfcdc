"""From what a training script logs to lines of JSON that lose nothing: NaN and infinities are strings.

JSON has no NaN; orjson would write null, which cannot be told from "not logged".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from foreshock.record.secrets import mask_text

_TEXT = 2000  # characters kept of a value that JSON has no form for
_DEPTH = 20


class NotANumberError(TypeError):
    """A value under `metrics` that is no number; the row is kept without it."""


def line(record: Mapping[str, Any]) -> bytes:
    """One line of the journal, newline included."""
    try:
        encoded = orjson.dumps(record, default=_scalar, option=orjson.OPT_APPEND_NEWLINE)
    except (TypeError, ValueError):  # keys that are no text, integers of over 64 bits, lone surrogates
        return _slow(record)
    return _slow(record) if b"null" in encoded else encoded


def row(step: int, time: float, metrics: Mapping[Any, Any]) -> tuple[bytes, list[str]]:
    """(line for one step, names of metrics that were left out because they are no numbers).

    Texts stay in the line, though no reader makes a curve of them; None is "not logged" and goes.
    """
    try:
        encoded = orjson.dumps(
            {"step": step, "time": time, "metrics": metrics},
            default=_scalar,
            option=orjson.OPT_APPEND_NEWLINE,
        )
        # The sum is not finite if any value is not, and this is the fastest way to ask.
        if math.isfinite(math.fsum(metrics.values())) or b"null" not in encoded:
            return encoded, []
    except (TypeError, ValueError, OverflowError):
        pass  # None, a text, a nested mapping, an integer of over 64 bits, a tensor of many values
    kept, refused = _numbers(metrics)
    return line({"step": step, "time": time, "metrics": kept}), refused


def _numbers(metrics: Mapping[Any, Any]) -> tuple[dict[str, Any], list[str]]:
    """(what can be kept, with NaN and infinities as strings; names of what cannot)."""
    kept: dict[str, Any] = {}
    refused = []
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            kept[str(key)], bad = _numbers(value)
            refused += [f"{key}/{name}" for name in bad]
        elif value is not None:
            try:
                if isinstance(value, str):
                    value = mask_text(value)
                kept[str(key)] = _plain(value if isinstance(value, (int, float, str)) else _scalar(value), 0)
            except TypeError:
                refused.append(str(key))
    return kept, refused


def _scalar(value: Any) -> int | float:
    """The number in a NumPy, torch or other scalar.

    Raises:
        TypeError: it holds no single number.
    """
    if isinstance(value, bytes):
        raise NotANumberError("bytes are no number")
    item = getattr(value, "item", None)
    try:
        number = item() if callable(item) else float(value)
    except Exception as error:
        raise NotANumberError(f"{type(value).__name__} is no number") from error
    if not isinstance(number, (int, float)):  # a complex number, a date
        raise NotANumberError(f"{type(value).__name__} is no number")
    return number


def _slow(record: Mapping[str, Any]) -> bytes:
    return json.dumps(_plain(record, 0), separators=(",", ":")).encode() + b"\n"


def _plain(value: Any, depth: int) -> Any:
    """`value` in what JSON can hold."""
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if depth > _DEPTH:
        return "..."
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(inner, depth + 1) for inner in value]
    try:
        return _plain(_scalar(value), depth + 1)
    except TypeError:
        return str(value)[:_TEXT]
