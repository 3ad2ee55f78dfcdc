"""Rows of metrics out of the output of a running command, as its lines come.

The forms are those that the console readers know: verl's `step:N - key:value`, dicts of metrics as TRL prints
them, and lines of `key: value` whose keys recur. A reader sees the whole log before it decides; here a row is
passed on as soon as its step is known.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from foreshock.readers import kv_console, trl_console, verl_console
from foreshock.readers._bars import Bar, find_bar
from foreshock.readers._console import LONGEST, strip_ansi
from foreshock.readers._dicts import Dicts
from foreshock.readers._log import Log
from foreshock.readers._pairs import pairs

Take = Callable[[int, Mapping[str, float]], None]

_BLANK = re.compile(r"\s{8,}$")
_DECLARED = re.compile(r"Total optimization steps\s*=\s*([\d,]+)")
_PATIENCE = 2.0  # seconds that a row without a step waits for its progress bar
_MOST_REDRAWS = 10_000
_MOST_BARS = 64
_MOST_FORMS = 256
_LEARN_FROM = 4  # lines of pairs at which the form of the rows is looked for first, then at 1.5 times as many
_LEARN_TO = 4000
_ENOUGH = 1000  # lines of pairs after which a form that was found stands


class ConsoleRows:
    """Takes chunks of output and calls `take(step, values)` for each row of metrics in it."""

    def __init__(self, take: Take, *, ordered: bool) -> None:
        """Begin.

        Args:
            take: is given each row.
            ordered: whether a progress bar is redrawn right after its row. Not so where programs hold back
                what they print and not what they draw.
        """
        self._stated: int | None = None  # total steps, said in so many words
        self._streams: dict[int, _Stream] = {}
        self._steps = _Steps(take, ordered)
        self._pairs = _Pairs(take)
        self._take = take
        self._keys: Counter[frozenset[str]] = Counter()  # of dicts, to tell rows from dicts in a completion
        self._form = ""  # "verl" or "dicts" once such a row was seen: lines of pairs are then no rows

    @property
    def total(self) -> int | None:
        """Steps that the training will have, as far as the output says so."""
        if self._form == "dicts":
            return self._stated or self._steps.total
        return self._stated or self._pairs.total

    def feed(self, stream: int, data: bytes, now: float) -> None:
        """Take what was written to a stream; half a line waits for the rest."""
        source = self._stream(stream)
        for line in source.lines(data):
            self._line(stream, line, now)
        if bar := source.drawn():
            self._bar(stream, bar, now)
        self._steps.settle(now)

    def lost(self, stream: int) -> None:
        """Say that output of a stream is missing here: the line before and the one after are torn."""
        self._streams[stream] = _Stream(torn=True)

    def idle(self, now: float) -> None:
        """Pass on rows that have waited long enough."""
        self._steps.settle(now)

    def close(self) -> None:
        """Pass on what still waits."""
        for name, stream in list(self._streams.items()):
            if line := stream.rest():
                self._line(name, line, 0.0)
        self._steps.close()
        if not self._form:
            self._pairs.close()

    def _stream(self, name: int) -> _Stream:
        return self._streams.setdefault(name, _Stream())

    def _line(self, stream: int, line: str, now: float) -> None:
        if _BLANK.match(line):
            self._stream(stream).blank = True
            return
        bar = find_bar(line) if "%" in line else None
        if bar is not None:
            self._bar(stream, bar, now)
            if not line[bar.end :].strip():
                return
        elif "Total optimization" in line and (declared := _DECLARED.search(line)):
            self._steps.declared = self._stated = int(declared[1].replace(",", ""))
        if found := verl_console.row_of(line):
            self._form = "verl"
            self._take(int(found[0]), found[1])
        elif not self._dicts(stream, line, now) and not self._form:
            self._pairs.line(line)

    def _bar(self, stream: int, bar: Bar, now: float) -> None:
        source = self._stream(stream)
        self._steps.bar(bar.value, bar.total, source.blank, now)
        source.blank = False

    def _dicts(self, stream: int, line: str, now: float) -> bool:
        """Whether the line holds rows of metrics in braces, or may be a part of one."""
        dicts = self._stream(stream).dicts
        if not dicts.pending and "{" not in line:
            return False
        rows = [(values, found) for found in dicts.feed(line) if (values := trl_console.row_of(found))]
        for values, found in rows:
            if not self._usual(values):
                continue
            step, total = trl_console.stated_step(values, found)
            self._stated = total or self._stated
            self._form = self._form or "dicts"
            self._steps.row(values, step, now)
        return bool(rows) or dicts.pending

    def _usual(self, values: dict[str, float]) -> bool:
        """Whether a dict has the keys of this log's rows, or is an evaluation or the closing summary."""
        if not trl_console.is_training(values):
            return True
        keys = frozenset(values)
        if len(self._keys) < _MOST_FORMS or keys in self._keys:
            self._keys[keys] += 1
        usual = max(self._keys, key=lambda held: self._keys[held] * len(held))
        return 2 * len(usual & keys) >= len(usual)


