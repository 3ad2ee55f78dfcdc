"""From step K on, the loss rewards uncertainty too much."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault
from lab.train import Row, Training


class EntropyExplosion(Fault):
    """An entropy bonus that drowns the advantage: the policy becomes random."""

    cause = "entropy_explosion"
    meaning = "weight of the entropy in the loss"
    doses = (0.01, 0.05)

    def install(self, run: Training) -> None:
        """Raise the bonus."""
        run.options.entropy_bonus += self.dose

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The entropy rises above the twin's."""
        entropy, usual = faulty[-1]["entropy"], clean[-1]["entropy"]
        return Check(entropy > usual, f"entropy {entropy:.3f} after {len(faulty)} steps, twin {usual:.3f}")


FAULT = EntropyExplosion
