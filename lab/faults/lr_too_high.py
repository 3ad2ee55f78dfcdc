"""From step K on, the learning rate is multiplied."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault, mean
from lab.train import Row, Training


class LrTooHigh(Fault):
    """Updates too large for the policy to survive, or just rough ones."""

    cause = "lr_too_high"
    meaning = "factor of the learning rate"
    doses = (5.0, 20.0)

    def install(self, run: Training) -> None:
        """Multiply the rate."""
        rate = run.rate
        run.rate = lambda step: rate(step) * self.dose

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The rate is multiplied, and the weights move further in the first step."""
        factor = mean(faulty, "learning_rate") / mean(clean, "learning_rate")
        further = faulty[0]["moved"] / max(clean[0]["moved"], 1e-12)
        acted = abs(factor / self.dose - 1) < 1e-6 and further > 0.5 * self.dose
        return Check(acted, f"learning rate x{factor:.3g}, first step x{further:.3g}")


FAULT = LrTooHigh
