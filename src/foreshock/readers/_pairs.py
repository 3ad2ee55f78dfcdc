"""`key: value` pairs out of one console line, in the many ways that people print them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from foreshock.readers._bars import without_bars
from foreshock.readers._console import number, strip_ray

LONGEST = 4000
"""Longest line that is looked at, in characters: no person reads metrics in a longer one."""

_WORD = r"[A-Za-z_(][\w./@%()\[\]*^\-]{0,80}"
_KEY = rf"{_WORD}(?: {_WORD}){{0,5}}"
_WHOLE_KEY = re.compile(_KEY)
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$")
_NUM = r"[+-]?(?:\d+(?:,\d{3})*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_VALUE = (
    rf"(?:{_NUM}|[+-]?(?i:nan|inf(?:inity)?)|['\"]{_NUM}['\"]"
    r"|(?:(?:np|numpy|torch)\.)?(?:float|int|tensor)\d*\([^()]{1,80}\))"
)
_UNIT = (
    r"\s?(?:%|s|ms|sec|secs|seconds|min|h|tok|toks|tokens|steps|tok/s|tokens/s|it/s|s/it|samples/s|[KMG]i?B)"
)
_TAIL = rf"(?:\s?/\s?(?P<total>\d[\d,]*)(?![.\d\w]))?(?P<unit>{_UNIT})?"
_WHOLE = re.compile(rf"(?P<key>{_KEY}?)\s*(?P<sep>[:=]|->|=>)?\s*(?P<value>{_VALUE}){_TAIL}")
_INSIDE = re.compile(
    rf"(?<![\w./@%\-])(?P<key>{_KEY}?)\s?[:=]\s{{0,8}}(?P<value>{_VALUE}){_TAIL}(?=[\s,;|)\]}}]|$)"
)
_COUNTED = re.compile(
    rf"(?P<key>{_KEY}?)[\s:=#]+(?P<value>\d+)(?:\s?/\s?(?P<total>\d+))?\s*(?:[:>\]]|\s-)\s+(?=\S)"
)
_BARRED = re.compile(r"\s*[|;\t•·]\s*|,\s+|,(?=[A-Za-z_])|\s+[-–—]+\s+")
_SPLIT = re.compile(r"\s*[|;\t•·]\s*|,\s+|,(?=[A-Za-z_])|\s{2,}|\s+[-–—]+\s+")
_BRACKET = re.compile(r"[\[(]\s*([^\[\]()]{1,60})\s*[\])]\s*[:\-]?\s*")
_FRACTION = re.compile(r"(\d+)\s?/\s?(\d+)$")
# MiniMind: "Epoch:[1/1](2/9751), Reward: ..."
_EPOCH_STEP = re.compile(r"Epoch:?\s?\[(\d+)/(\d+)\]\s?\((\d+)/(\d+)\),?\s*")
# What loggers put before the message: date, time, level, place in the code.
_PREFIX = re.compile(
    r"""\s*(?:
      \[?\(?(?:\d{4}[-/]\d\d[-/]\d\d|\d\d/\d\d/\d{4})(?:[T\s]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?(?:Z|[+-]\d\d:?\d\d)?\)?\]?
    | \[?\d\d:\d\d:\d\d(?:[.,]\d+)?\]?
    | [IWED]\d{4}\ \d\d:\d\d:\d\d[.,]\d+\s+\d*\s*[\w./]+:\d+\]
    | [\[<(]?(?:DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|TRACE|SUCCESS)[\]>)]?(?=[\s:|\-\[]|$)(?::[\w.]+:)?
    | [\w./]+\.py:\d+\]?
    | [\w.]+:[\w.<>]+:\d+(?=\s)
    )[\s:|\-]*""",
    re.VERBOSE,
)
_DECORATION = " \t=-*#~_─—>"
# A key with one of these words is the beginning of a sentence.
_PROSE = frozenset(
    "a an are but he if is it's let she so that the then therefore they this thus we you".split()
)
_LEAD = re.compile(r"[^\w\[(+\-'\"]+")
_COUNTERS = ("step", "steps", "iteration", "iter", "it", "update", "episode", "batch", "rollout", "epoch")


class Pair(NamedTuple):
    """One number under its key; `total` for a counter such as 2/500; `text` is the value as printed."""

    key: str
    value: float
    total: int | None
    text: str
    last: bool


@lru_cache(maxsize=4096)
def counter_rank(key: str) -> int | None:
    """How good a step counter a key names, 0 = best; None where it names none."""
    word = re.split(r"[\s/_]", key.lower())[-1]
    return _COUNTERS.index(word) if word in _COUNTERS and len(key) <= 24 else None


def pairs(line: str) -> list[Pair]:
    """The `key: value` pairs of a line, each key once; empty for a line that has none.

    Understands `key: value`, `key=value` and, between separators, `key value`, counters such as
    `Step 2/500`, `[2/500]` and `Epoch:[1/1](2/9751)`, and skips what loggers write before the message.

    >>> [(p.key, p.value) for p in pairs("2025-06-29 15:46:46,1 INFO Step 10 | Loss: 1.06 | Mean Reward: 1")]
    [('Step', 10.0), ('Loss', 1.06), ('Mean Reward', 1.0)]
    """
    if len(line) > LONGEST:
        return []
    line = _message(line)
    found: dict[str, Pair] = {}
    line = _counters(line, found)
    # "reward   0.5 | kl   0.01": blanks align the columns; without bars they part them.
    split = _BARRED if "|" in line else _SPLIT
    pieces = [piece for piece in split.split(line) if piece]
    for place, piece in enumerate(pieces):
        _piece(piece.strip(), place == len(pieces) - 1, found)
    return list(found.values())


def _message(line: str) -> str:
    """The line without progress bars, actor and logger prefixes and leading decoration."""
    line = strip_ray(line)
    if "%" in line:
        line = without_bars(line)
    for _ in range(5):
        match = _PREFIX.match(line)
        if match is None or not match.end():
            break
        line = line[match.end() :]
    lead = _LEAD.match(line)
    return (line[lead.end() :] if lead else line).rstrip(_DECORATION)


def _counters(line: str, found: dict[str, Pair]) -> str:
    """Take counters in brackets at the start of a line; returns the rest."""
    match = _EPOCH_STEP.match(line)
    if match:
        epoch, epochs, step, steps = (int(group) for group in match.groups())
        found["Epoch"] = Pair("Epoch", float(epoch), epochs, "", False)
        found["step"] = Pair("step", float((epoch - 1) * steps + step), epochs * steps, "", False)
        return line[match.end() :]
    for _ in range(3):
        match = _BRACKET.match(line)
        if match is None:
            break
        fraction = _FRACTION.match(match.group(1))
        if fraction:
            found.setdefault("step", Pair("step", float(fraction[1]), int(fraction[2]), "", False))
        else:
            _piece(match.group(1), False, found)
        line = line[match.end() :]
    return line


@lru_cache(maxsize=4096)
def _is_key(text: str) -> bool:
    return _WHOLE_KEY.fullmatch(text) is not None and _PROSE.isdisjoint(text.lower().split())


def _piece(piece: str, last: bool, found: dict[str, Pair]) -> None:
    """The pairs of the text between two separators."""
    for sep in ":=":
        key, there, text = piece.partition(sep)
        if there and _is_key(key := key.rstrip()) and _PLAIN.match(text := text.lstrip()):
            found.setdefault(key, Pair(key, float(text), None, text, last))
            return  # by far the most frequent form
    whole = _WHOLE.fullmatch(piece)
    if whole and (whole["sep"] or whole["key"].count(" ") < 3):
        _keep(whole, last, found)
        return
    counted = _COUNTED.match(piece)
    if counted and counter_rank(counted["key"]) is not None:
        _keep(counted, False, found)
        _piece(piece[counted.end() :], last, found)
        return
    for match in _INSIDE.finditer(piece):
        _keep(match, last and match.end() == len(piece), found)


def _keep(match: re.Match[str], last: bool, found: dict[str, Pair]) -> None:
    value = number(match["value"])
    key = match["key"].strip()
    total = match["total"]
    if value is None or key in found or not _is_key(key):
        return
    if total and counter_rank(key) is None:
        return  # "Correct: 7/30" is no 7; which number is meant is not ours to guess
    found[key] = Pair(key, value, int(total.replace(",", "")) if total else None, match["value"], last)
