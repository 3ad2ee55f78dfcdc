"""tqdm progress bars in a captured console, and the step numbers that they give to rows without any.

The trainers of Hugging Face print metric dicts without a step. Their bar knows it: it is redrawn after
every dict it makes room for. When a dict and its bar went to different streams (stdout buffered in blocks,
stderr at once) the two are out of order, but the redraws still stand in the file, one for each dict.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# "  5%|▌    | 10/200 [00:10<03:00, 1.0s/it]"; Colab's copy has no bar: "  5% 10/200 [00:10<03:00, 1.0s/it]".
_BAR = re.compile(r"\d{1,3}%(?:\|[^|]{0,300}\|\s*|\s+(?=\d+/\d+ \[))(\d+)/(\d+)(?:\s*\[([^\]{]{0,2000})\]?)?")
_BLANK = re.compile(r"\s{8,}$")
_DECLARED = re.compile(r"Total optimization steps\s*=\s*([\d,]+)")
_MOST_FAMILIES = 64


class Bar(NamedTuple):
    """One drawing of a progress bar: `value` of `total`, and the text between its square brackets."""

    value: int
    total: int
    inner: str
    start: int
    end: int


def find_bar(line: str) -> Bar | None:
    """The last progress bar drawn in a line, or None."""
    drawn = list(_BAR.finditer(line))
    if not drawn:
        return None
    found = drawn[-1]
    return Bar(int(found.group(1)), int(found.group(2)), found.group(3) or "", found.start(), found.end())


def without_bars(line: str) -> str:
    """The line with the drawings of progress bars cut out."""
    return _BAR.sub("", line)


@dataclass
class _Family:
    """Drawings of the bars with one total: their values, and how many rows stood before each."""

    values: array[int] = field(default_factory=lambda: array("q"))
    rows: array[int] = field(default_factory=lambda: array("q"))
    redraws: array[int] = field(default_factory=lambda: array("q"))
    advances: int = 0


class Steps(NamedTuple):
    """Step of each row, and by which rule ("redraws", "bars", "interval" or "rows") it was found."""

    values: list[float | None]
    rule: str


class Progress:
    """Collects the bars of a log while its rows are read, then says at which step each row was printed."""

    def __init__(self) -> None:
        self.declared = 0
        self._families: dict[int, _Family] = {}
        self._blank = False

    def see(self, line: str, rows: int) -> bool:
        """Look at one line after `rows` rows; returns whether it is only a bar or its erasure."""
        if "%" not in line:
            if not self.declared and "Total optimization" in line:
                match = _DECLARED.search(line)
                self.declared = int(match.group(1).replace(",", "")) if match else 0
            if _BLANK.match(line):
                self._blank = True
                return True
            return False
        bar = find_bar(line)
        if bar is None:
            return False
        self._draw(bar, rows)
        return not line[bar.end :].strip()

    def _draw(self, bar: Bar, rows: int) -> None:
        family = self._families.get(bar.total)
        if family is None:
            if len(self._families) >= _MOST_FAMILIES:
                return
            family = self._families[bar.total] = _Family()
        moved = not family.values or family.values[-1] != bar.value
        if self._blank and not moved:
            family.redraws.append(bar.value)
        self._blank = False
        family.advances += moved
        if moved or family.rows[-1] != rows:
            family.values.append(bar.value)
            family.rows.append(rows)

    @property
    def total(self) -> int:
        """Total of the training bar, 0 where there is none."""
        if self.declared in self._families or not self._families:
            return self.declared
        total, family = max(self._families.items(), key=lambda item: (item[1].advances, item[0]))
        return total if family.advances > 2 or total > 4 else 0

    def steps(self, training: Sequence[bool], epochs: Sequence[float]) -> Steps:
        """Give every row a step.

        Args:
            training: for each row whether it is a training row; evaluation and summary rows take the
                step they were printed at.
            epochs: the `epoch` of each row, NaN where it has none; decides between two readings of bars.

        Tried in this order: the redraws, when there is one per row; bars that stand in order with the
        rows; the interval total / rows; the row number.
        """
        family = self._families.get(self.total)
        if family is not None:
            found = _by_redraws(family, training) or _by_order(family, training, epochs)
            if found is not None:
                return found
        last = max(family.values) if family is not None and len(family.values) else self.declared
        interval = _interval(last, sum(training))
        if interval is not None and family is not None and family.values[0] > interval:
            interval = None  # the log begins in the middle of the training
        rule = "rows" if interval is None else "interval"
        return Steps(_count(training, interval or 1, last if interval is not None else 0), rule)


def _by_redraws(family: _Family, training: Sequence[bool]) -> Steps | None:
    """One redraw for each row; a summary at the very end may lack its own, a killed run may lack rows."""
    marks: list[float | None] = list(family.redraws)
    rows = len(training)
    if not training or training[-1] is False and len(marks) == rows - 1:
        marks.append(family.values[-1])
    if len(marks) < rows:
        return None
    if len(marks) > rows:  # the rows at the end are missing: only if each redraw has a step of its own
        early = list(family.redraws)
        while len(early) > 1 and early[-1] == early[-2]:
            early.pop()  # the closing summary
        if any(b <= a for a, b in zip(early, early[1:], strict=False)):
            return None
    marks = marks[:rows]
    kept = [mark for mark, train in zip(marks, training, strict=True) if train and mark is not None]
    repeats = sum(b == a for a, b in zip(kept, kept[1:], strict=False))
    return Steps(marks, "redraws") if kept and not repeats else None


def _by_order(family: _Family, training: Sequence[bool], epochs: Sequence[float]) -> Steps | None:
    """Bars between the rows: a row's step is on the bar drawn after it, if the two streams kept order."""
    rows = len(training)
    before: list[float | None] = [None] * rows
    after: list[float | None] = [None] * rows
    for value, seen in zip(family.values, family.rows, strict=True):
        if seen < rows:
            before[seen] = float(value)
        if 0 < seen <= rows and after[seen - 1] is None:
            after[seen - 1] = float(value)
    best = after if _orderly(after, training) else None
    if _orderly(before, training) and (
        best is None or _misfit(before, epochs) < 0.5 * _misfit(after, epochs)
    ):
        best = before  # printed by a hook that runs before the bar moves on
    if best is None:
        return None
    steps: list[float | None] = []
    last = 0.0
    for row, step in enumerate(best):
        if step is None:  # the bar was not redrawn here: count on, or stay where the row is no step
            step = last + 1 if training[row] else last
        steps.append(step)
        last = step
    return Steps(steps, "bars")


