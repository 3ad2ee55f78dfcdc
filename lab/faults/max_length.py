"""From step K on, completions may be less long."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault
from lab.train import Row, Training


class MaxLength(Fault):
    """The cap was lowered: longer completions are cut, and score 0."""

    cause = "max_len_change"
    meaning = "share of the cap that is taken away"
    doses = (0.5, 0.75)

    def install(self, run: Training) -> None:
        """Lower the cap, in the declared settings too: it is an edited configuration."""
        run.max_tokens = run.options.max_tokens = round(run.options.max_tokens * (1 - self.dose))
        self.cap = run.max_tokens

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """Nothing is longer than the cap, and the twin's longest is."""
        longest, usual = (max(row["completions/max_length"] for row in rows) for rows in (faulty, clean))
        return Check(longest <= self.cap < usual, f"longest {longest:g}, was {usual:g}, cap {self.cap}")


FAULT = MaxLength
