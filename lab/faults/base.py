"""What a fault is."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lab.train import Row, Training


class Check(NamedTuple):
    """Whether a fault acted, and the numbers that show it."""

    acted: bool
    text: str


class Fault:
    """A fault at a dose, from step `at` on; this one does nothing.

    `check` proves that what was to be broken is broken. It uses what only the lab knows, and says nothing
    about whether anybody could see it in the metrics.
    """

    cause = "no_fault_noise"
    """Id in src/foreshock/diagnosis/catalogue.json."""
    meaning = "nothing happens"
    """What the dose is."""
    doses: tuple[float, ...] = (0.0,)
    """From weak to strong."""

    def __init__(self, dose: float, at: int) -> None:
        self.dose, self.at = dose, at

    def install(self, run: Training) -> None:
        """Replace parts of the training; called before step `at`, and when a run is resumed after it."""

    def act(self, run: Training) -> None:
        """Do what happens only once; called before step `at`."""

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """Whether it acted, from the rows of the twins since step `at`."""
        same = [timeless(row) for row in clean] == [timeless(row) for row in faulty]
        return Check(same, "the twins are equal" if same else "the twins differ")


def onset(seed: int, first: int, last: int) -> int:
    """The step at which a fault begins, drawn from the seed: any from `first` to `last` is as likely."""
    return random.Random(f"{seed}/onset").randint(first, last)


def timeless(row: Row) -> dict[str, str]:
    """A row without times, as text: NaN equals itself."""
    return {name: repr(value) for name, value in row.items() if name != "step_time"}


def mean(rows: Sequence[Row], name: str) -> float:
    """The mean of a metric over rows."""
    return sum(row[name] for row in rows) / len(rows)


def chosen(text: str, share: float) -> bool:
    """Whether a text is among a share of all texts; always the same for the same text."""
    return zlib.crc32(text.encode()) % 100_000 < share * 100_000
