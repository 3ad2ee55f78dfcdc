"""Sentences whose every number is a field of the document, and how numbers are printed.

A sentence is written as a template whose gaps name JSON pointers (RFC 6901) into the document. The value is
looked up there and nowhere else, so a sentence cannot say a number that the JSON does not hold; the printed
text, the value and the pointer are kept together, and a test parses them back.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Document = Mapping[str, Any]
# {"text": str, "numbers": [{"shown", "value", "path", "scale"?, "bound"?}], "quotes": [{"shown", "path"}]}
Sentence = dict[str, Any]

SMALLEST_P = 0.001  # below this a p-value is told as a bound: its tail is a fit, not a measurement
_GRAIN = 30  # steps of print within the range of a signal, at least
_FIGURES = 1e-4  # of the largest value: what lies below is not printed


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


def is_number(value: object) -> bool:
    """Whether a field holds a finite number (not null, not "NaN")."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def one_line(text: object) -> str:
    """Text from a log on one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def name_of(text: object) -> str:
    """A name from a log as it stands in a sentence: in backticks, which mark it as a name."""
    return "`" + one_line(text).replace("`", "'") + "`"


def decimals_for(noise_sd: float | None, low: float, high: float) -> int:
    """Decimals worth printing: what the noise, or a thirtieth of the range, still lets one tell apart.

    No more than about five figures in all; a constant keeps up to six.
    """
    largest = max(abs(low), abs(high))
    if not math.isfinite(largest) or largest == 0:
        return 0
    if low == high:
        return min(max(-int(Decimal(f"{largest:.6g}").as_tuple().exponent), 0), 12)
    scale = high / _GRAIN - low / _GRAIN  # the difference itself may be infinite
    if noise_sd is not None and math.isfinite(noise_sd) and noise_sd > 0:
        scale = min(scale, noise_sd)
    scale = max(scale, largest * _FIGURES)
    if not scale:
        return 12
    return min(max(math.ceil(-math.log10(scale)), 0), 12)


def show_value(value: Any, decimals: int) -> str:
    """A metric's value; very large or very small ones in powers of ten, non-finite ones by name."""
    if isinstance(value, str) or value is None:
        return "unknown" if value is None else value
    if abs(value) >= 1e7 or (decimals > 5 and 0 < abs(value) < 1e-3):
        return f"{value:.2e}"
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def show_figures(value: float, figures: int = 2) -> str:
    """A number with so many significant figures, as a plain decimal where that is short."""
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(value)))
    if power < -5 or power >= 7:
        return f"{value:.{figures - 1}e}"
    return f"{value:.{max(0, figures - 1 - power)}f}"


def show_multiple(value: float) -> str:
    """A percentage or a multiple: one decimal below 10 (none where it would be 0), none above.

    Powers of ten where it is absurdly large.
    """
    if abs(value) >= 1e5:
        return f"{value:.1e}"
    return f"{value:.1f}".removesuffix(".0") if abs(value) < 9.95 else f"{value:.0f}"


@dataclass(frozen=True)
class Gap:
    """A gap of a template: where its number stands and how it is printed.

    Styles: "step" and "count" (integers), "value" (with `decimals`), "exact" (up to six figures), "figures"
    (two significant ones), "spread" (the same; what is nothing beside the `decimals` of the signal is 0),
    "percent", "share" (a fraction shown as a percentage), "ratio", "correlation" (two decimals), "p" (with
    "=" or "<"), "quote" (a text of the document, word for word).
    """

    path: str
    style: str
    decimals: int = 2


class Writer:
    """Writes sentences and tables about one document."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def say(self, template: str, **gaps: Gap | str) -> Sentence:
        """Fill the gaps of `template`; a plain string is a name or a word and is put in as it is."""
        numbers: list[dict[str, Any]] = []
        quotes: list[dict[str, Any]] = []
        filled: list[str] = []
        for literal, name, _, _ in string.Formatter().parse(template):
            filled.append(literal)
            if name is None:
                continue
            gap = gaps[name]
            if isinstance(gap, str):
                filled.append(gap)
            elif gap.style == "quote":
                shown = one_line(look_up(self.document, gap.path))
                quotes.append({"shown": shown, "path": gap.path})
                filled.append(shown)
            else:
                shown, entry = self.show(gap)
                numbers += [entry] if entry else []
                filled.append(shown)
        return {"text": "".join(filled), "numbers": numbers, "quotes": quotes}

    def show(self, gap: Gap) -> tuple[str, dict[str, Any] | None]:
        """The printed number, and its entry (None where the field holds no finite number)."""
        value = look_up(self.document, gap.path)
        if not is_number(value):
            return ("unknown" if value is None else str(value)), None
        entry: dict[str, Any] = {"shown": "", "value": value, "path": gap.path}
        prefix = ""
        if gap.style == "p":
            below = value < SMALLEST_P
            shown = show_figures(SMALLEST_P, 1) if below else show_figures(value)
            prefix = "< " if below else "= "
            if below:
                entry["bound"] = "below"
        elif gap.style == "share":
            shown = show_multiple(100 * value)
            entry["scale"] = 100
        else:
            shown = _SHOW[gap.style](value, gap.decimals)
        entry["shown"] = shown
        return prefix + shown, entry

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Gap | str]]) -> dict[str, Any] | None:
        """A table of texts, None without rows; `numbers` says of its numeric cells what sentences say."""
        numbers: list[dict[str, Any]] = []
        texts: list[list[str]] = []
        for row, cells in enumerate(rows):
            texts.append([])
            for column, cell in enumerate(cells):
                shown, entry = (one_line(cell), None) if isinstance(cell, str) else self.show(cell)
                texts[-1].append(shown.removeprefix("= "))
                if entry:
                    numbers.append({"row": row, "column": column, **entry})
        return {"columns": list(columns), "rows": texts, "numbers": numbers} if rows else None


_SHOW: dict[str, Callable[[Any, int], str]] = {
    "step": lambda value, _: str(int(value)),
    "count": lambda value, _: str(int(value)),
    "value": show_value,
    "exact": lambda value, _: f"{value:.6g}",
    "figures": lambda value, _: show_figures(value),
    "spread": lambda value, decimals: show_figures(value) if abs(value) > 10.0 ** -(decimals + 4) else "0",
    "percent": lambda value, _: show_multiple(value),
    "ratio": lambda value, _: show_multiple(value),
    "correlation": lambda value, _: show_value(value, 2),
}
