"""At step K, the gradient holds a NaN, or comes from a batch gone wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from lab.faults.base import Check, Fault
from lab.train import Batch, Row, Training


class NanGradient(Fault):
    """One NaN, which clipping spreads to all weights; or a share of the gradient is noise, for one step."""

    cause = "grad_nan"
    meaning = "1 = a NaN; else the share of the gradient that is noise of ten times its size"
    doses = (0.5, 1.0)

    def install(self, run: Training) -> None:
        """Spoil the gradient of one step."""
        gradients = run.gradients

        def spoiled(batch: Batch) -> None:
            gradients(batch)
            if batch.step != self.at:
                return
            noise = torch.Generator().manual_seed(run.seed("nan gradient", 0))
            given = [parameter.grad for parameter in run.policy.parameters() if parameter.grad is not None]
            for gradient in given:
                size = 10 * gradient.norm() / gradient.numel() ** 0.5
                hit = torch.rand(gradient.shape, generator=noise) < self.dose
                gradient += torch.randn(gradient.shape, generator=noise) * size * hit
            if self.dose >= 1:
                given[-1][0] = float("nan")

        run.gradients = spoiled

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The gradient's norm is not a number, or far above the twin's."""
        norm, usual = faulty[0]["grad_norm"], clean[0]["grad_norm"]
        return Check(not math.isfinite(norm) or norm > 3 * usual, f"grad_norm {norm:.3g}, twin {usual:.3g}")


FAULT = NanGradient
