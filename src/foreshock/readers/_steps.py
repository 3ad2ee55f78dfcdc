"""Which step each row belongs to, and where the counter starts over.

All of it works on the rows of one `Log` as arrays: `Rows` keeps the step of every row and, per column,
its values and where a value was logged at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from foreshock import signals
from foreshock._arrays import distinct
from foreshock.errors import MetricError
from foreshock.readers._log import Log
from foreshock.run import FloatArray, IntArray, Note

BoolArray = npt.NDArray[np.bool_]

# Clocks beside the metrics: they tell nothing about whether a row repeats another.
CLOCKS = (
    "epoch",
    "time",
    "timestamp",
    "_timestamp",
    "_runtime",
    "_step",
    "wall_time",
    "elapsed",
    "percentage",
)
# What trainers print once, when training has ended.
SUMMARY = (
    "train_runtime", "train_loss", "train_samples_per_second", "train_steps_per_second",
    "train_tokens_per_second", "total_flos", "train_samples",
)  # fmt: skip
_EVAL_MARKS = (
    "eval_",
    "eval/",
    "val/",
    "val-core/",
    "val-aux/",
    "val_",
    "valid/",
    "validation/",
    "test/",
    "test_",
)


@dataclass
class Rows:
    """The rows of a log as arrays, each with its step."""

    steps: IntArray
    columns: dict[str, FloatArray]
    logged: dict[str, BoolArray]
    step_key: str | None
    """The column the steps came from; None where the format stated them or rows were counted."""
    notes: list[Note] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.steps)

    def select(self, rows: BoolArray) -> Rows:
        """Only some rows; columns without a logged value there are left out."""
        kept = {key: mask[rows] for key, mask in self.logged.items()}
        kept = {key: mask for key, mask in kept.items() if mask.any()}
        columns = {key: self.columns[key][rows] for key in kept}
        return Rows(self.steps[rows], columns, kept, self.step_key, list(self.notes))

    def metrics(self) -> list[str]:
        """Column names without clocks, counters, profiling and what is logged once at the end."""
        others = {key.lower() for key in (*signals.step_keys(), *CLOCKS, *SUMMARY)}
        return [
            key
            for key in self.columns
            if (lower := key.lower()) not in others
            and lower.rpartition("/")[2] not in others
            and not key.startswith("profiling/")
        ]


def is_eval(key: str) -> bool:
    """Whether a key belongs to an evaluation, not to training."""
    return key.startswith(_EVAL_MARKS)


def rows_of(log: Log, step_key: str | None) -> Rows:
    """The rows of a log with a step each.

    The step comes from, in this order: the column the user named, a counter of training steps that most
    rows carry, the step that the format itself states, or the row's number. An epoch is never a step.

    Raises:
        MetricError: `step_key` names no column, or one that does not count steps.
    """
    columns = {key: log.column(key) for key in log.keys}
    logged = {key: ~np.isnan(values) for key, values in columns.items()}
    for key, places in log.nan_rows.items():
        logged[key][places] = True
    rows = Rows(np.zeros(log.rows, dtype=np.int64), columns, logged, None)
    stated = None
    if log.steps is not None:
        stated = np.array([np.nan if step is None else step for step in log.steps], dtype=np.float64)
    counter = None
    if step_key:
        counter = _chosen(columns, step_key)
    else:
        counter = _counter(columns, log)
    found = columns[counter] if counter else stated
    if found is None or not np.isfinite(found).any():
        return _numbered(rows)
    rows.step_key = counter
    return _counted(rows, found, log)


def _chosen(columns: Mapping[str, FloatArray], step_key: str) -> str:
    values = columns.get(step_key)
    if values is None:
        raise MetricError(f"--step-key {step_key!r} is no column; there are: {', '.join(columns)}")
    finite = values[np.isfinite(values)]
    if not len(finite) or len(distinct(np.rint(finite))) < len(distinct(finite)):
        raise MetricError(
            f"--step-key {step_key!r} does not count steps: it holds "
            + (f"fractions such as {finite[finite % 1 != 0][0]:g}" if len(finite) else "no number")
            + "; name a column of whole numbers"
        )
    return step_key


def _counter(columns: dict[str, FloatArray], log: Log) -> str | None:
    """The best column that counts training steps, where the format does not state them itself.

    W&B and Trackio state how often `log` was called; the trainer's own counter in the same rows is better.
    """
    if log.steps is not None and not log.steps_count_calls:
        return None
    fallback = None
    lowered = {name.lower(): name for name in reversed(columns)}
    for known in signals.step_keys():
        key = known if known in columns else lowered.get(known.lower())
        if key is None or (log.steps is not None and key in ("_step", "step")):
            continue
        finite = columns[key][np.isfinite(columns[key])]
        whole = len(finite) and np.mean(finite == np.rint(finite)) > 0.9 and np.abs(finite).max() < 2**53
        if not whole or (len(finite) > 1 and finite.min() == finite.max()):
            continue
        if 2 * len(finite) >= log.rows:
            return key
        fallback = fallback or key
    return fallback if log.steps is None else None


def _numbered(rows: Rows) -> Rows:
    """Steps by counting rows from 1; a row of evaluation results belongs to the row before it."""
    keys = rows.metrics()
    train = np.zeros(len(rows), dtype=bool)
    for key in keys:
        if not is_eval(key):
            train |= rows.logged[key]
    rows.steps = np.maximum(np.cumsum(train), 1) if train.any() else np.arange(1, len(rows) + 1)
    rows.notes.append(
        Note(
            "no-step",
            f"No step number was logged; the {rows.steps[-1]:,} rows are numbered from 1."
            if len(rows)
            else "No step number was logged.",
            len(rows),
        )
    )
    return rows


def _counted(rows: Rows, found: FloatArray, log: Log) -> Rows:
    """Steps from a column: rows without one join the row before, fractions are rounded."""
    usable = np.isfinite(found) & (np.abs(found) < 2**53)
    whole = np.rint(np.where(usable, found, 0))
    fractions = int((usable & (found != whole)).sum())
    if fractions:
        text = f"{fractions:,} step numbers were not whole and were rounded."
        rows.notes.append(Note("fractional-steps", text, fractions))
    if not usable.all():
        last = np.maximum.accumulate(np.where(usable, np.arange(len(rows)), -1))
        first = int(np.argmax(usable))
        whole = whole[np.where(last < 0, first, last)]
        _header_to_facts(rows, first, log)
        missing = int((~usable).sum())
        text = f"{missing:,} rows without a step number were counted to the step before them."
        rows.notes.append(Note("rows-without-step", text, missing))
    rows.steps = whole.astype(np.int64)
    return rows


def _header_to_facts(rows: Rows, first: int, log: Log) -> None:
    """Values that appear only before the first step are settings, not metrics."""
    for key in list(rows.columns) if first else ():
        mask = rows.logged[key]
        if mask[:first].any() and not mask[first:].any():
            log.facts.setdefault(key, float(rows.columns[key][:first][mask[:first]][-1]))
            del rows.columns[key], rows.logged[key]


@dataclass(frozen=True)
class Restart:
    """The counter went back: from `row` on, steps from `step` are logged again.

    `own` holds the columns that restart at a place of their own: (row, step).
    """

    row: int
    step: int
    own: Mapping[str, tuple[int, int]]


def restarts(rows: Rows) -> list[Restart]:
    """Where the step goes back and metrics are logged again, in the order of rows.

    A row counts as going back when most of its metrics were logged at a later step before: trainer and
    rollout rows that overtake each other do not. Rows in no order at all (a shuffled table) give none.
    """
    keys = rows.metrics()
    votes = np.zeros(len(rows), dtype=np.int64)
    cells = np.zeros(len(rows), dtype=np.int64)
    back: dict[int, dict[str, int]] = {}
    repeats = False
    for key in keys:
        at = np.flatnonzero(rows.logged[key])
        steps = rows.steps[at]
        falls = at[1:][np.diff(steps) < 0]
        cells[at] += 1
        votes[falls] += 1
        if len(falls):
            repeats = repeats or len(distinct(steps)) < len(steps)
            for row in falls.tolist():
                back.setdefault(row, {})[key] = int(rows.steps[row])
    found = [row for row in sorted(back) if 2 * votes[row] > cells[row]]
    if not repeats or len(found) > max(2, len(rows) // 5):
        return []
    return _bursts(rows, found, back)


def _bursts(rows: Rows, found: list[int], back: Mapping[int, Mapping[str, int]]) -> list[Restart]:
    """Join what restarts together: a second kind of row that goes back does not restart the first."""
    bursts: list[dict[str, tuple[int, int]]] = []
    for row in found:
        own = {key: (row, step) for key, step in back[row].items()}
        if bursts and not own.keys() & bursts[-1].keys():
            bursts[-1].update(own)
        else:
            bursts.append(own)
    return [
        Restart(min(row for row, _ in own.values()), min(step for _, step in own.values()), own)
        for own in bursts
    ]
