"""The console of TRL, ms-swift and other trainers on Hugging Face's: one dict of metrics per log.

    {'loss': 0.0, 'grad_norm': 0.0, ..., 'reward': 0.9, 'epoch': 0.0}          plain numbers
    {'loss': '1.72e-08', ..., 'reward': '-0.7', 'epoch': '0.001481'}           quoted (transformers 5)
    {..., 'reward': 0.34, 'global_step/max_steps': '5/3766', 'memory(GiB)': 56.74}     ms-swift

Dicts may be broken over lines by the terminal, even inside a key, and share a line with a progress bar.
The dicts carry no step, so it is taken from the bars (`_bars.Progress`); a note says by which rule.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from foreshock.errors import NotARunError
from foreshock.readers._bars import Progress
from foreshock.readers._console import DEEP, MARKUP, Lines, head_text, may_be_console, tell_skipped
from foreshock.readers._dicts import Dicts, Found, numbers
from foreshock.readers._log import Log
from foreshock.readers._sniff import run_name

NAME = "trl_console"
DESCRIPTION = "TRL, ms-swift or other Hugging Face console log"

_STEP_KEYS = (
    "step",
    "global_step",
    "global_step/max_steps",
    "train/global_step",
    "steps",
    "iteration",
    "iter",
)
_FRACTION = re.compile(r"\s*(\d+)\s*/\s*(\d+)\s*$")
# "Global step 12: {...}" (OpenRLHF), "[step 12] {...}"
_STEP_BEFORE = re.compile(
    r"(?i)\b(?:global[ _])?(?:step|iteration|iter)\s*[:=#]?\s*(\d+)(?:\s*/\s*\d+)?\W{0,4}$"
)
_METRIC = re.compile(
    r"(?i)loss|reward|return|score|\bkl\b|entropy|learning_rate|grad_norm|length|train_runtime|eval_"
)
_LEARNING = 256
"""How many rows are looked at before it is decided which keys a row of this log has."""
_RULES = {
    "redraws": "taken from the progress bar, which is redrawn after each row",
    "bars": "taken from the progress bar next to each row",
    "interval": "counted at the constant interval that fills the progress bar, (bar / rows) steps per row",
}


def recognises(path: Path, head: bytes) -> bool:
    """Whether a dict of metrics with an epoch or a step is printed in the first 8 MiB of the file."""
    if not may_be_console(path, head):
        return False
    dicts = Dicts()
    needed = 3 if path.suffix.lower() in MARKUP else 1
    for line in head_text(head).replace("\r", "\n").split("\n"):
        needed -= sum(row_of(found) is not None for found in dicts.feed(line))
        if needed <= 0:
            return True
    if len(head) < 1 << 16 or path.suffix.lower() in MARKUP:
        return False
    dicts = Dicts()
    return any(row_of(found) is not None for line in Lines(path, DEEP) for found in dicts.feed(line))


def read(path: Path) -> list[Log]:
    """The run that the console shows, evaluation and closing summary rows included, in the order printed.

    Cannot see: what was rounded away in printing; rows that never left the output buffer of a killed
    process. A dict without its closing brace is no row.

    Raises:
        NotARunError: no such dict.
    """
    log = Log(run_name(path), str(path), NAME)
    lines = Lines(path)
    fill(log, lines)
    tell_skipped(log, lines)
    if not log.rows:
        raise NotARunError(f"{path} holds no dict of metrics with an epoch or a step, as TRL prints them")
    return [log]


def fill(log: Log, lines: Iterable[str]) -> None:
    """Add every metric dict among `lines` to `log` and give the rows their steps."""
    dicts, progress, rows = Dicts(), Progress(), _Rows(log)
    for line in lines:
        if progress.see(line, rows.count):
            continue
        if dicts.pending or "{" in line:
            for found in dicts.feed(line):
                row = row_of(found)
                if row is not None:
                    rows.add(row, found)
    rows.finish(progress, dicts.lost + dicts.pending)


def row_of(found: Found) -> dict[str, float] | None:
    """The numbers of a dict that is a row of metrics: it tells its epoch or step and how training goes."""
    items = found.items
    if len(items) < 2:
        return None
    if (
        "epoch" not in items
        and not any(key in items for key in _STEP_KEYS)
        and not _STEP_BEFORE.search(found.before)
    ):
        return None
    values = numbers(items)
    if not values or not any(map(_METRIC.search, values)):
        return None
    return values if "epoch" in values or "epoch" not in items else None


class _Rows:
    """Collects rows; the first ones decide which keys belong, so that a dict in a completion is no row."""

    def __init__(self, log: Log) -> None:
        self.count = 0
        self._log = log
        self._early: list[tuple[dict[str, float], float | None, int]] | None = []
        self._usual: frozenset[str] = frozenset()
        self._stated: list[float | None] = []
        self._training: list[bool] = []
        self._epochs: list[float] = []
        self._strange = 0
        self._quoted = 0
        self._wrapped = 0

    def add(self, values: dict[str, float], found: Found) -> None:
        """Take one row, with the step that it or the words before it tell, if any."""
        step, total = stated_step(values, found)
        if total:
            self._log.facts.setdefault("total_steps", total)
        self._wrapped += found.parts > 1
        self._quoted += isinstance(found.items[next(iter(values))], str)
        self.count += 1
        if self._early is None:
            self._keep(values, step)
            return
        self._early.append((values, step, self.count))
        if len(self._early) >= _LEARNING:
            self._decide()

    def _decide(self) -> None:
        """Settle the usual keys on the rows so far, and pass those rows on."""
        early, self._early = self._early or [], None
        rows = [values for values, _, _ in early if is_training(values)]
        counts = Counter(frozenset(values) for values in rows)
        self._usual = max(counts, key=lambda keys: counts[keys] * len(keys), default=frozenset())
        for values, step, _ in early:
            self._keep(values, step)

    def _keep(self, values: dict[str, float], step: float | None) -> None:
        training = is_training(values)
        if training and 2 * len(self._usual & values.keys()) < len(self._usual):
            self._strange += 1
            return
        self._log.add(values)
        self._stated.append(step)
        self._training.append(training)
        self._epochs.append(values.get("epoch", math.nan))

    def finish(self, progress: Progress, lost: int) -> None:
        """Give the rows their steps and say what was found."""
        if self._early is not None:
            self._decide()
        log = self._log
        if not log.rows:
            return
        if progress.total:
            log.facts.setdefault("total_steps", progress.total)
        stated = sum(
            step is not None for step, train in zip(self._stated, self._training, strict=True) if train
        )
        if stated and stated == sum(self._training):
            log.steps, rule = _carry(self._stated), "stated"
        else:
            log.steps, rule = progress.steps(self._training, self._epochs)
        if rule == "rows":
            log.steps = None  # rows are counted by whoever reads the log, as for every format
        elif rule != "stated":
            log.note("inferred-steps", f"the {log.rows} rows carry no step number: {_RULES[rule]}", log.rows)
        if self._quoted:
            log.note("quoted-numbers", f"{self._quoted} rows print their numbers in quotes", self._quoted)
        if self._wrapped:
            text = f"{self._wrapped} rows were broken over lines by the terminal and joined"
            log.note("wrapped-lines", text, self._wrapped)
        if lost:
            log.note("torn-line", f"{lost} rows are cut off or torn by other output and were left out", lost)
        if self._strange:
            text = f"{self._strange} dicts have few of the keys of this log's rows and were left out"
            log.note("foreign-rows", text, self._strange)


def stated_step(values: dict[str, float], found: Found) -> tuple[float | None, int | None]:
    """(step, total steps) that a row or the words before it tell; a step of a fraction joins `values`."""
    for key in _STEP_KEYS:
        if key in values:
            return values[key], None
        fraction = _FRACTION.match(str(found.items.get(key, "")))
        if fraction:
            values[key.partition("/")[0]] = float(fraction.group(1))
            return float(fraction.group(1)), int(fraction.group(2))
    match = _STEP_BEFORE.search(found.before)
    return (float(match.group(1)) if match else None), None


def is_training(values: dict[str, float]) -> bool:
    """Whether a row is neither an evaluation nor the summary that closes a training."""
    if "train_runtime" in values:
        return False
    return "loss" in values or not any(key.startswith("eval_") for key in values)


def _carry(steps: list[float | None]) -> list[float | None]:
    """Rows without a step of their own take the last one."""
    last: float | None = 0.0
    carried = []
    for step in steps:
        last = last if step is None else step
        carried.append(last)
    return carried
