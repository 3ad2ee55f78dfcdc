"""Values of a sample as what may be written: plain, every text through the hook, none too long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_MAX_TEXT = 100_000  # characters kept of one text
_DEPTH = 8


class Cleaner:
    """Turns values into what JSON can hold, every text through the hook first."""

    def __init__(self, redact: Callable[[str], str] | None) -> None:
        self._redact = redact
        self.cut = False

    def text(self, value: Any) -> Any:
        """A prompt or completion; token ids are numbers, which a hook cannot read."""
        if self._redact is not None and _are_ids(value):
            return None
        return self.value(value)

    def value(self, value: Any, depth: int = 0) -> Any:
        """Any value."""
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, Mapping) and depth < _DEPTH:
            return {self._one(str(key)): self.value(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, (list, tuple)) and depth < _DEPTH:
            return [self.value(inner, depth + 1) for inner in value]
        tolist = getattr(value, "tolist", None)  # NumPy and torch
        if callable(tolist) and depth < _DEPTH:
            return self.value(tolist(), depth + 1)
        return self._one(str(value))

    def _one(self, text: str) -> str:
        if self._redact is not None:
            text = self._redact(text)
            if not isinstance(text, str):
                raise TypeError("the hook gave no text")
        if len(text) > _MAX_TEXT:
            self.cut = True
        return text[:_MAX_TEXT]


def _are_ids(value: Any) -> bool:
    values = value.tolist() if hasattr(value, "tolist") else value
    return isinstance(values, (list, tuple)) and any(isinstance(one, (int, float)) for one in values)