def _orderly(found: Sequence[float | None], training: Sequence[bool]) -> bool:
    """Whether nearly every training row has its own bar, and the bars move on from row to row."""
    known = [step for step, train in zip(found, training, strict=True) if train and step is not None]
    if len(known) < 0.9 * sum(training) or not known:
        return False
    forward = sum(b > a for a, b in zip(known, known[1:], strict=False))
    return forward >= 0.95 * (len(known) - 1)


def _misfit(found: Sequence[float | None], epochs: Sequence[float]) -> float:
    """How far the epochs are from being proportional to the steps (they are, in one training)."""
    pairs = [(s, e) for s, e in zip(found, epochs, strict=True) if s is not None and e == e]
    power = sum(s * s for s, _ in pairs)
    if not power:
        return float("inf")
    slope = sum(s * e for s, e in pairs) / power
    return sum(abs(e - slope * s) for s, e in pairs) / len(pairs)


def _interval(last: int, rows: int) -> int | None:
    """Steps between rows, when `rows` rows fill `last` steps at one constant interval; else None."""
    if rows < 1 or last < rows:
        return None
    interval = last // rows
    return interval if last // interval == rows else None


def _count(training: Sequence[bool], interval: int, last: int) -> list[float | None]:
    """Rows counted by `interval`; evaluation rows take the last step, a closing summary `last`."""
    steps: list[float | None] = []
    step = 0
    for row, train in enumerate(training):
        step += interval if train else 0
        closing = not train and row == len(training) - 1
        steps.append(float(max(step, last) if closing else step))
    return steps
