"""From step K on, each completion weighs the same in the loss, however long."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lab.faults.base import Check, Fault
from lab.sampler import Rollout
from lab.train import Row, Training


class LengthBias(Fault):
    """The loss is a mean of means: tokens of long wrong completions are punished less."""

    cause = "grpo_length_bias"
    meaning = "share of the loss that is weighed so"
    doses = (0.5, 1.0)

    def install(self, run: Training) -> None:
        """Weigh by row instead of by token."""
        token_weights = run.token_weights

        def weights(rollout: Rollout) -> Tensor:
            by_row = 1.0 / (rollout.lengths.clamp(min=1) * len(rollout.lengths))
            return (1 - self.dose) * token_weights(rollout) + self.dose * by_row

        run.token_weights = weights

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """In the first step, the completions are the twin's and the loss is not."""
        same = faulty[0]["completions/mean_length"] == clean[0]["completions/mean_length"]
        ours, its = faulty[0]["loss"], clean[0]["loss"]
        return Check(
            same and ours != its,
            f"loss {ours:.4f}, twin {its:.4f}, on {'equal' if same else 'other'} completions",
        )


FAULT = LengthBias
