"""From step K on, a share of the advantages goes to the wrong completions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lab.faults.base import Check, Fault, mean
from lab.train import Row, Training


class ShuffledAdvantages(Fault):
    """An index bug after generation: rewards and completions are out of step, learning becomes noise."""

    cause = "data_order_bug"
    meaning = "share of the prompts whose completions get another prompt's advantages"
    doses = (0.5, 1.0)

    def install(self, run: Training) -> None:
        """Move the advantages of the first groups on by one group and one place."""
        advantages = run.advantages

        def moved(rewards: Tensor) -> Tensor:
            right = advantages(rewards)
            many = round(self.dose * len(right))
            return torch.cat([right[:many].roll((1, 1), (0, 1)), right[many:]])

        run.advantages = moved

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """Advantages agree less with the rewards of their rows."""
        agree = mean(faulty, "alignment") / mean(clean, "alignment")
        return Check(agree < 1 - 0.5 * self.dose, f"agreement with the rewards x{agree:.2f} of the twin's")


FAULT = ShuffledAdvantages
