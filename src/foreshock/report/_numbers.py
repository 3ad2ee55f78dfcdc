"""Sentences whose every number is a field of the document, and how numbers are printed.

A sentence is written as a template whose gaps name JSON pointers (RFC 6901) into the document. The value is
looked up there and nowhere else, so a sentence cannot say a number that the JSON does not hold; the printed
text, the value and the pointer are kept together, and a test parses them back.
"""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Sentence = dict[str, Any]  # {"text": str, "numbers": [{"shown", "value", "path", "scale", "bound"}]}

SMALLEST_P = 0.001  # below this a p-value is told as a bound: its tail is a fit, not a measurement


def pointer(*parts: str | int) -> str:
    """JSON pointer of nested keys: `pointer("signals", "a/b")` -> "/signals/a~1b"."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def look_up(document: Any, path: str) -> Any:
    """The value at a JSON pointer.

    Raises:
        KeyError, IndexError: there is no such field.
    """
    value = document
    for part in path.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        value = value[int(key)] if isinstance(value, Sequence) and not isinstance(value, str) else value[key]
    return value


def decimals_for(noise_sd: float | None, low: float, high: float) -> int:
    """Decimals worth printing: down to about a third of the noise, else four figures of the range."""
    scale = noise_sd if noise_sd and math.isfinite(noise_sd) else (high - low) / 1000
    if not math.isfinite(scale) or scale <= 0:
        scale = max(abs(high), abs(low)) / 1000 if math.isfinite(high) and math.isfinite(low) else 0.0
    if not math.isfinite(scale) or scale <= 0:
        return 2
    return min(max(math.ceil(-math.log10(scale)), 0), 12)


def show_value(value: Any, decimals: int) -> str:
    """A metric's value; very large or very small ones in powers of ten, non-finite ones by name."""
    if isinstance(value, str) or value is None:
        return str(value)
    if not math.isfinite(value):
        return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")
    if abs(value) >= 1e7 or (decimals > 5 and abs(value) < 1e-3 and value != 0):
        return f"{value:.2e}"
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def show_percent(value: float) -> str:
    """A percentage: one decimal below 10, none above."""
    return f"{value:.1f}" if abs(value) < 9.95 else f"{value:.0f}"


def show_p(value: float) -> str:
    """A p-value with one or two figures; the caller words the bound."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.1g}"


@dataclass(frozen=True)
class Gap:
    """A gap of a template: where its number stands and how it is printed.

    Styles: "step" and "count" (integers), "value" (with `decimals`), "percent", "share" (a fraction shown as
    a percentage), "ratio" (one decimal), "correlation" (two decimals), "p" (with "=" or "<").
    """

    path: str
    style: str
    decimals: int = 2


class Writer:
    """Writes sentences about one document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document

    def say(self, template: str, **gaps: Gap | str) -> Sentence:
        """Fill the gaps of `template`; a plain string is a name or a word and is put in as it is."""
        numbers: list[dict[str, Any]] = []
        filled: list[str] = []
        for literal, name, _, _ in string.Formatter().parse(template):
            filled.append(literal)
            if name is None:
                continue
            gap = gaps[name]
            filled.append(gap if isinstance(gap, str) else self._number(gap, numbers))
        return {"text": "".join(filled), "numbers": numbers}

    def _number(self, gap: Gap, numbers: list[dict[str, Any]]) -> str:
        value = look_up(self.document, gap.path)
        entry: dict[str, Any] = {"shown": "", "value": value, "path": gap.path}
        prefix = ""
        if gap.style in ("step", "count"):
            shown = str(value)
        elif gap.style == "percent":
            shown = show_percent(value)
        elif gap.style == "share":
            shown = show_percent(100 * value)
            entry["scale"] = 100
        elif gap.style == "ratio":
            shown = f"{value:.1f}"
        elif gap.style == "correlation":
            shown = show_value(value, 2)
        elif gap.style == "p":
            below = value < SMALLEST_P
            shown = show_p(SMALLEST_P if below else value)
            prefix = "< " if below else "= "
            if below:
                entry["bound"] = "below"
        else:
            shown = show_value(value, gap.decimals)
        entry["shown"] = shown
        if isinstance(value, (int, float)):
            numbers.append(entry)
        return prefix + shown
