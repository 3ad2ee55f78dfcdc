"""At step K, the reference model is replaced by a damaged one, and its weight is raised."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lab.faults.base import Check, Fault
from lab.train import Row, Training


class KlBlowup(Fault):
    """The policy is pulled towards a model that is not its origin."""

    cause = "kl_blowup"
    meaning = "noise in the reference, as a share of the deviation of each matrix"
    doses = (0.1, 0.3)

    def install(self, run: Training) -> None:
        """Weigh the divergence more."""
        run.options.beta = 0.05

    def act(self, run: Training) -> None:
        """Damage the reference."""
        noise = torch.Generator().manual_seed(run.seed("kl blowup", 0))
        for parameter in run.reference.parameters():
            if parameter.dim() == 2:
                parameter.data.add_(
                    torch.randn(parameter.shape, generator=noise) * parameter.data.std() * self.dose
                )

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The divergence from the reference jumps in the first step."""
        first, usual = faulty[0]["kl"], clean[0].get("kl", 0.0)
        return Check(first > usual + 0.01, f"kl {first:.3g}, twin {usual:.3g}")


FAULT = KlBlowup