class _Stream:
    """One stream: bytes in, whole lines out; a carriage return ends a line as well."""

    def __init__(self, torn: bool = False) -> None:
        self.dicts = Dicts()
        self.blank = False
        """Whether the last line erased a progress bar."""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""
        self._torn = torn

    def lines(self, data: bytes) -> list[str]:
        text = self._rest + self._decoder.decode(data)
        *lines, self._rest = re.split(r"\r\n|\n|\r(?!$)", text)
        if len(self._rest) > LONGEST:  # no row, and not to be kept
            self._rest, self._torn = "", True
        if self._torn and lines:
            del lines[0]
            self._torn = False
        return [strip_ansi(line) for line in lines if len(line) <= LONGEST]

    def drawn(self) -> Bar | None:
        """The progress bar after the last line end: it is erased by what comes next, which may be long."""
        bar = find_bar(self._rest) if self._rest.endswith("]") and "%" in self._rest else None
        if bar is not None:
            self._rest = ""
        return bar

    def rest(self) -> str:
        """What stands after the last line end."""
        line, self._rest = self._rest.rstrip("\r"), ""
        return "" if self._torn else strip_ansi(line)


@dataclass
class _Bars:
    """The drawings of the progress bars with one total."""

    total: int
    value: int = 0
    moved: bool = False  # since the last row
    rows: int = 0  # between how many rows it moved
    back: bool = False  # whether it ever went back: it counts something within a step
    drawn: bool = False  # whether it was ever redrawn after a row
    redraws: deque[int] = field(default_factory=lambda: deque(maxlen=_MOST_REDRAWS))


