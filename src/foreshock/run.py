"""The one data model: a run of RL post-training, as every other part of Foreshock sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Note:
    """Something the reader repaired or left out, told in the report.

    Attributes:
        kind: a stable slug for programs ("torn-line", "repeated-steps", "eval-rows", ...).
        text: one sentence for people, with its numbers.
        count: how many rows, lines or values it concerns.
    """

    kind: str
    text: str
    count: int = 1


@dataclass(frozen=True)
class Event:
    """Something that happened at a step: a resume, a checkpoint, a change of code, data or settings."""

    step: int
    kind: str
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """Which original key a canonical signal was read from, and what was done to its values."""

    key: str
    transform: str = "identity"
    via: str = "dictionary"  # "dictionary", "generic" (a plain name) or "map" (the user said so)
    unit: str = ""  # unit of the values where it is not the unit of the signal


class Series(Mapping[str, FloatArray]):
    """The metrics of a run by name, canonical or original; iterates canonical names, then the rest.

    `series["reward_mean"]` is the canonical signal after its transform; `series["critic/score/mean"]`
    is the column as logged. All arrays have one value per step; NaN = not logged (or logged as NaN,
    see `Run.nan_steps`).
    """

    def __init__(self, original: Mapping[str, FloatArray], canonical: Mapping[str, FloatArray]) -> None:
        self._original = dict(original)
        self._canonical = dict(canonical)

    @property
    def canonical(self) -> Mapping[str, FloatArray]:
        """Only the signals that the dictionary (or the user) named."""
        return self._canonical

    @property
    def original(self) -> Mapping[str, FloatArray]:
        """Every numeric column under the key it was logged with, values untouched."""
        return self._original

    def __getitem__(self, name: str) -> FloatArray:
        if name in self._canonical:
            return self._canonical[name]
        return self._original[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._canonical
        yield from (key for key in self._original if key not in self._canonical)

    def __len__(self) -> int:
        return len(self._canonical.keys() | self._original.keys())


@dataclass(frozen=True)
class Run:
    """One training run, cleaned.

    Attributes:
        id: name of the run, for titles and file names.
        source: the path (or "-") it was read from.
        format: the reader that read it ("trainer_state", "verl_console", ...).
        framework: trainer recognised from its keys ("trl_grpo", "verl", ...), or None.
        steps: int64, strictly increasing.
        series: metrics by canonical and by original name, each float64 of len(steps).
        columns: for each canonical signal the original key, transform and how it was matched.
        unrecognised: original keys that no dictionary entry explains, in the order logged.
        nan_steps: per original key, the steps at which NaN was explicitly logged.
        facts: what is known about the run (model, total_steps, prompts_per_step, group_size, ...).
        events: what happened when, by step.
        evidence: what the recorder's pieces saw at a step, by step: the kind of the piece and its data,
            where what had not changed since the piece's last record may be left out.
        notes: what the reader had to repair.
    """

    id: str
    source: str
    format: str
    framework: str | None
    steps: IntArray
    series: Series
    columns: Mapping[str, Column]
    unrecognised: tuple[str, ...] = ()
    nan_steps: Mapping[str, IntArray] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    evidence: tuple[Event, ...] = ()
    notes: tuple[Note, ...] = ()
