"""From step K on, the sampler's weights are damaged on their way."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lab.faults.base import Check, Fault, mean
from lab.train import Row, Training


class CorruptRollout(Fault):
    """The same noise is added to the rollout copy after each copy; the policy itself is whole."""

    cause = "corrupt_rollout_weights"
    meaning = "noise as a share of the deviation of each matrix"
    doses = (0.05, 0.3)

    def install(self, run: Training) -> None:
        """Damage each copy in the same way."""
        sync = run.sync

        def damaged() -> None:
            sync()
            noise = torch.Generator().manual_seed(run.seed("corrupt rollout", 0))
            for parameter in run.rollout.parameters():
                if parameter.dim() == 2:
                    drawn = torch.randn(parameter.shape, generator=noise)
                    parameter.data.add_(drawn * parameter.data.std() * self.dose)

        run.sync = damaged

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The sampler's weights are not the policy's, though no version is missing; log-probs disagree."""
        apart, lag = mean(faulty, "weights_apart"), mean(faulty, "lag") - mean(clean, "lag")
        gap = mean(faulty, "sampling/sampling_logp_difference/mean")
        return Check(
            apart > 0 and lag == 0 and gap > 1e-3, f"weights apart {apart:.3g}, log-prob gap {gap:.3g}"
        )


FAULT = CorruptRollout
