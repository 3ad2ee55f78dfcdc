"""Metric dicts in console text: found, joined where the terminal broke them, and parsed without eval."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import orjson

from foreshock.readers._bars import without_bars
from foreshock.readers._console import number

_OPEN = re.compile(r"\{\s*(?=['\"])")
_ITEM = re.compile(
    r"""\s*(?:'([^'\\]{1,200})'|"([^"\\]{1,200})")\s*:\s*
        ( '[^'\\]{0,2000}' | "[^"\\]{0,2000}"            # quoted number or text
        | [\w.+\-]+(?:\((?:[^()]|\([^()]*\)){0,500}\))?  # bare number, None, np.float64(...), tensor(...)
        | \[[^\[\]{}]{0,2000}\] )
        \s*([,}])""",
    re.VERBOSE,
)
# What may stand at the end of a line that the terminal broke inside a dict.
_PARTIAL = re.compile(
    r"""\s*(?:'[^'\\]{0,200}|"[^"\\]{0,200}
        |(?:'[^'\\]{1,200}'|"[^"\\]{1,200}")\s*(?::\s*(?:'[^'\\]{0,2000}'?|"[^"\\]{0,2000}"?|[\w.+\-(][^{}]{0,500}|\[[^\[\]{}]{0,2000}\]?)?)?)?$""",
    re.VERBOSE,
)
_NESTED = re.compile(r"""\s*(?:'[^'\\]{1,200}'|"[^"\\]{1,200}")\s*:\s*\{""")
_LONGEST = 1 << 16
"""Longest dict that is put together from several lines, in characters."""


Items = dict[str, float | str | None]


class Found(NamedTuple):
    """One dict: bare numbers as numbers, quoted ones and texts as text, all else None.

    `before` is the text on its line before it, `parts` the number of lines it was broken over.
    """

    items: Items
    before: str
    parts: int


class Dicts:
    """Finds flat dicts in lines fed one by one; a dict may run over several lines, even inside a key."""

    def __init__(self) -> None:
        self.lost = 0
        self._text = ""
        self._at = 0
        self._before = ""
        self._items: Items | None = None
        self._parts = 0

    @property
    def pending(self) -> bool:
        """Whether a dict is open at the end of the lines fed so far."""
        return self._items is not None

    def feed(self, line: str) -> list[Found]:
        """The dicts that end in this line."""
        if self._items is None:
            if "{" not in line or len(line) > _LONGEST:
                return []
            self._text, self._at = line, 0
        else:
            if "%" in line:
                line = without_bars(line)
            self._text += line
            self._parts += 1
        found: list[Found] = []
        while self._advance(found):
            pass
        return found

    def _advance(self, found: list[Found]) -> bool:
        """Take the next dict of the text; False when the text is used up or a dict stays open."""
        if self._items is None:
            start = _OPEN.search(self._text, self._at)
            if start is None:
                return False
            self._before = self._text[max(0, start.start() - 200) : start.start()]
            self._at, self._items, self._parts = start.end(), {}, 1
            self._start = start.end()
            quick = _quick(self._text, start.start())
            if quick is not None:
                self._items, self._at = None, quick[1]
                found.append(Found(quick[0], self._before, 1))
                return True
        while (item := _ITEM.match(self._text, self._at)) is not None:
            text = item.group(3)
            self._items[item.group(1) or item.group(2)] = text[1:-1] if text[0] in "'\"" else number(text)
            self._at = item.end()
            if item.group(4) == "}":
                found.append(Found(self._items, self._before, self._parts))
                self._items = None
                return True
        if len(self._text) < _LONGEST and _PARTIAL.match(self._text, self._at):
            return False
        # Not a flat dict. What follows its opening, including lines taken in meanwhile, is looked at again.
        self.lost += self._parts > 1 and len(self._items) > 2
        self._items, self._at = None, self._start
        return True


def _quick(text: str, start: int) -> tuple[Items, int] | None:
    """The dict that begins at `start` and the place after it, if it stands whole in `text` and is plain.

    A dict of plain numbers is JSON but for its quotes; a nan or an escape in it is left to the scanner.
    """
    stop = text.find("{", start + 1)  # so that text full of braces is not searched again and again
    end = text.find("}", start, stop if stop > 0 else start + _LONGEST) + 1
    if not end:
        return None
    try:
        items = orjson.loads(text[start:end].replace("'", '"'))
    except orjson.JSONDecodeError:
        return None
    kept = {
        k: v if isinstance(v, (int, float, str)) and v is not True and v is not False else None
        for k, v in items.items()
    }
    return kept, end


def numbers(items: Mapping[str, float | str | None]) -> dict[str, float]:
    """The items that are numbers, quoted or not."""
    values: dict[str, float] = {}
    for key, held in items.items():
        value = number(held) if isinstance(held, str) else held
        if value is not None:
            values[key] = value
    return values
