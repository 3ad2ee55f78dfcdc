"""From step K on, the loss rewards certainty."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault
from lab.train import Row, Training


class EntropyCollapse(Fault):
    """A wrong sign: entropy is punished, the policy becomes certain and stops exploring."""

    cause = "entropy_collapse"
    meaning = "weight of the entropy in the loss"
    doses = (0.01, 0.05)

    def install(self, run: Training) -> None:
        """Turn the bonus into a punishment."""
        run.options.entropy_bonus -= self.dose

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The entropy falls below the twin's."""
        entropy, usual = faulty[-1]["entropy"], clean[-1]["entropy"]
        return Check(entropy < usual, f"entropy {entropy:.3f} after {len(faulty)} steps, twin {usual:.3f}")


FAULT = EntropyCollapse
