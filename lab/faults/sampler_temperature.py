"""From step K on, the sampler draws at another temperature than it is told to."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault, mean
from lab.train import Row, Training


class SamplerTemperature(Fault):
    """The trainer assumes temperature 1: what it learns from is not what it believes."""

    cause = "mismatch_numerics"
    meaning = "added to the temperature"
    doses = (0.1, 0.4)

    def install(self, run: Training) -> None:
        """Raise the temperature; the declared setting stays."""
        run.temperature += self.dose

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """Sampler and trainer disagree about the log-probs, and did not before."""
        name = "sampling/sampling_logp_difference/mean"
        gap, usual = mean(faulty, name), mean(clean, name)
        return Check(gap > 0.005 and usual < 1e-5, f"log-prob gap {gap:.3g}, was {usual:.3g}")


FAULT = SamplerTemperature
