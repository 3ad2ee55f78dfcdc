"""verl's console: `step:12 - actor/entropy:0.23 - critic/score/mean:-0.44 - ...`, one line per step.

Reads the 2024-25 form (`critic/lr(1e-4):0.100`) and the later one (`np.float64(...)` around values), with
or without Ray's actor prefix and colours, also where the lines stand in Markdown. Everything else in the
log (configurations, prompts, completions) is passed over: a row needs the `step:N - key:value` form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from foreshock.errors import NotARunError
from foreshock.readers._bars import find_bar
from foreshock.readers._console import DEEP, MARKUP, Lines, may_be_console, number, strip_ray, tell_skipped
from foreshock.readers._log import Log
from foreshock.readers._sniff import run_name

NAME = "verl_console"
DESCRIPTION = "verl console log"

_LINE = re.compile(r"(?:^|[^\w/'\"])step:\s?(\d+) - (?=[^\s:]+(?:[^:]{0,100}):\s?[\w.+\-'])")
_BYTES = re.compile(rb"step:\s?\d+ - [\w@./()\-]+(?: [\w@./()\-]+)*:\s?(?:np\.\w+\()?[+\-]?[\dni]")
_QUOTED = " \t(>[`*|"  # what may stand before a line in Markdown
_ITEM = re.compile(r"^\s*[^\s:][^:]{0,200}:")


def recognises(path: Path, head: bytes) -> bool:
    """Whether the file holds at least one `step:N - key:number` line (looked for in its first 8 MiB)."""
    if not may_be_console(path, head):
        return False
    if path.suffix.lower() in MARKUP:
        return len(_BYTES.findall(head)) > 2
    if _BYTES.search(head):
        return True
    with path.open("rb") as file:
        tail = b""
        for _ in range(DEEP // (1 << 20)):
            chunk = file.read(1 << 20)
            if not chunk:
                return False
            if _BYTES.search(tail + chunk):
                return True
            tail = chunk[-256:]
    return False


def read(path: Path) -> list[Log]:
    """The run that the console shows, rows in the order printed; restarts in one file stay in order.

    Cannot see: metrics that were not sent to the console logger. Values that are cut (the last one of a
    file without a final line end) are left out and noted.

    Raises:
        NotARunError: no such line.
    """
    log = Log(run_name(path), str(path), NAME)
    lines = Lines(path)
    fill(log, lines, lines)
    tell_skipped(log, lines)
    if not log.rows:
        raise NotARunError(f"{path} holds no line `step:N - key:value - ...` as verl prints it")
    return [log]


def fill(log: Log, lines: Iterable[str], source: Lines | None = None) -> None:
    """Add every verl row among `lines` to `log`; `source` tells where the last line is unterminated."""
    bad = torn = wrapped = total = 0
    held: _Held | None = None
    for line in lines:
        if held is not None and held.continues(line):
            held.append(line)
            continue
        if held is not None:
            bad += _add(log, held.text)
            wrapped += held.parts > 1
            held = None
        match = _LINE.search(line) if "step:" in line else None
        if match is not None:
            held = _Held(line[match.start() :].lstrip(_QUOTED), len(line))
        elif "%|" in line and "Training Progress" in line:
            bar = find_bar(line)
            total = max(total, bar.total if bar else 0)
    if held is not None:  # it ends with the last line of the log
        if source is not None and source.unterminated:
            held.text, _, _ = held.text.rpartition(" - ")
            torn = 1
        bad += _add(log, held.text)
        wrapped += held.parts > 1
    if total:
        log.facts["total_steps"] = total
    if bad:
        log.note("unreadable-values", f"{bad} values in metric lines are not numbers and were left out", bad)
    if torn:
        log.note("torn-line", "the last line has no end: its last value may be cut and was left out", torn)
    if wrapped:
        log.note("wrapped-lines", f"{wrapped} metric lines were broken by the terminal and joined", wrapped)


class _Held:
    """A metric line that the terminal may have wrapped at its width."""

    def __init__(self, text: str, width: int) -> None:
        self.text = text
        self.parts = 1
        self._width = width
        self._last = width

    def continues(self, line: str) -> bool:
        """Whether `line` goes on where the text stops: no prefix of its own, and more items in it."""
        if self.parts > 1:
            if self._last < self._width:
                return False
            return len(line) <= self._width and strip_ray(line) == line and "step:" not in line
        if len(line) > self._width or " - " not in line or "step:" in line or strip_ray(line) != line:
            return False
        _, _, rest = line.partition(" - ")
        return _ITEM.match(rest) is not None and _value(rest.split(" - ", 1)[0]) is not None

    def append(self, line: str) -> None:
        self.text += line
        self.parts += 1
        self._last = len(line)


def _add(log: Log, text: str) -> int:
    """Add one `step:N - key:value - ...` text as a row; returns how many items were no numbers."""
    step, values, bad = _parsed(text)
    if values and step is not None:
        log.add(values, step)
    return bad


def row_of(line: str) -> tuple[float, dict[str, float]] | None:
    """(step, values) of one whole line; None where it is no row."""
    match = _LINE.search(line) if "step:" in line else None
    if match is None:
        return None
    step, values, _ = _parsed(line[match.start() :].lstrip(_QUOTED))
    return (step, values) if values and step is not None else None


def _parsed(text: str) -> tuple[float | None, dict[str, float], int]:
    """Step and values of a text, and how many items were no numbers."""
    values: dict[str, float] = {}
    bad = 0
    step: float | None = None
    for item in text.split(" - "):
        pair = _value(item)
        if pair is None:
            bad += 1
        elif step is None:
            step = pair[1]
        else:
            values[pair[0]] = pair[1]
    return step, values, bad


def _value(item: str) -> tuple[str, float] | None:
    """`key:value` with a number; the key may hold parentheses or blanks, the value may be wrapped."""
    key, colon, text = item.rpartition(":")
    if colon and (value := number(text)) is not None:
        return key.strip(), value
    if "tensor(" in item:  # tensor(0.5, device='cuda:0') has a colon of its own
        key, colon, text = item.partition(":tensor(")
        value = number("tensor(" + text)
        if colon and value is not None:
            return key.strip(), value
    return None
