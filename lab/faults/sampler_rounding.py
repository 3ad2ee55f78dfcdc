"""From step K on, the sampler's weights are rounded coarsely."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault, mean
from lab.train import Row, Training


class SamplerRounding(Fault):
    """Quantised rollouts: each matrix of the rollout copy keeps a few levels only."""

    cause = "mismatch_numerics"
    meaning = "bits per weight; fewer is stronger"
    doses = (6.0, 4.0)

    def install(self, run: Training) -> None:
        """Round after each copy of the weights."""
        sync = run.sync
        levels = 2 ** (self.dose - 1) - 1

        def rounded() -> None:
            sync()
            for parameter in run.rollout.parameters():
                scale = parameter.data.abs().max() / levels
                parameter.data.copy_((parameter.data / scale).round() * scale)

        run.sync = rounded

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The sampler's weights differ from the policy's, by less than two levels."""
        apart, usual = mean(faulty, "weights_apart"), mean(clean, "weights_apart")
        gap = mean(faulty, "sampling/sampling_logp_difference/mean")
        return Check(
            apart > 0 and usual == 0 and gap > 1e-3, f"weights apart {apart:.3g}, log-prob gap {gap:.3g}"
        )


FAULT = SamplerRounding