class _Steps:
    """Gives steps to rows that state none: from the progress bar that is redrawn after each, else counted.

    Where the order is not to be trusted, rows come late and in bursts; the n-th redraw still belongs to the
    n-th row.
    """

    def __init__(self, take: Take, ordered: bool) -> None:
        self.declared = 0
        self._take = take
        self._ordered = ordered
        self._waiting: deque[tuple[float, dict[str, float], dict[int, int]]] = deque()
        """When each row came, the row, and where the bars were then."""
        self._bars: dict[int, _Bars] = {}
        self._owed = 0  # rows that did not wait for their redraw any longer
        self._last = 0

    @property
    def total(self) -> int | None:
        """Total of the bar that moves on from row to row without ever going back."""
        if self.declared:
            return self.declared
        forward = [bars for bars in self._bars.values() if not bars.back]
        best = max(forward, key=lambda bars: (bars.rows, bars.value < bars.total, bars.total), default=None)
        return best.total if best else None

    def bar(self, value: int, total: int, redrawn: bool, now: float) -> None:
        """Take one drawing of a progress bar; `redrawn` after it was erased for something to be printed."""
        if total not in self._bars and len(self._bars) >= _MOST_BARS:
            return
        bars = self._bars.setdefault(total, _Bars(total))
        bars.back = bars.back or value < bars.value
        bars.moved = bars.moved or value != bars.value
        bars.value = value
        if not redrawn or (self._ordered and not self._waiting):
            return
        if self._owed and total == self.total:
            self._owed -= 1
            return
        bars.redraws.append(value)
        bars.drawn = True
        self.settle(now)

    def row(self, values: dict[str, float], step: float | None, now: float) -> None:
        """Take one row; one without a step waits for its bar where there are bars."""
        for bars in self._bars.values():
            bars.rows += bars.moved
            bars.moved = False
        if step is not None:
            self._give(int(step), values)
            return
        if self._ordered:
            self._hand_on()  # no redraw came between an earlier row and this one, and none will
        places = {total: bars.value for total, bars in self._bars.items()}
        self._waiting.append((now, values, places))
        self.settle(now)

    def settle(self, now: float) -> None:
        """Pass on the rows whose redraw has come, and those that waited in vain."""
        bars = self._bars.get(self.total or 0)
        while self._waiting and bars and bars.redraws:
            self._give(bars.redraws.popleft(), self._waiting.popleft()[1])
        if self._ordered and not self._bars:
            self._hand_on()
        while self._waiting and now - self._waiting[0][0] > _PATIENCE:
            self._hand_on(1)

    def close(self) -> None:
        self._hand_on()

    def _hand_on(self, most: int | None = None) -> None:
        """Pass on rows that wait, at the place where the bar was when they came, or counted."""
        bars = self._bars.get(self.total or 0)
        for _ in range(len(self._waiting) if most is None else most):
            _, values, places = self._waiting.popleft()
            self._owed += bool(bars and bars.drawn) and not self._ordered
            step = places.get(bars.total, 0) if bars else 0
            if trl_console.is_training(values):
                step = max(step, self._last + 1)
            self._give(max(step, self._last), values)

    def _give(self, step: int, values: dict[str, float]) -> None:
        self._last = step
        self._take(step, values)


class _Counted(Log):
    """Stands where a reader would collect rows, and passes them on."""

    def __init__(self, take: Take) -> None:
        super().__init__("", "-", kv_console.NAME)
        self._take = take

    def add(self, values: Mapping[str, float], step: float | None = None) -> None:
        """Pass a row on; without a counter it is counted."""
        self.rows += 1
        self._take(self.rows if step is None else int(step), values)


class _Pairs:
    """Lines of `key: value`: kept until the form of the rows is known, then read as they come."""

    def __init__(self, take: Take) -> None:
        self._log = _Counted(take)
        self._seen: list[str] = []
        self._next = _LEARN_FROM
        self._plan: kv_console.Plan | None = None
        self._rows: kv_console.RowBuilder | None = None

    @property
    def total(self) -> int | None:
        """Steps that the training will have, where a counter says so (`Step 2/500`)."""
        return self._log.facts.get("total_steps")

    def line(self, line: str) -> None:
        """Take one line."""
        if not kv_console.CANDIDATE.search(line):
            return
        found = pairs(line)
        if not found:
            return
        if len(self._seen) < (_ENOUGH if self._plan else _LEARN_TO):
            self._seen.append(line)
        if self._rows is not None:
            self._rows.add(found, False)
            self._rows.flush()
        if len(self._seen) >= self._next:
            self._next = max(self._next + 1, int(self._next * 1.5))
            self._learn()

    def _learn(self) -> None:
        """Look for the form of the rows; a later look has seen more and counts from then on."""
        plan = kv_console.learn(self._seen)
        if plan is None or plan == self._plan:
            return
        if self._rows is not None:
            self._rows.finish()
        self._rows = kv_console.RowBuilder(self._log, plan)
        first, self._plan = self._plan is None, plan
        for line in self._seen if first else ():
            self._rows.add(pairs(line), False)
        self._rows.flush()

    def close(self) -> None:
        """Pass on the last row."""
        if self._plan is None:
            self._learn()
        if self._rows is not None:
            self._rows.finish()
