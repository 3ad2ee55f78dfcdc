"""Whole runs, with all that they logged, and what tools say while they are read row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from detection_tools import peer_steps, version
from foreshock.run import FloatArray, Run
from foreshock.signals import resolve


@dataclass(frozen=True)
class Rows:
    """A run as a tool gets it.

    Attributes:
        steps: of the rows.
        named: per row canonical (else original) name -> value; what was not logged is absent.
        logged: per row the values under the names of the trainer.
        facts: what is known of the run.
    """

    steps: list[int]
    named: list[dict[str, float]]
    logged: list[dict[str, float]]
    facts: Mapping[str, Any]

    def reward(self) -> tuple[FloatArray, list[int]]:
        """The reward where it was logged, and the steps of these rows."""
        pairs = [
            (row["reward_mean"], s)
            for s, row in zip(self.steps, self.named, strict=True)
            if np.isfinite(row.get("reward_mean", np.nan))
        ]
        return np.array([value for value, _ in pairs]), [s for _, s in pairs]


class Message(NamedTuple):
    """Something new that a tool says of a run.

    Attributes:
        step: after which it is said.
        signal: it is about; "" where the tool does not say which of ours.
        words: for people.
        opens: whether it is a new alarm, not more about one that was told.
    """

    step: int
    signal: str
    words: str
    opens: bool = True


@dataclass(frozen=True)
class Watch:
    """A tool that watches all that a run logs.

    Attributes:
        name: in tables.
        note: how it was used.
        alarms: what it says of a run.
    """

    name: str
    note: str
    alarms: Callable[[Rows], list[Message]]


def of_run(run: Run) -> Rows:
    """Rows of a run that a reader read."""
    unnamed = {key: run.series.original[key] for key in run.unrecognised}
    named = {**run.series.canonical, **unnamed}
    steps = [int(step) for step in run.steps]
    return Rows(steps, _rows(named), _rows(run.series.original), run.facts)


def of_columns(steps: FloatArray, columns: Mapping[str, FloatArray], facts: Mapping[str, Any]) -> Rows:
    """Rows of a run of the lab, under the names that Foreshock's dictionary gives to what it logged."""
    found = resolve(columns)
    unnamed = {key: columns[key] for key in found.unrecognised}
    return Rows([int(step) for step in steps], _rows({**found.canonical, **unnamed}), _rows(columns), facts)


def _rows(columns: Mapping[str, FloatArray]) -> list[dict[str, float]]:
    """One dictionary a row, without what was not logged."""
    names = list(columns)
    table = np.array([columns[name] for name in names]).T
    known = ~np.isnan(table)
    return [
        {name: float(value) for name, value, there in zip(names, row, is_there, strict=True) if there}
        for row, is_there in zip(table, known, strict=True)
    ]


def peer_watches(pythons: Mapping[str, str]) -> list[Watch]:
    """Live monitors of other tools, given every column that was logged under its own name."""

    def alarms(name: str, python: str, rows: Rows) -> list[Message]:
        return [Message(step, "", words) for step, words in peer_steps(name, python, rows.steps, rows.logged)]

    return [
        Watch(f"{name}, as it comes", f"{version(name, python)}, all columns", partial(alarms, name, python))
        for name, python in pythons.items()
    ]


def apart(steps: Sequence[int], told: Sequence[Message], rows: int = 20) -> int:
    """How many alarms of one run stand apart: those fewer than 20 rows apart are one."""
    place = {step: row for row, step in enumerate(steps)}
    count, last = 0, -rows - 1
    for row in sorted(place[message.step] for message in told if message.opens):
        count += row - last > rows
        last = row
    return count
