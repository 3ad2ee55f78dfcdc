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
        """In the first step, the loss differs from the twin's by what the entropy is worth."""
        paid, due = faulty[0]["loss"] - clean[0]["loss"], -self.dose * clean[0]["entropy"]
        entropy, usual = faulty[-1]["entropy"], clean[-1]["entropy"]
        return Check(
            abs(paid / due - 1) < 0.5,
            f"loss {paid:+.2g}, due {due:+.2g}; entropy at the end {entropy:.3f}, twin {usual:.3f}",
        )


FAULT = EntropyExplosion
