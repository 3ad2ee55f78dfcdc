"""At step K, the policy goes back to the weights it began with, in part or wholly."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault
from lab.train import Row, Training


class ResetWeights(Fault):
    """The wrong checkpoint is loaded: what was learnt is gone; the optimiser keeps its state."""

    cause = "arch_change"
    meaning = "share of the way back to the first weights"
    doses = (0.5, 1.0)

    def act(self, run: Training) -> None:
        """Move towards the reference, which is the policy's origin."""
        pairs = zip(run.policy.parameters(), run.reference.parameters(), strict=True)
        for mine, first in pairs:
            mine.data.lerp_(first.data, self.dose)

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The divergence from the reference falls at once, and is about 0 at full dose."""
        now, usual = faulty[0]["kl"], clean[0]["kl"]
        limit = 1e-6 if self.dose == 1 else 0.8 * usual
        return Check(now <= limit < usual, f"kl {now:.3g}, twin {usual:.3g}")


FAULT = ResetWeights
