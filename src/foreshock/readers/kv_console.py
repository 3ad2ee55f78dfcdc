"""Consoles that print `key: value, key: value` lines: MiniMind, hand-written loops, loggers.

    Epoch:[1/1](2/9751), Reward: -1.7233, KL_ref: 0.0002, Avg Response Len: 297.00
    2025-06-29 15:46:46,175 INFO Step 10 | Loss: 1.0628 | Mean Reward: 1.0075
    step=12 reward=0.5 len=300

A line is a row only if its set of keys recurs and holds a step counter or a reward; all else is taken for
prose. Lines without a counter that come once for each row (`Average Reward: 0.75`) join it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from foreshock.errors import NotARunError
from foreshock.readers._console import MARKUP, Lines, head_text, may_be_console
from foreshock.readers._log import Log
from foreshock.readers._pairs import Pair, counter_rank, pairs
from foreshock.readers._sniff import run_name

NAME = "kv_console"
DESCRIPTION = "console with `key: value` lines (MiniMind, custom training loops)"

Template = tuple[str, ...]

_DEEP = 2 << 20
"""How far into a file `recognises` looks, in bytes: lines of pairs take longer to tell from prose."""
_SAMPLE = 8 << 20
"""How much of a file decides which lines are rows, in characters."""
_MOST_TEMPLATES = 5000
_ENOUGH = 1000
_FEWEST = 3
CANDIDATE = re.compile(
    r"[A-Za-z\]).'\"][\s:=\[(#>]{1,6}['\"]?[+-]?(?:[\d.]|nan|inf|np\.|tensor)", re.IGNORECASE
)
_REWARD = re.compile(r"(?i)(?:^|[\W_])(?:avg|mean)?_?(?:rewards?|rew|return|score)(?:$|[\W_])")
_METRIC = re.compile(
    r"(?i)reward|(?:^|[\W_])(?:rew|return|score|loss|kl|entropy|len|length|lengths|lr|learning|grad|adv|advantage|acc"
    r"|accuracy|clip\w*|std|fmt|format|correct|tokens|ppo|policy)(?:$|[\W_])"
)


def recognises(path: Path, head: bytes) -> bool:
    """Whether lines with the same keys, a reward or several metrics among them, come three times or more."""
    if not may_be_console(path, head) or path.suffix.lower() in MARKUP:
        return False
    if learn(head_text(head).replace("\r", "\n").split("\n")) is not None:
        return True
    return len(head) >= 1 << 16 and learn(Lines(path, _DEEP)) is not None


def read(path: Path) -> list[Log]:
    """The run that the console shows, rows in the order printed, keys as printed.

    Values with a percent sign keep the number before it. Cannot see: values that are no plain number
    (`7/30`, `3m 20s`), progress-bar suffixes, and keys that are printed only once or twice.

    Raises:
        NotARunError: no set of keys recurs.
    """
    log = Log(run_name(path), str(path), NAME)
    fill(log, lambda: Lines(path))
    if not log.rows:
        raise NotARunError(f"{path} has no lines of metrics whose keys recur; name its format with --format")
    return [log]


def fill(log: Log, lines: Callable[[], Iterable[str]]) -> None:
    """Add the rows among `lines` (called once to learn their form, once to read them) to `log`."""
    plan = learn(lines())
    if plan is None:
        return
    source = lines()
    rows = RowBuilder(log, plan)
    words = plan.words()
    for line in source:
        if words is not None and not any(word in line for word in words) or not CANDIDATE.search(line):
            continue
        found = pairs(line)
        if found:
            rows.add(found, isinstance(source, Lines) and source.unterminated)
    rows.finish()


@dataclass
class _Seen:
    """How often a set of keys came, and how far (in lines) from the counter lines around it."""

    count: int = 0
    rises: int = 0
    last: dict[str, float] = field(default_factory=dict)
    rising: Counter[str] = field(default_factory=Counter)
    falling: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Plan:
    """Which sets of keys are rows, and which lines join the row before or after them."""

    counter: str | None
    rows: frozenset[Template]
    before: frozenset[Template]
    after: frozenset[Template]

    def words(self) -> list[str] | None:
        """Keys one of which every line that matters contains; None where no few keys tell it."""
        words = {max(template, key=len) for template in self.rows | self.before | self.after}
        return None if "step" in words or len(words) > 8 else sorted(words)


def learn(lines: Iterable[str]) -> Plan | None:
    """Learn the form of the rows from the sets of keys that recur; None where nothing does."""
    seen: dict[Template, _Seen] = {}
    order: list[tuple[int, Template]] = []
    size = 0
    for at, line in enumerate(lines):
        size += len(line)
        if size > _SAMPLE:
            break
        found = pairs(line) if CANDIDATE.search(line) else []
        if not found:
            continue
        template = tuple(pair.key for pair in found)
        if template not in seen and len(seen) >= _MOST_TEMPLATES:
            continue
        entry = seen.setdefault(template, _Seen())
        _count(entry, found)
        order.append((at, template))
        if entry.count >= _ENOUGH and _is_rewarding(template):
            break
    return _with_counter(seen, order) or _without_counter(seen)


def _with_counter(seen: dict[Template, _Seen], order: list[tuple[int, Template]]) -> Plan | None:
    """Rows around a step counter; a lone counter or metric counts if lines with the reward go with it."""
    found = _main(seen)
    if found is None:
        return None
    counter, main = found
    rows = {t for t, entry in seen.items() if counter in t and _belongs(t, entry, main, seen[main], counter)}
    before, after = _companions(seen, order, rows, seen[main].count)
    if not _is_metric(main, counter) and not any(map(_is_rewarding, before | after)):
        return None
    return Plan(counter, frozenset(rows), frozenset(before), frozenset(after))


def _count(entry: _Seen, found: list[Pair]) -> None:
    entry.count += 1
    for pair in found:
        if counter_rank(pair.key) is not None and pair.value.is_integer():
            last = entry.last.get(pair.key)
            if last is not None and last != pair.value:
                (entry.rising if pair.value > last else entry.falling)[pair.key] += 1
            entry.last[pair.key] = pair.value


def _is_rewarding(template: Iterable[str]) -> bool:
    return any(_REWARD.search(key) for key in template)


def _is_metric(template: Template, counter: str | None) -> bool:
    """Whether a set of keys tells of training: a reward, or two metrics."""
    keys = [key for key in template if key != counter]
    return _is_rewarding(keys) or sum(_METRIC.search(key) is not None for key in keys) > 1


def _main(seen: dict[Template, _Seen]) -> tuple[str, Template] | None:
    """The step counter and the set of keys that most rows of this log have."""
    best: tuple[tuple[bool, int, int, int], str, Template] | None = None
    for template, entry in seen.items():
        for key in template:
            rank = counter_rank(key)
            if rank is None or entry.count < _FEWEST or entry.rising[key] + 1 < _FEWEST:
                continue
            if entry.falling[key] > 0.25 * entry.rising[key]:
                continue  # no counter: it goes back as often as a list in prose
            merit = (_is_metric(template, key), -rank, entry.count, len(template))
            if best is None or merit > best[0]:
                best = (merit, key, template)
    return (best[1], best[2]) if best is not None else None


def _without_counter(seen: dict[Template, _Seen]) -> Plan | None:
    """Rows that have a reward and no counter."""
    plain = [
        (entry.count * len(template), template)
        for template, entry in seen.items()
        if _is_rewarding(template) and entry.count >= (_FEWEST if len(template) > 1 else 5)
    ]
    if not plain:
        return None
    main = set(max(plain)[1])
    rows = {t for t in seen if 2 * len(main & set(t)) > len(main) and _is_rewarding(t)}
    return Plan(None, frozenset(rows), frozenset(), frozenset())


def _belongs(template: Template, entry: _Seen, main: Template, main_entry: _Seen, counter: str) -> bool:
    """Whether lines with this counter are rows: same metrics as the main ones, or metrics that recur."""
    if template == main:
        return True
    if entry.count >= _FEWEST and entry.rising[counter] <= entry.falling[counter]:
        return False  # its counter does not count
    own = [key for key in template if key != counter and counter_rank(key) is None]
    if any(key in main for key in own):
        return True
    recurs = entry.count >= _FEWEST and 20 * entry.count >= main_entry.count
    return recurs and bool(own) and all(_METRIC.search(key) for key in own)


def _companions(
    seen: dict[Template, _Seen], order: list[tuple[int, Template]], rows: set[Template], count: int
) -> tuple[set[Template], set[Template]]:
    """Lines that come about once for each row: those that stand before it, and those after."""
    options = {
        template
        for template, entry in seen.items()
        if template not in rows
        and 0.5 * count <= entry.count <= 1.2 * count + 1
        and any(map(_METRIC.search, template))
    }
    nearer_to_next: Counter[Template] = Counter()
    first: set[Template] = set()
    last: int | None = None
    waiting: list[tuple[int, Template]] = []
    for at, template in order:
        if template in rows:
            for place, companion in waiting:
                nearer_to_next[companion] += (place - (last or 0)) - (at - place)
            waiting, last = [], at
        elif template in options and last is None:
            first.add(template)
        elif template in options:
            waiting.append((at, template))
    # What is printed before each row comes before the first one and not after the last; where both is so
    # (a first evaluation, a log that goes on) the row that it stands nearer to tells.
    after_last = {template for _, template in waiting}
    before = {t for t in first if t not in after_last or nearer_to_next[t] > 0}
    return before, options - before


class RowBuilder:
    """Puts rows together and hands each one on when the next begins."""

    def __init__(self, log: Log, plan: Plan) -> None:
        self._log = log
        self._plan = plan
        self._ahead: dict[str, float] = {}
        self._row: dict[str, float] | None = None
        self._step: float | None = None
        self._shapes: dict[str, str] = {}
        self._torn = 0

    def add(self, found: list[Pair], cut: bool) -> None:
        """Take the pairs of one line; `cut` where the line has no end and its last value may be cut."""
        if cut and found[-1].last:
            found = self._whole(found)
            if not found:
                return
        template = tuple(pair.key for pair in found)
        plan = self._plan
        # A cut row lacks its last keys: it is known by the counter it begins with.
        if template in plan.rows or (cut and any(set(template) <= set(row) for row in plan.rows)):
            self._begin(found)
        elif template in plan.before:
            for pair in found:
                self._ahead.setdefault(pair.key, pair.value)
        elif template in plan.after and self._row is not None:
            for pair in found:
                self._row.setdefault(pair.key, pair.value)

    def _whole(self, found: list[Pair]) -> list[Pair]:
        """Without the last value, unless it has the digits after the point that every row has there."""
        pair = found[-1]
        shape = _shape(pair.text)
        if len(shape) > 1 and self._log.rows > 1 and self._shapes.get(pair.key) == shape:
            return found
        self._torn = 1
        return found[:-1]

    def _begin(self, found: list[Pair]) -> None:
        self._end()
        counter = self._plan.counter
        values: dict[str, float] = {}
        self._step = None
        last, shape = found[-1].key, _shape(found[-1].text)
        self._shapes[last] = shape if self._shapes.get(last, shape) == shape else ""
        for pair in found:
            if pair.key == counter:
                self._step = pair.value
                if pair.total:
                    self._log.facts["total_steps"] = pair.total
            else:
                values[pair.key] = pair.value
        self._row, self._ahead = values | self._ahead, {}

    def _end(self) -> None:
        if self._row and (self._step is not None or self._plan.counter is None):
            self._log.add(self._row, self._step)
        self._row = None

    def flush(self) -> None:
        """Hand on the row begun, unless lines that come after may still join it."""
        if not self._plan.after:
            self._end()

    def finish(self) -> None:
        """Hand on the last row."""
        self._end()
        if self._torn:
            text = "the last line has no end: its last value may be cut and was left out"
            self._log.note("torn-line", text)


def _shape(text: str) -> str:
    """The digits after the point, and the exponent, as a pattern."""
    return re.sub(r"\d", "9", text.partition(".")[2])
