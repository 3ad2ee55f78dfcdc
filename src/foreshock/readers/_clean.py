"""From the rows of a `Log` to a `Run`: one row per step, each metric under its name, repairs counted.

In this order: final summaries become facts; steps are found; a resume replaces what it repeats; rows of one
step are joined, and values logged several times within it averaged. NaN and infinities survive.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from foreshock import signals
from foreshock._arrays import distinct, median_of
from foreshock.errors import MetricError, NotARunError
from foreshock.readers._facts import from_config
from foreshock.readers._log import Log
from foreshock.readers._steps import SUMMARY, BoolArray, Restart, Rows, is_eval, restarts, rows_of
from foreshock.run import Event, FloatArray, IntArray, Note, Run, Series

REWARD = "reward_mean"


def attempts(log: Log, step_key: str | None) -> list[Rows]:
    """The rows of a log, apart where the step starts over from its very first value.

    Each part is a run of its own or an abandoned start. Where a counter starts over because it counts
    within an epoch (the epoch is higher in every part) the parts stay together and are counted on.

    Raises:
        MetricError: see `rows_of`.
    """
    rows = rows_of(log, step_key)
    cuts = []
    start = 0
    for restart in restarts(rows):
        if restart.step <= rows.steps[start : restart.row].min(initial=np.iinfo(np.int64).max):
            cuts.append(restart.row)
            start = restart.row
    if not cuts:
        return [rows]
    bounds = [0, *cuts, len(rows)]
    if _counts_within_epochs(rows, bounds):
        return [rows]
    places = np.arange(len(rows))
    return [
        rows.select((places >= low) & (places < high)) for low, high in zip(bounds, bounds[1:], strict=False)
    ]


def _counts_within_epochs(rows: Rows, bounds: list[int]) -> bool:
    """Whether the parts are epochs of one run; then their steps are made to go on."""
    key = next((k for k in rows.columns if k.rpartition("/")[2].lower() == "epoch"), None)
    if key is None:
        return False
    parts = [slice(low, high) for low, high in zip(bounds, bounds[1:], strict=False)]
    spans = []
    for part in parts:
        values = rows.columns[key][part][rows.logged[key][part]]
        if not len(values) or not np.isfinite(values).all():
            return False
        spans.append((values.min(), values.max()))
    if not all(before[1] < after[0] for before, after in zip(spans, spans[1:], strict=False)):
        return False
    rows.steps = rows.steps.copy()
    first = int(rows.steps[parts[0]].min())
    for before, part in zip(parts, parts[1:], strict=False):
        taken = distinct(rows.steps[before])
        stride = int(median_of(np.diff(taken))) if len(taken) > 1 else 1
        rows.steps[part] += int(taken[-1]) + stride - first
    text = f"The step starts over in each of the {len(parts)} epochs; steps are counted on across them."
    rows.notes.append(Note("steps-per-epoch", text, len(parts) - 1))
    return True


def clean(log: Log, rows: Rows, *, mapping: Mapping[str, str] | None, require_reward: bool) -> Run:
    """One run from one part of a log.

    Raises:
        NotARunError: nothing was logged.
        MetricError: no reward, or several keys that could be it.
    """
    config = log.facts.get("config")
    facts = {**(from_config(config) if isinstance(config, dict) else {}), **log.facts}
    notes = [*log.notes, *rows.notes]
    rows = _split_summary(rows, facts, notes)
    if not len(rows) or not rows.columns:
        raise NotARunError(f"{_source(log)} holds no metric of a training run")
    _note_eval_rows(rows, notes)
    events = list(log.events)
    keep = _after_resumes(rows, events, notes)
    steps, columns, nan_steps = _by_step(rows, keep, notes)
    columns.pop(rows.step_key or "", None)
    resolution = signals.resolve(columns, mapping=mapping)
    if require_reward:
        _require_reward(_source(log), columns, resolution)
    return Run(
        id=log.id,
        source=log.source,
        format=log.format,
        framework=resolution.framework,
        steps=steps,
        series=Series(columns, resolution.canonical),
        columns=resolution.columns,
        unrecognised=tuple(resolution.unrecognised),
        nan_steps={key: at for key, at in nan_steps.items() if key in columns},
        facts=facts,
        events=_in_order(events),
        evidence=tuple(sorted(log.evidence, key=lambda e: e.step)),
        notes=(*notes, *resolution.notes),
    )


def _in_order(events: list[Event]) -> tuple[Event, ...]:
    """Events by step, without those that an event of the same step and kind says with more words."""
    told: dict[tuple[int, str], list[Event]] = {}
    for event in sorted(events, key=lambda e: e.step):
        same = told.setdefault((event.step, event.kind), [])
        if not event.payload and same or event in same:
            continue
        same[:] = [*(each for each in same if each.payload), event]
    return tuple(event for same in told.values() for event in same)


def _split_summary(rows: Rows, facts: dict[str, object], notes: list[Note]) -> Rows:
    """Move what was printed once at the end of training (`train_runtime`, ...) into the facts."""
    ends = np.zeros(len(rows), dtype=bool)
    for key in rows.columns:
        if key.removeprefix("train/") == "train_runtime":
            ends |= rows.logged[key]
    if not ends.any() or ends.sum() > max(3, len(rows) // 10):
        return rows
    moved = []
    for key in list(rows.columns):
        name = key.removeprefix("train/")
        if name in SUMMARY and not rows.logged[key][~ends].any():
            facts[name] = float(rows.columns[key][rows.logged[key]][-1])
            moved.append(name)
    left = [key for key in rows.columns if key.removeprefix("train/") not in moved]
    only_clocks = set(rows.metrics()).isdisjoint(key for key in left if rows.logged[key][ends].any())
    kept = Rows(
        rows.steps,
        {key: rows.columns[key] for key in left},
        {key: rows.logged[key] for key in left},
        rows.step_key,
        rows.notes,
    )
    count = int(ends.sum())
    text = f"{_rows(count)} with totals of the training went to the facts of the run: {', '.join(moved)}."
    notes.append(Note("summary-row", text, count))
    return kept.select(~ends) if only_clocks else kept


def _note_eval_rows(rows: Rows, notes: list[Note]) -> None:
    train = np.zeros(len(rows), dtype=bool)
    evaluation = np.zeros(len(rows), dtype=bool)
    for key in rows.metrics():
        side = evaluation if is_eval(key) else train
        side |= rows.logged[key]
    count = int((evaluation & ~train).sum())
    if count and train.any():
        text = f"{_rows(count)} held evaluation results; they are columns of their own beside training."
        notes.append(Note("eval-rows", text, count))


def _after_resumes(rows: Rows, events: list[Event], notes: list[Note]) -> dict[str, BoolArray]:
    """Which cells count: after a resume from step k the earlier values from k on are superseded."""
    keep = {key: mask.copy() for key, mask in rows.logged.items()}
    places = np.arange(len(rows))
    for restart in restarts(rows):
        replaced = np.zeros(len(rows), dtype=bool)
        for key, mask in keep.items():
            row, step = restart.own.get(key, (restart.row, restart.step))
            gone = mask & (places < row) & (rows.steps >= step)
            replaced |= gone
            mask &= ~gone
        _tell_resume(restart, int(replaced.sum()), events, notes)
    return keep


def _tell_resume(restart: Restart, count: int, events: list[Event], notes: list[Note]) -> None:
    text = (
        f"The run was resumed from step {restart.step}: {_rows(count)} of the earlier attempt from that "
        "step on were replaced by what was logged after."
    )
    events.append(Event(restart.step, "resumed", {"text": text, "replaced": count}))
    notes.append(Note("resume", text, count))


def _by_step(
    rows: Rows, keep: Mapping[str, BoolArray], notes: list[Note]
) -> tuple[IntArray, dict[str, FloatArray], dict[str, IntArray]]:
    """One value per step and column: (steps, columns, steps with a logged NaN)."""
    used = np.logical_or.reduce(list(keep.values()))
    steps = distinct(rows.steps[used])
    index = np.searchsorted(steps, rows.steps)
    if (np.diff(rows.steps[used]) < 0).any():
        moved = int((np.diff(rows.steps[used]) < 0).sum())
        text = f"Rows were not in the order of their steps ({moved:,} times back); they were sorted."
        notes.append(Note("unsorted", text, moved))
    columns: dict[str, FloatArray] = {}
    nan_steps: dict[str, IntArray] = {}
    repeats = _Repeats(rows)
    for key, mask in keep.items():
        at = np.flatnonzero(mask)
        values = rows.columns[key][at]
        missing = np.isnan(values)
        if missing.any():
            nan_steps[key] = distinct(rows.steps[at[missing]])
        if repeats.average(key, at, index[at]):
            columns[key] = _averaged(values, index[at], len(steps))
        else:
            columns[key] = np.full(len(steps), np.nan)
            columns[key][index[at]] = values  # the last one of a step stays
    repeats.tell(notes)
    return steps, columns, nan_steps


class _Repeats:
    """Rows that log a step again: the rule (several updates per step) or an exception (a restart)."""

    def __init__(self, rows: Rows) -> None:
        self.steps = rows.steps
        self.metrics = set(rows.metrics())
        self.cells = np.zeros(len(rows), dtype=np.int64)
        self.averaged = np.zeros(len(rows), dtype=np.int64)
        self.replaced = np.zeros(len(rows), dtype=np.int64)

    def average(self, key: str, at: IntArray, index: IntArray) -> bool:
        """Whether values of one step are averaged: where at least half of the steps have several."""
        first = np.unique(index, return_index=True)[1]
        if len(first) == len(index):
            if key in self.metrics:
                self.cells[at] += 1
            return False
        several = 2 * int((np.bincount(index) > 1).sum()) >= len(first)
        if key in self.metrics:
            self.cells[at] += 1
            again = np.ones(len(index), dtype=bool)
            again[first] = False
            (self.averaged if several else self.replaced)[at[again]] += 1
        return several

    def tell(self, notes: list[Note]) -> None:
        averaged, replaced = 2 * self.averaged > self.cells, 2 * self.replaced > self.cells
        if count := int(averaged.sum()):
            at = len(np.unique(self.steps[averaged]))
            text = (
                f"{_rows(count)} log a step once more, at {at:,} steps (several updates per step): the "
                "values of a step were averaged, NaN left out."
            )
            notes.append(Note("repeated-steps", text, count))
        if count := int(replaced.sum()):
            text = f"{_rows(count)} log a step once more, which is rare in this run: the last value was kept."
            notes.append(Note("replaced-rows", text, count))


def _averaged(values: FloatArray, index: IntArray, size: int) -> FloatArray:
    """Mean of the values of each step, NaN left out of it; NaN where there is none."""
    result = np.full(size, np.nan)
    valid = ~np.isnan(values)
    count = np.bincount(index[valid], minlength=size)
    first = np.zeros(size)
    first[index[valid][::-1]] = values[valid][::-1]
    # Around the first value, so that a value logged twice comes back exactly.
    with np.errstate(invalid="ignore", over="ignore"):
        rest = np.where(np.isfinite(first[index]), values - first[index], values)
        total = np.bincount(index[valid], weights=rest[valid], minlength=size)
        mean = np.where(np.isfinite(first), first + total / np.maximum(count, 1), total)
    result[count > 0] = mean[count > 0]
    return result


def _require_reward(source: str, columns: Mapping[str, FloatArray], resolution: signals.Resolution) -> None:
    if REWARD in resolution.canonical:
        return
    candidates = resolution.ambiguous.get(REWARD, ())
    if candidates:
        raise MetricError(
            f"{source} has {len(candidates)} columns that could be the reward: {', '.join(candidates)}; "
            f"choose one with --map reward={candidates[0]}"
        )
    have = list(columns)
    more = f" and {len(have) - 20} more" if len(have) > 20 else ""
    raise MetricError(
        f"{source} has no metric that is known as a reward; name it with --map reward=KEY. "
        f"Its metrics: {', '.join(have[:20])}{more}"
    )


def _source(log: Log) -> str:
    return "standard input" if log.source == "-" else log.source


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
